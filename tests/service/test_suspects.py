"""The label audit over HTTP and in a shell: wrong labels, copies, erased images."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import structlog
from in_process import Http, opened, refused, settings_of, teach
from live_server import picture
from PIL import Image
from typer.testing import CliRunner

from features.keys import digest
from service.cli import app
from service.schemas import SuspectsAnswer
from service.workflows.ingest import LabelledUpload, ingest

WRONG = {("red", 3): "green", ("green", 5): "red"}
PATH = "/v1/heads/colour/versions/1/suspects"


def copy_of(data: bytes) -> bytes:
    """The same picture in other bytes."""
    out = BytesIO()
    Image.open(BytesIO(data)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def uploads() -> list[LabelledUpload]:
    """Forty pictures of two colours, two of them mislabelled, two test images, and two copies."""
    found = [
        LabelledUpload(f"{c}-{n}.png", picture(c, n), WRONG.get((c, n), c), None, split)
        for c in ("red", "green")
        for n in range(21)
        for split in ["test" if n == 20 else "train"]
    ]
    found.append(LabelledUpload("again.webp", copy_of(picture("red", 3)), "red", None, "train"))
    found.append(LabelledUpload("twin.webp", copy_of(picture("red", 7)), "red", None, "train"))
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "home"


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[Http]:
    with opened(settings_of(home)) as http:
        ingest(http.product, "default", "colour", uploads())
        job = teach(http.product, "colour", "colour")
        assert job.state == "succeeded", job.error
        yield http


def audit(http: Http, query: str = "") -> Any:
    answer = http.get(PATH + query)
    assert answer.status_code == 200, answer.text
    SuspectsAnswer.model_validate(answer.json())
    return answer.json()


def test_mislabelled_images_lead_the_list_with_what_they_look_like(http: Http) -> None:
    found = audit(http)
    assert (found["head"], found["version"]) == ("colour", 1)
    first = {s["filename"]: (s["label"], s["likely"]) for s in found["suspects"][:2]}
    assert first == {"red-3.png": ("green", "red"), "green-5.png": ("red", "green")}
    assert [s["digest"] for s in found["suspects"] if s["filename"] == "red-3.png"] == [
        digest(picture("red", 3))
    ]
    assert [s["rank"] for s in found["suspects"]] == [*range(1, len(found["suspects"]) + 1)]
    scores = [s["score"] for s in found["suspects"]]
    assert scores == sorted(scores)
    assert all(0 <= score < 0.5 for score in scores)


def test_limit_cuts_the_lists_and_has_bounds(http: Http) -> None:
    assert audit(http, "?limit=1")["suspects"] == audit(http)["suspects"][:1]
    assert len(audit(http, "?limit=1")["duplicates"]) == 1
    for wrong in ("0", "1001", "x"):
        refused(http.get(f"{PATH}?limit={wrong}"), 422, "invalid_request")


def test_copies_are_named_together_conflicting_labels_first(http: Http) -> None:
    groups = audit(http)["duplicates"]
    assert [(sorted(g["filenames"]), sorted(g["labels"])) for g in groups] == [
        (["again.webp", "red-3.png"], ["green", "red"]),
        (["red-7.png", "twin.webp"], ["red", "red"]),
    ]
    assert all(0.9999 <= g["score"] <= 1 for g in groups)


def test_a_head_or_version_that_is_not_there_is_refused(http: Http) -> None:
    refused(http.get("/v1/heads/nope/versions/1/suspects"), 404, "head_not_found")
    refused(http.get("/v1/heads/colour/versions/9/suspects"), 404, "version_not_found")


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """A command sends the log to its own standard error, which is closed when it has ended."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_the_command_prints_both_tables(http: Http, home: Path, log_as_before: None) -> None:
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    for head in ("colour", "colour@1"):
        ended = CliRunner().invoke(app, ["suspects", head, "--limit", "3"], env=environment)
        assert ended.exit_code == 0, ended.output
        lines = [line.split() for line in ended.stdout.splitlines()]
        assert lines[0] == ["file", "label", "looks", "like", "score"]
        assert {tuple(line[:3]) for line in lines[1:3]} == {
            ("red-3.png", "green", "red"),
            ("green-5.png", "red", "green"),
        }
        assert ["same", "file", "label", "score"] in lines


# --- from here on the home changes ---------------------------------------------------------------


def test_an_erased_image_is_not_named_and_shifts_no_other(home: Path, http: Http) -> None:
    http.delete(f"/v1/images/{digest(picture('red', 3))}")
    http.delete(f"/v1/images/{digest(picture('green', 0))}")
    found = audit(http)
    assert found["suspects"][0]["filename"] == "green-5.png"
    named = {d for g in found["duplicates"] for d in g["digests"]}
    assert digest(picture("red", 3)) not in named | {s["digest"] for s in found["suspects"]}


def test_a_version_without_rows_has_no_suspects(http: Http) -> None:
    catalog = http.product.catalog
    (first,) = catalog.heads.entry("default", "colour").versions
    with catalog.database.write() as connection:
        version = catalog.heads.register(
            connection,
            "default",
            "colour",
            artefact=first.artefact,
            space_id=first.space_id,
            dataset="colour",
            training=catalog.heads.training_labels("default", "colour", 1),
            actor="test",
        )
    answer = http.get(f"/v1/heads/colour/versions/{version}/suspects").json()
    assert answer["suspects"] == []
