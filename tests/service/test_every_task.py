"""Several labels, grades and numbers: learnt, asked, audited and reported like classes."""

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import structlog
from doubting import undoubted_said
from in_process import Http, opened, refused, settings_of, teach
from PIL import Image
from typer.testing import CliRunner

from features.keys import digest
from service.cli import app
from service.local import local_client
from service.schemas import PredictAnswer
from service.workflows.ingest import LabelledUpload, ingest

N = 40


def shade(number: int, seed: int = 0) -> tuple[bytes, float, float]:
    """An image, how bright it is and how red, both from 0 to 1."""
    rng = np.random.default_rng([seed, number])
    bright, red = rng.random(2)
    pixels = rng.integers(0, 25, (40, 40, 3)) + np.array([70 * red, 0, 0]) + 150 * bright
    out = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue(), float(bright), float(red)


def several(bright: float, red: float) -> str:
    has = [name for name, yes in (("bright", bright > 0.5), ("red", red > 0.5)) if yes]
    return "|".join(has) or "-"


LABELS: dict[str, Callable[[float, float], str]] = {
    "multilabel": several,
    "ordinal": lambda bright, _: str(min(2, int(3 * bright))),
    "regression": lambda bright, _: f"{100 * bright:.2f}",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tasks") / "home"


@pytest.fixture(scope="module")
def http(place: Path) -> Iterator[Http]:
    """A head of each task; only the one of grades was told which, for bare numbers are names."""
    with opened(settings_of(place)) as http:
        for task, label in LABELS.items():
            uploads = [
                LabelledUpload(f"{n}.png", data, label(bright, red))
                for n, (data, bright, red) in ((n, shade(n)) for n in range(N))
            ]
            ingest(http.product, "default", task, uploads)
            job = teach(http.product, task, task, "ordinal" if task == "ordinal" else "auto")
            assert job.state == "succeeded", job.error
        yield http


def ask(http: Http, task: str, n: int = 12) -> list[tuple[dict[str, Any], float, float]]:
    """What a head says of new images, and what is true of each."""
    asked = [shade(number, seed=1) for number in range(n)]
    answer = http.predict(*(data for data, *_ in asked), heads=task)
    assert answer.status_code == 200, answer.text
    PredictAnswer.model_validate(answer.json())
    said = [result["predictions"][0] for result in answer.json()["results"]]
    return [(one, *truth) for one, (_, *truth) in zip(said, asked, strict=True)]


def half_bright() -> bytes:
    """An image whose left half is as bright as can be, the right one dark."""
    pixels = np.random.default_rng(3).integers(0, 25, (40, 40, 3))
    pixels[:, :20] += 200
    out = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def explained(http: Http, task: str, *images: bytes) -> list[dict[str, Any]]:
    answer = http.predict(*images, heads=task, explain="true")
    assert answer.status_code == 200, answer.text
    PredictAnswer.model_validate(answer.json())
    return [result["predictions"][0] for result in answer.json()["results"]]


def total(found: dict[str, Any]) -> float:
    return float(found["base"] + np.sum(found["grid"]))


def test_every_label_has_a_heat_map_that_adds_up_to_its_log_odds(http: Http) -> None:
    for said in explained(http, "multilabel", *(shade(n, seed=2)[0] for n in range(4))):
        found = said["explanations"]
        assert said["explanation"] == found[0]
        assert sorted(one["of"] for one in found) == ["bright", "red"]
        for one in found:
            p = undoubted_said(http, said)[one["of"]]
            assert (one["against"], one["unit"]) == (None, "log odds")
            assert one["score"] == pytest.approx(np.log(p / (1 - p)), rel=1e-6)
            assert total(one) == pytest.approx(one["score"], rel=1e-6)
        assert found[0]["score"] >= found[1]["score"]


def test_a_number_is_its_heat_map_added_up(http: Http) -> None:
    for said in explained(http, "regression", *(shade(n, seed=2)[0] for n in range(4))):
        found = said["explanation"]
        assert (found["of"], found["against"], found["unit"]) == ("higher", "lower", "number")
        assert found["score"] == pytest.approx(said["value"], rel=1e-6)
        assert total(found) == pytest.approx(said["value"], rel=1e-6)
        assert "explanations" not in said


def test_a_grade_has_the_heat_map_of_the_cut_beside_it(http: Http) -> None:
    compared = 0
    sides = {("0", "1 or above"), ("1 or above", "0"), ("1 or below", "2"), ("2", "1 or below")}
    for said in explained(http, "ordinal", *(shade(n, seed=2)[0] for n in range(8))):
        found, p = said["explanation"], undoubted_said(http, said)
        assert (found["of"], found["against"]) in sides
        assert said["label"] in found["of"] or found["of"].startswith("1 or")
        side = {"0": ["0"], "2": ["2"], "1 or above": ["1", "2"], "1 or below": ["0", "1"]}
        inside = sum(p[grade] for grade in side[found["of"]])
        outside = sum(p[grade] for grade in side[found["against"]])
        assert total(found) == pytest.approx(found["score"], rel=1e-6)
        if min(inside, outside) > 1e-9:
            assert found["score"] == pytest.approx(np.log(inside / outside), rel=1e-5)
            compared += 1
    assert compared


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_brightness_is_found_where_it_is(http: Http, task: str) -> None:
    (said,) = explained(http, task, half_bright())
    found = said["explanation"]
    if task == "multilabel":
        (found,) = [one for one in said["explanations"] if one["of"] == "bright"]
    grid = np.array(found["grid"])
    middle = grid.shape[1] // 2
    assert grid[:, :middle].sum() > grid[:, middle:].sum() + 0.1


def card_of(http: Http, task: str) -> dict[str, Any]:
    card: dict[str, Any] = http.get(f"/v1/heads/{task}/versions/1").json()
    return card


@pytest.mark.parametrize(
    ("task", "metrics", "classes"),
    [
        ("multilabel", {"auc", "balanced_accuracy"}, ["bright", "red"]),
        ("ordinal", {"auc", "kappa", "mean_absolute_error"}, ["0", "1", "2"]),
        ("regression", {"spearman", "r2", "mean_absolute_error"}, []),
    ],
)
def test_the_card_has_the_figures_of_its_task(
    http: Http, task: str, metrics: set[str], classes: list[str]
) -> None:
    card = card_of(http, task)
    assert (card["task"], card["classes"], card["signal"]) == (task, classes, True)
    assert set(card["metrics"]) == set(card["baseline"]) == metrics
    assert set(card["class_counts"]) == set(classes)


def test_several_labels_are_answered_each_for_itself(http: Http) -> None:
    right = 0
    for said, bright, _ in ask(http, "multilabel"):
        assert said["task"] == "multilabel"
        assert said["label"] == ("|".join(said["labels"]) or "-")
        assert said["labels"] == [name for name, p in said["probabilities"].items() if p >= 0.5]
        assert said["abstains"] == (said["set"] != said["labels"])
        right += ("bright" in said["labels"]) == (bright > 0.5)
    assert right >= 10
    assert set(card_of(http, "multilabel")["label_auc"]) == {"bright", "red"}


def test_grades_are_answered_in_order_and_sets_have_no_holes(http: Http) -> None:
    off = []
    for said, bright, _ in ask(http, "ordinal"):
        assert list(said["probabilities"]) == ["0", "1", "2"]
        assert sum(said["probabilities"].values()) == pytest.approx(1)
        assert said["set"] in (["0"], ["1"], ["2"], ["0", "1"], ["1", "2"], ["0", "1", "2"], [])
        off.append(abs(int(said["label"]) - int(LABELS["ordinal"](bright, 0))))
    assert np.mean(off) < 0.5


def test_a_number_is_answered_with_the_interval_it_lies_in(http: Http) -> None:
    held, off = 0, []
    for said, bright, _ in ask(http, "regression", 30):
        assert (said["probabilities"], said["set"], said["abstains"]) == ({}, [], False)
        assert float(said["label"]) == pytest.approx(said["value"], rel=1e-4)
        assert said["high"] - said["value"] == pytest.approx(said["value"] - said["low"])
        held += said["low"] <= 100 * bright <= said["high"]
        off.append(abs(said["value"] - 100 * bright))
    assert held >= 23
    assert np.mean(off) < 15


@pytest.mark.parametrize("task", LABELS)
def test_its_label_audit_names_a_label_that_was_wrong(http: Http, task: str) -> None:
    audit = http.get(f"/v1/heads/{task}/versions/1/suspects").json()
    for suspect in audit["suspects"]:
        assert 0 <= suspect["score"] <= 1
        assert suspect["label"] != suspect["likely"]
    if task == "regression":
        assert len(audit["suspects"]) == N // 10


@pytest.mark.parametrize(
    ("task", "titles"),
    [
        ("multilabel", {"What is found at which price: ROC curves", "Prediction sets"}),
        ("ordinal", {"What it confuses", "Prediction sets"}),
        ("regression", {"How near its numbers are", "Intervals"}),
    ],
)
def test_its_report_has_the_sections_of_its_task(http: Http, task: str, titles: set[str]) -> None:
    page = http.get(f"/v1/heads/{task}/versions/1/report").text
    tree = ET.fromstring(page)
    assert titles <= {section.findtext("h2") for section in tree.iter("section")}
    for measure in card_of(http, task)["metrics"].values():
        assert f"{measure['value']:.3f}" in page
    assert "nan" not in {word.strip("(),") for word in "".join(tree.itertext()).split()}


def test_evidence_comes_with_every_task(http: Http) -> None:
    known = digest(shade(0)[0])
    body = {"digests": [known], "heads": list(LABELS), "evidence": 2}
    (result,) = http.post("/v1/predict", json=body).json()["results"]
    assert [p["task"] for p in result["predictions"]] == list(LABELS)
    assert all(len(p["evidence"]) == 2 for p in result["predictions"])


def test_labels_that_are_not_of_the_stated_task_are_refused_before_anything_is_queued(
    http: Http,
) -> None:
    body = {"name": "wrong", "dataset": "multilabel", "task": "regression"}
    problem = refused(http.post("/v1/heads", json=body), 422, "labels_not_ready")
    assert [found["code"] for found in problem["problems"]] == ["task_misfit"]
    assert "number" in problem["problems"][0]["detail"]


@pytest.mark.parametrize(
    ("task", "looked_at"), [("multilabel", 0), ("ordinal", 1), ("regression", 0)]
)
def test_a_quick_look_sees_grades_and_refuses_what_it_cannot_see(
    http: Http, task: str, looked_at: int
) -> None:
    answer = http.get(f"/v1/datasets/{task}/look")
    if looked_at:
        assert (answer.status_code, answer.json()["verdict"]) == (200, "signal")
        return
    refused(answer, 422, "labels_not_ready")
    body = {"backbones": ["toy"]}
    refused(http.post(f"/v1/datasets/{task}/compare", json=body), 422, "labels_not_ready")


def test_grades_that_are_words_are_learnt_in_their_order(http: Http) -> None:
    names = ("dark", "middling", "light")
    uploads = [
        LabelledUpload(f"{n}.png", data, names[int(LABELS["ordinal"](bright, 0))])
        for n, (data, bright, _) in ((n, shade(n)) for n in range(N))
    ]
    ingest(http.product, "default", "words", uploads)
    job = teach(http.product, "words", "words", "ordinal", order=list(names))
    assert job.state == "succeeded", job.error
    assert card_of(http, "words")["classes"] == list(names)
    assert card_of(http, "words")["metrics"] == card_of(http, "ordinal")["metrics"]


@pytest.mark.parametrize("task", LABELS)
def test_an_unlabelled_image_of_any_task_is_proposed_with_its_answer(http: Http, task: str) -> None:
    bare = digest(shade(1)[0])
    unlabelled = {"labels": [{"digest": bare, "label": None}]}
    assert http.put(f"/v1/datasets/{task}/labels", json=unlabelled).status_code == 200
    (found,) = http.get(f"/v1/heads/{task}/versions/1/next").json()["images"]
    body = {"digests": [bare], "heads": [task]}
    (said,) = http.post("/v1/predict", json=body).json()["results"][0]["predictions"]
    assert (found["digest"], found["label"]) == (bare, said["label"])
    assert found["probabilities"] == pytest.approx(said["probabilities"])
    assert ("uncertain" in found["why"]) == said["abstains"]


@pytest.fixture
def own_logs() -> Iterator[None]:
    """Keeps from other tests that a command logs to a stream which is closed after it."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_every_task_is_shown_in_a_terminal(
    http: Http, place: Path, tmp_path: Path, own_logs: None
) -> None:
    image = tmp_path / "new.png"
    image.write_bytes(shade(3, seed=1)[0])
    environment = {"PENULTIMATE_HOME": str(place), "PENULTIMATE_BACKBONE": "toy"}

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, words, env=environment)
        assert done.exit_code == 0, done.output
        return done.stdout

    said = run("predict", str(image), "--heads", ",".join(LABELS))
    with local_client(settings_of(place)) as client:
        (result,) = client.predict([image.read_bytes()], list(LABELS))["results"]
    for prediction in result["predictions"]:
        assert f"{prediction['head']}@1 {prediction['label']}" in " ".join(said.split())
    assert f"{result['predictions'][2]['low']:.4g} to" in said
    assert "Spearman's correlation" in run("heads", "show", "regression")
    assert "quadratic kappa" in run("heads", "show", "ordinal")
    assert "2 labels learnt from 40 images" in run("heads", "show", "multilabel")
