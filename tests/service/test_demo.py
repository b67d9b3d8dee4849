"""The demo teaches once, is quick the second time, and asks about a picture none has seen."""

from pathlib import Path

import pytest

from service import demo
from service.client import Client
from service.local import local_client
from service.settings import Settings


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, demo.Shown]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(backbone="toy", home=home, log_level="error")
    with local_client(settings) as client:
        return settings, run(client, home)


def run(client: Client, home: Path, *, again: bool = False) -> demo.Shown:
    return demo.run(client, home / "demo", again=again, on_progress=lambda *_: None)


def test_three_heads_learn_from_the_same_images(first: tuple[Settings, demo.Shown]) -> None:
    settings, shown = first

    assert shown.learnt == ("which-digit", "even-or-odd", "has-a-loop")
    assert len(shown.cards["which-digit"]["classes"]) == 10
    assert {c["n_images"] for c in shown.cards.values()} == {len(demo.pictures()[0])}
    with local_client(settings) as client:
        assert len({d["images"] for d in client.datasets()["datasets"]}) == 1


def test_all_heads_answer_about_a_picture_that_none_has_seen(
    first: tuple[Settings, demo.Shown],
) -> None:
    settings, shown = first
    result = shown.prediction["results"][0]

    assert [p["head"] for p in result["predictions"]] == list(demo.QUESTIONS)
    assert all(p["error"] is None for p in result["predictions"])
    assert shown.sample == settings.home / "demo" / "sample.png"
    assert shown.sample.read_bytes() not in [d.data for d in demo.pictures()[0]]
    assert len(shown.search["hits"]) == demo.HITS


def test_a_second_run_teaches_nothing_and_again_teaches_all(
    first: tuple[Settings, demo.Shown],
) -> None:
    settings, shown = first
    with local_client(settings) as client:
        second = run(client, settings.home)
        assert second.learnt == ()
        assert (
            second.prediction["results"][0]["predictions"]
            == (shown.prediction["results"][0]["predictions"])
        )
        assert len(client.jobs()["jobs"]) == 3

        third = run(client, settings.home, again=True)
        assert third.learnt == shown.learnt
        assert client.head("which-digit")["champion"] == 2
        assert client.dataset("which-digit")["images"] == len(demo.pictures()[0])


def test_the_pictures_are_real_and_the_same_every_time() -> None:
    training, sample = demo.pictures()

    assert 300 <= len(training) <= 400
    assert len({d.data for d in training}) == len(training)
    assert {d.digit for d in training} == set(range(10))
    assert demo.pictures() == (training, sample)


@pytest.mark.parametrize(
    ("digit", "labels"),
    [(4, ("4", "even", "no loop")), (9, ("9", "odd", "loop")), (6, ("6", "even", "loop"))],
)
def test_the_questions_are_what_their_names_say(digit: int, labels: tuple[str, ...]) -> None:
    assert tuple(question(digit) for question in demo.QUESTIONS.values()) == labels
