"""What to label next, over HTTP and in a shell: unlabelled images of the head's own dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from in_process import Http, opened, refused, settings_of, teach
from live_server import picture
from typer.testing import CliRunner

from features.keys import digest
from service.cli import app
from service.schemas import NextAnswer
from service.workflows.ingest import LabelledUpload, ingest

PATH = "/v1/heads/colour/versions/1/next"
BARE = [("red", 50), ("green", 50), ("blue", 50), ("blue", 51)]


def uploads() -> list[LabelledUpload]:
    """Labelled pictures of two colours, unlabelled ones of three, and one of a test split."""
    found = [
        LabelledUpload(f"{c}-{n}.png", picture(c, n), c)
        for c in ("red", "green")
        for n in range(12)
    ]
    found += [LabelledUpload(f"{c}-{n}.png", picture(c, n), None, "later") for c, n in BARE]
    return [*found, LabelledUpload("kept-aside.png", picture("blue", 60), None, None, "test")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("next") / "home"


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[Http]:
    with opened(settings_of(home)) as http:
        ingest(http.product, "default", "colour", uploads())
        strangers = [LabelledUpload("elsewhere.png", picture("blue", 70))]
        ingest(http.product, "default", "another", strangers)
        job = teach(http.product, "colour", "colour")
        assert job.state == "succeeded", job.error
        yield http


def asked(http: Http, query: str = "") -> Any:
    answer = http.get(PATH + query)
    assert answer.status_code == 200, answer.text
    NextAnswer.model_validate(answer.json())
    return answer.json()


def test_unlabelled_images_of_the_heads_dataset_are_named_and_no_others(http: Http) -> None:
    found = asked(http)
    assert (found["head"], found["version"], found["dataset"]) == ("colour", 1, "colour")
    named = {(image["filename"], image["digest"]) for image in found["images"]}
    assert named == {(f"{c}-{n}.png", digest(picture(c, n))) for c, n in BARE}
    assert found["unlabelled"] == 4
    assert {image["group"] for image in found["images"]} == {"later"}


def test_what_is_unlike_anything_labelled_comes_first_and_says_so(http: Http) -> None:
    images = asked(http)["images"]
    assert images[0]["filename"].startswith("blue")
    assert "unlike" in images[0]["why"]
    assert [image["rank"] for image in images] == [1, 2, 3, 4]
    assert [i["score"] for i in images] == sorted((i["score"] for i in images), reverse=True)
    for image in images:
        p = image["probabilities"]
        assert set(p) == {"red", "green"}
        assert image["label"] == max(p, key=p.__getitem__)


def test_the_same_question_has_the_same_answer_and_a_limit_cuts_it(http: Http) -> None:
    whole = asked(http)
    assert asked(http) == whole
    assert asked(http, "?limit=2")["images"] == whole["images"][:2]
    for wrong in ("0", "1001", "x"):
        refused(http.get(f"{PATH}?limit={wrong}"), 422, "invalid_request")


def test_a_head_or_version_that_is_not_there_is_refused(http: Http) -> None:
    refused(http.get("/v1/heads/nope/versions/1/next"), 404, "head_not_found")
    refused(http.get("/v1/heads/colour/versions/9/next"), 404, "version_not_found")


def test_a_head_of_another_space_is_refused(http: Http) -> None:
    catalog = http.product.catalog
    (first,) = catalog.heads.entry("default", "colour").versions
    with catalog.database.write() as connection:
        catalog.heads.register(
            connection,
            "default",
            "foreign",
            artefact=first.artefact,
            space_id="f" * 16,
            dataset="colour",
            training={},
            actor="test",
        )
    refused(http.get("/v1/heads/foreign/versions/1/next"), 409, "space_mismatch")


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """A command sends the log to its own standard error, which is closed when it has ended."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def run(home: Path, *arguments: str) -> Any:
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    return CliRunner().invoke(app, arguments, env=environment)


def test_the_command_prints_a_table(http: Http, home: Path, log_as_before: None) -> None:
    for head in ("colour", "colour@1"):
        ended = run(home, "next", head, "--limit", "2")
        assert ended.exit_code == 0, ended.output
        lines = ended.stdout.splitlines()
        assert lines[0].split() == ["file", "looks", "like", "probability", "why", "score"]
        assert lines[1].startswith("blue-")
        assert len(lines) == 3
        assert "2 of 4 unlabelled images." in ended.stderr


# --- from here on the home changes ---------------------------------------------------------------


def test_a_folder_without_labels_joins_the_list(
    http: Http, home: Path, tmp_path: Path, log_as_before: None
) -> None:
    folder = tmp_path / "new"
    (folder / "red").mkdir(parents=True)
    (folder / "red" / "deep.png").write_bytes(picture("red", 80))
    (folder / "flat.png").write_bytes(picture("green", 80))
    ended = run(home, "ingest", "colour", str(folder), "--unlabelled", "--json")
    assert ended.exit_code == 0, ended.output
    assert asked(http)["unlabelled"] == 6
    ended = run(home, "ingest", "colour", str(folder), "--unlabelled", "--relabel")
    assert ended.exit_code == 2


def test_an_image_leaves_the_list_with_its_label_and_comes_back_without(http: Http) -> None:
    key = digest(picture("blue", 50))

    def put(label: str | None) -> set[str]:
        body = {"labels": [{"digest": key, "label": label}]}
        assert http.put("/v1/datasets/colour/labels", json=body).status_code == 200
        return {image["digest"] for image in asked(http)["images"]}

    assert key not in put("red")
    assert key in put(None)


def test_an_erased_image_is_not_named(http: Http) -> None:
    key = digest(picture("blue", 51))
    http.delete(f"/v1/images/{key}")
    assert key not in {image["digest"] for image in asked(http)["images"]}


def test_another_workspace_has_its_own_images_and_heads(http: Http) -> None:
    from service.errors import NotFound
    from service.workflows.next_labels import next_to_label

    with pytest.raises(NotFound):
        next_to_label(http.product, "other", "colour", 1, 5)
