"""Reports: every figure is the card's, nothing of outside runs, and the page stands alone."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from in_process import Http, refused, settings_of
from made_heads import made_growth
from scipy.stats import binomtest
from typer.testing import CliRunner

from classifiers.card import Card
from classifiers.curve import NO_SIGNAL
from classifiers.folds import GROUPS_APART
from classifiers.novelty import NoveltySize
from classifiers.statistics import Measure
from service.cli import app, cards
from service.client import AsyncClient, Client, PenultimateError
from service.local import local_client
from service.report import Subject, answers, words, write_report
from service.report.curves import roc, set_sizes, wilson
from service.report.markup import element

HOSTILE = '<script>alert("x")</script>'
PAGE = "/v1/heads/colour/versions/1/report"


@pytest.fixture
def subject(taught_home: Path, shared_http: Http) -> Subject:
    """What the report of the first head is about."""
    product = shared_http.product
    entry = product.catalog.heads.entry("default", "colour")
    head = product.workspaces["default"].zoo.load(entry.versions[0].artefact)
    p, y = head.arrays["out_of_fold"], head.arrays["truth"]
    return Subject("colour", 1, "colour", entry.versions[0].artefact, head.card, p, y)


def many_classes(subject: Subject, k: int) -> Subject:
    """The same with k classes, ten images of each, judged at random."""
    random = np.random.default_rng(0)
    y = np.repeat(np.arange(k), 10).astype(np.int32)
    p = random.dirichlet(np.ones(k), len(y)).astype(np.float32)
    names = tuple(f"class {i}" for i in range(k))
    confusion = np.zeros((k, k), int)
    np.add.at(confusion, (y, p.argmax(axis=1)), 1)
    card = replace(
        subject.card,
        task="multiclass",
        classes=names,
        class_counts=dict.fromkeys(names, 10),
        n_images=len(y),
        tree_factors=(1.0,) * k,
        confusion=tuple(map(tuple, confusion.tolist())),
    )
    return replace(subject, card=card, answers=p, truth=np.eye(k)[y])


def parsed(page: str) -> ET.Element:
    """The page as a tree; it is well-formed XML on purpose."""
    return ET.fromstring(page)


def words_of(page: str) -> str:
    return " ".join("".join(parsed(page).itertext()).split())


def section(page: str, title: str) -> str:
    found = [s for s in parsed(page).iter("section") if s.findtext("h2") == title]
    return " ".join(" ".join(found[0].itertext()).split())


def test_the_route_answers_a_page_that_may_load_and_run_nothing(shared_http: Http) -> None:
    answer = shared_http.get(PAGE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    parsed(answer.text)
    refused(shared_http.get("/v1/heads/colour/versions/9/report"), 404, "version_not_found")
    refused(shared_http.get("/v1/heads/nope/versions/1/report"), 404, "head_not_found")


def test_the_page_stands_alone(subject: Subject) -> None:
    for page in map(write_report, (subject, many_classes(subject, 4))):
        assert not re.search(r"https?://|<script|url\(|@import", page, re.IGNORECASE)
        names = {name for each in parsed(page).iter() for name in each.attrib}
        assert not names & {"src", "href", "srcset", "data", "action"}
        assert not [name for name in names if name.startswith("on")]


def test_the_same_version_gives_the_same_page(subject: Subject) -> None:
    assert write_report(subject) == write_report(subject)


def test_figures_are_those_of_the_card(shared_http: Http) -> None:
    card = shared_http.get("/v1/heads/colour/versions/1").json()
    page = shared_http.get(PAGE).text
    table = section(page, "How good it is")
    for figures in (card["metrics"], card["baseline"]):
        for name in ("auc", "balanced_accuracy"):
            value, low, high = (figures[name][each] for each in ("value", "low", "high"))
            assert f"{value:.3f} ({low:.3f} to {high:.3f})" in table
    learnt = section(page, "What it learnt from")
    for name, count in card["class_counts"].items():
        assert f"{name} {count} 50 %" in learnt
    assert f"in {card['n_groups']} groups" in learnt
    confused = section(page, "What it confuses")
    for name, row in zip(card["classes"], card["confusion"], strict=True):
        cells = " ".join(f"{n} {100 * n / sum(row):.0f} %" for n in row)
        assert f"{name} {cells} {sum(row)}" in confused
    sets = section(page, "Prediction sets")
    low, high = card["sets"]["low"], card["sets"]["high"]
    assert f"{100 * low:.0f} % to {100 * high:.0f} %" in sets
    for known in ("fingerprint", "space_id", "artefact", "lightgbm", "created"):
        assert card[known] in section(page, "Where it comes from")
    for sentence in card["limits"] + card["warnings"]:
        assert " ".join(sentence.split()) in section(page, "Before you rely on it")


def test_figures_of_the_test_split_are_shown_where_there_is_one(subject: Subject) -> None:
    measure = {"auc": Measure(value=0.8125, low=0.7031, high=0.9014)}
    without = write_report(subject)
    card = replace(subject.card, metrics_test=measure, baseline_test={}, n_test_images=77)
    page = write_report(replace(subject, card=card))
    assert "test split" not in section(without, "How good it is")
    assert "AUC, test split 0.812 (0.703 to 0.901) unknown" in section(page, "How good it is")
    assert "on the 77 images of the test split" in words_of(page)


def test_a_head_that_knows_nothing_is_said_to(subject: Subject) -> None:
    nothing = replace(subject.card, signal=False, p_value=0.413)
    page = write_report(replace(subject, card=nothing))
    assert "Do not rely on it: no signal." in words_of(page)
    assert 'class="verdict bad"' in page
    assert 'class="verdict good"' in write_report(subject)
    assert "p = 0.413" in words_of(page)
    assert "Do not rely on it" not in words_of(write_report(subject))


def hostile(card: Card) -> Card:
    names = (HOSTILE, "a\"'&\x00\ud800\u202e")
    return replace(
        card,
        classes=names,
        class_counts=dict(zip(names, card.class_counts.values(), strict=True)),
        author=HOSTILE,
        lightgbm=HOSTILE,
        space_id=HOSTILE,
        fingerprint=HOSTILE,
        created=HOSTILE,
        limits=(HOSTILE,),
        warnings=(HOSTILE,),
        folds={**card.folds, "reason": HOSTILE},
        recipe=replace(card.recipe, blocks=(HOSTILE,)),
    )


def test_whatever_comes_from_outside_is_shown_and_never_run(subject: Subject) -> None:
    outside = replace(subject, card=hostile(subject.card), name=HOSTILE, dataset=HOSTILE)
    page = write_report(replace(outside, artefact=HOSTILE))
    page.encode()
    assert "<script" not in page
    assert {each.tag for each in parsed(page).iter()} <= KNOWN
    assert words_of(page).count(HOSTILE) > 12
    assert not set("\x00\u202e") & set(page)


KNOWN = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "div", "p", "strong"),
    *("section", "table", "thead", "tbody", "tr", "th", "td", "small", "ul", "li", "dl", "dt"),
    *("dd", "svg", "desc", "rect", "text", "polyline", "polygon", "circle"),
}


@given(st.text(st.characters(codec=None)))
def test_any_text_comes_back_from_an_element_as_text(text: str) -> None:
    made = element("p", text, title=text)
    made.encode()
    node = ET.fromstring(made)
    assert not list(node)
    assert len(node.text or "") == len(text)


def test_pictures_say_in_words_what_they_show(subject: Subject) -> None:
    pictures = list(parsed(write_report(many_classes(subject, 4))).iter("svg"))
    assert len(pictures) >= 4 + 1 + 1
    for picture in pictures:
        assert picture.findtext("title")
        assert picture.findtext("desc")
        assert picture.get("role") == "img"
        numbers = re.findall(r"nan|inf", ET.tostring(picture, "unicode"))
        assert numbers == []


def test_probabilities_that_were_corrected_are_shown_before_and_after(subject: Subject) -> None:
    found = subject.card.calibration
    raw = replace(found, reliability_before=({**found.reliability[0], "claimed": 0.123},))
    changed = replace(raw, rules=(replace(found.rules[0], method="affine"),), error_before=0.321)
    page = write_report(replace(subject, card=replace(subject.card, calibration=changed)))
    assert "raw: error 0.321" in page
    assert "claimed 0.12," in page
    assert page.count("<svg") == write_report(subject).count("<svg") + 1


def test_the_curve_of_two_classes_is_that_of_the_second(subject: Subject) -> None:
    p = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]], np.float32)
    page = write_report(replace(subject, answers=p, truth=np.array([[0.0], [1], [1], [0]])))
    (curve,) = [s for s in parsed(page).iter("svg") if "ROC" in (s.findtext("desc") or "")]
    assert curve.findtext("title") == subject.card.classes[1]
    assert "AUC 0.750" in [text.text for text in curve.iter("text")]
    assert "chance" in page
    sure = section(page, "How sure it was of the truth")
    assert "75 % of the images got 0.5 or more" in sure


def test_chance_is_one_in_as_many_classes_as_there_are(subject: Subject) -> None:
    table = section(write_report(many_classes(subject, 4)), "How good it is")
    assert re.search(r"AUC, cross-validated [^B]* 0\.500 Balanced", table)
    assert re.search(r"Balanced accuracy, cross-validated .* 0\.250", table)


def test_many_classes_are_told_by_the_ten_curves_and_worst_confusions(subject: Subject) -> None:
    page = write_report(many_classes(subject, 30))
    assert len([s for s in parsed(page).iter("svg") if "ROC" in (s.findtext("desc") or "")]) == 10
    assert "The 10 classes with most images" in page
    confused = section(page, "What it confuses")
    assert "rgb(" not in confused
    assert "shares" not in confused
    found = np.array(many_classes(subject, 30).card.confusion)
    kinds = np.count_nonzero(found) - np.count_nonzero(found.diagonal())
    assert f"the 25 most frequent of {kinds}." in confused


def test_columns_of_the_confusion_matrix_are_numbered_where_names_would_not_fit(
    subject: Subject,
) -> None:
    confused = section(write_report(many_classes(subject, 12)), "What it confuses")
    assert "called → 1 2 3 4 5 6 7 8 9 10 11 12 Images 1 class 0 " in confused


def test_a_roc_curve_counts_ties_half_and_ends_in_its_corners() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.3, 0.1], np.float32)
    inside = np.array([True, True, False, True, False])
    curve = roc(scores, inside)
    assert curve is not None
    assert curve.area == pytest.approx((2 + 1.5 + 1) / 6)
    assert (curve.false[0], curve.true[0]) == (0, 0)
    assert (curve.false[-1], curve.true[-1]) == (1, 1)
    assert np.all(curve.true_low <= curve.true)
    assert np.all(curve.true <= curve.true_high)
    assert roc(scores, np.ones(5, bool)) is None


def test_a_roc_curve_of_many_images_keeps_its_area_and_stays_small() -> None:
    random = np.random.default_rng(1)
    inside = random.random(20_000) < 0.3
    scores = (random.random(20_000) + inside * 0.5).astype(np.float32)
    curve = roc(scores, inside)
    assert curve is not None
    assert len(curve.true) <= 300
    assert np.trapezoid(curve.true, curve.false) == pytest.approx(curve.area, abs=2e-3)


def test_the_band_of_a_perfect_head_is_no_line_and_groups_widen_it() -> None:
    scores, inside = np.linspace(1, 0, 20).astype(np.float32), np.arange(20) < 10
    alone, grouped = roc(scores, inside), roc(scores, inside, 0.25)
    assert alone is not None
    assert grouped is not None
    assert alone.area == 1
    assert alone.true_low[10] < 0.75
    assert grouped.true_low[10] < alone.true_low[10]


@pytest.mark.parametrize("found", [0, 3, 8, 10])
def test_intervals_of_rates_are_those_of_scipy(found: int) -> None:
    low, high = wilson(np.array([found / 10]), 10)
    expected = binomtest(found, 10).proportion_ci(0.95**0.5, method="wilson")
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high))


def test_sizes_of_prediction_sets_are_counted() -> None:
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.45, 0.55], [0.2, 0.8]], np.float32)
    sizes = set_sizes(p, np.array([0, 1, 0, 0]), 0.5)
    assert (sizes.none, sizes.one, sizes.several, sizes.truth) == (0, 0.75, 0.25, 0.5)
    assert set_sizes(p, np.array([0, 1, 0, 0]), 0.85).none == 0.75


def test_clients_give_the_page_of_the_champion_or_of_one_version(home: Path) -> None:
    with local_client(settings_of(home)) as client:
        page = client.report("colour")
        assert page == client.report("colour", 1)
        assert "How good is colour@1?" in page
        with pytest.raises(PenultimateError) as error:
            client.report("colour", 7)
        assert error.value.code == "version_not_found"
        transport: Any = client._http._transport

        async def ask() -> str:
            async with AsyncClient("http://local", transport=transport._application) as other:
                return await other.report("colour")

        assert asyncio.run(ask()) == page
    assert Client.report.__signature__.return_annotation is str  # type: ignore[attr-defined]


@pytest.fixture
def own_logs() -> Iterator[None]:
    """Keeps from other tests that a command logs to a stream which is closed after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_the_command_writes_the_page_and_says_where(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_logs: None
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    place = tmp_path / "out.html"
    for head in ("colour", "colour@1"):
        place.unlink(missing_ok=True)
        done = CliRunner().invoke(app, ["report", head, "--out", str(place)], env=environment)
        assert (done.exit_code, done.stdout.strip()) == (0, str(place)), done.output
        assert "How good is colour@1?" in words_of(place.read_text("utf-8"))
    done = CliRunner().invoke(app, ["report", "colour"], env=environment)
    assert Path(done.stdout.strip()) == tmp_path / "report-colour-1.html"
    assert Path(done.stdout.strip()).read_text("utf-8") == place.read_text("utf-8")
    wrong = CliRunner().invoke(app, ["report", "colour@8"], env=environment)
    assert wrong.exit_code == 1


def test_the_learning_curve_is_drawn_to_twice_the_images(subject: Subject) -> None:
    growth = made_growth()
    page = write_report(replace(subject, card=replace(subject.card, growth=growth)))
    said = section(page, "Would more images help?")
    assert growth.sentence in said
    assert "foretold today's AUC within 0.03 in 3 of 5 draws, and missed by 0.041" in said
    for point in (*growth.measured, growth.fitted[-1]):
        assert f"{point['images']} images {point['value']:.3f}" in said
    assert [point["images"] for point in growth.fitted] == [20, 40, 80, 100, 120, 160]


def test_without_a_curve_the_report_says_why_and_draws_none(subject: Subject) -> None:
    card = subject.card
    fast = replace(card.recipe, report="fast")
    for changed, why in (
        (replace(card, growth=NO_SIGNAL), NO_SIGNAL.sentence),
        (replace(card, growth=None, recipe=fast), "the fast report"),
    ):
        page = write_report(replace(subject, card=changed))
        said = section(page, "Would more images help?")
        assert why in said
        assert "AUC by the number of images" not in page


def test_groups_are_said_to_be_whole_only_where_they_were(subject: Subject) -> None:
    whole = {"kind": "group-wise", "folds": 5, "repeats": 1, "reason": ""}
    split = {"kind": "stratified", "folds": 5, "repeats": 1, "reason": GROUPS_APART}
    pages = [
        write_report(replace(subject, card=replace(subject.card, n_groups=2, folds=folds)))
        for folds in (whole, split)
    ]
    assert ["never split" in page for page in pages] == [True, False]
    assert ["could not be kept together" in page for page in pages] == [False, True]


@pytest.mark.parametrize("images", [12, 30])
def test_a_head_of_very_few_images_does_not_promise_to_know_other_kinds(
    subject: Subject, images: int
) -> None:
    card = replace(subject.card, novelty=NoveltySize(1, images))
    page = write_report(replace(subject, card=card))
    assert ("nearly all of another kind" in page) == (images == 30)
    assert ("with so few images none can be" in page) == (images == 12)


def test_an_error_in_a_small_unit_is_told_from_none() -> None:
    error = Measure(value=3.2e-8, low=2.1e-8, high=4.3e-8)
    for told in (words.interval(error), cards.interval(error)):
        assert told == "3.2e-08 (2.1e-08 to 4.3e-08)"


def test_a_test_split_of_one_class_is_not_what_the_verdict_rests_on(subject: Subject) -> None:
    only = {"balanced_accuracy": Measure(value=1.0, low=0.7, high=1.0)}
    card = replace(subject.card, n_test_images=10, metrics_test=only)
    assert words.how_good(card) == words.how_good(subject.card)


def test_a_head_at_chance_is_not_said_to_be_explained_by_a_small_p(subject: Subject) -> None:
    said = words.verdict(replace(subject.card, signal=False, p_value=0.01))[1]
    assert "no better than chance" in said
    assert "may explain" in words.verdict(replace(subject.card, signal=False, p_value=0.3))[1]


def test_the_roc_band_counts_copies_as_one_image(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        answers, "roc", lambda scores, inside, independent: seen.append(independent)
    )
    few = replace(subject.card.sets, images=subject.card.n_images // 4)
    answers.curves(replace(subject, card=replace(subject.card, n_groups=None, sets=few)))
    assert seen == [pytest.approx(few.images / subject.card.n_images)]
