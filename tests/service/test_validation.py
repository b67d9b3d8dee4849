"""A head tried on a dataset over HTTP: which of its images count, and what is answered."""

from collections.abc import Iterable
from typing import Any

import pytest
from in_process import Http, refused
from live_server import picture

from service.schemas import ValidationAnswer
from service.workflows import validation
from service.workflows.ingest import LabelledUpload, ingest

PLACE = "/v1/heads/{}/versions/1/validation"
COLOURS = ("red", "green")


def add(http: Http, dataset: str, images: Iterable[tuple[bytes, str, str]]) -> None:
    uploads = [
        LabelledUpload(f"{n}.png", data, label or None, group or None)
        for n, (data, label, group) in enumerate(images)
    ]
    answer = ingest(http.product, "default", dataset, uploads)
    assert not answer["rejected"]


def fresh(first: int, count: int = 12) -> list[tuple[bytes, str, str]]:
    """New pictures of both colours, each of a patient of its own."""
    numbers = range(first, first + count)
    return [(picture(c, n), c, f"new {c} {n}") for c in COLOURS for n in numbers]


def validated(http: Http, dataset: str, head: str = "colour") -> dict[str, Any]:
    answer = http.get(PLACE.format(head), params={"dataset": dataset})
    assert answer.status_code == 200, answer.text
    ValidationAnswer.model_validate(answer.json())
    return answer.json()  # type: ignore[no-any-return]


def left_out(answer: dict[str, Any]) -> dict[str, int]:
    return {reason: count for reason, count in answer["left_out"].items() if count}


def test_a_head_is_tried_on_a_dataset_that_it_never_saw(http: Http) -> None:
    add(http, "later", fresh(800))
    said = validated(http, "later")
    assert (said["head"], said["version"], said["dataset"]) == ("colour", 1, "later")
    assert (said["images"], said["groups"], left_out(said)) == (24, 24, {})
    assert said["metrics"]["auc"]["value"] == 1
    assert said["confusion"] == [[12, 0], [0, 12]]
    assert said["stated"] == http.get("/v1/heads/colour/versions/1").json()["metrics"]
    assert said["words"].startswith("No worse here")
    assert http.get("/v1/jobs").json()["jobs"][0]["kind"] == "learn", "nothing is queued"


def test_what_it_learnt_from_and_the_same_patients_are_left_out(http: Http) -> None:
    """Also where the patient's name is known from the other dataset alone."""
    again = [(picture(c, n), c, f"patient {n}") for c in COLOURS for n in range(3)]
    same = [(picture(c, 900 + n), c, f"patient {n + 7}") for c in COLOURS for n in range(2)]
    renamed = [(picture("red", 5), "red", "child 5"), (picture("red", 905), "red", "child 5")]
    add(http, "later", [*fresh(800), *again, *same, *renamed])
    said = validated(http, "later")
    assert (said["images"], left_out(said)) == (24, {"learnt_from": 7, "same_group": 5})


def test_images_that_say_nothing_are_left_out_and_counted(http: Http) -> None:
    odd = [
        (picture("red", 901), "", ""),
        (picture("red", 902), "blue", ""),
        (picture("red", 903), "red", ""),
        (picture("red", 903), "green", ""),
    ]
    add(http, "later", [*fresh(800), *odd])
    said = validated(http, "later")
    assert said["images"] == 24
    assert left_out(said) == {"unlabelled": 1, "other_labels": 1, "conflicting": 1}


def test_a_nearly_equal_picture_of_one_that_it_learnt_from_is_no_new_one(http: Http) -> None:
    from io import BytesIO

    from PIL import Image

    out = BytesIO()
    Image.open(BytesIO(picture("red", 0))).save(out, "BMP")
    add(http, "later", [*fresh(800), (out.getvalue(), "red", "somebody else")])
    said = validated(http, "later")
    assert (said["images"], left_out(said)) == (24, {"copies": 1})


def test_of_very_many_images_some_are_drawn(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MOST", 10)
    add(http, "later", fresh(800))
    said = validated(http, "later")
    assert (said["images"], left_out(said)) == (10, {"not_drawn": 14})


def test_the_test_images_of_an_official_split_count(http: Http) -> None:
    images = [(c, n) for c in COLOURS for n in range(800, 824)]
    uploads = [
        LabelledUpload(f"{n}.png", picture(c, n), c, None, "test" if n >= 812 else "train")
        for c, n in images
    ]
    ingest(http.product, "default", "split", uploads)
    http.post("/v1/heads", json={"name": "split", "dataset": "split"})
    (job,) = http.work()
    assert job.state == "succeeded", job.error
    said = validated(http, "split", "split")
    assert (said["images"], left_out(said)) == (24, {"learnt_from": 24})
    card = http.get("/v1/heads/split/versions/1").json()
    assert said["stated"] == card["metrics_test"]
    assert (
        said["metrics"]["balanced_accuracy"]["value"]
        == (card["metrics_test"]["balanced_accuracy"]["value"])
    )


def test_where_no_image_is_left_it_says_why(http: Http) -> None:
    said = refused(http.get(PLACE.format("colour"), params={"dataset": "colour"}), 409, "conflict")
    assert "24 that it learnt from" in said["detail"]
    add(http, "others", [(picture("red", 901), "blue", "")])
    said = refused(http.get(PLACE.format("colour"), params={"dataset": "others"}), 409, "conflict")
    assert "1 with labels that the head does not know" in said["detail"]


def test_what_does_not_exist_is_refused(shared_http: Http) -> None:
    place = PLACE.format("colour")
    refused(shared_http.get(place, params={"dataset": "nope"}), 404, "dataset_not_found")
    refused(shared_http.get(place), 422, "invalid_request")
    gone = {"params": {"dataset": "colour"}}
    refused(shared_http.get(PLACE.format("nope"), **gone), 404, "head_not_found")
    refused(
        shared_http.get("/v1/heads/colour/versions/9/validation", **gone), 404, "version_not_found"
    )


def test_a_head_that_came_as_a_file_is_tried_on_images_of_the_house(http: Http) -> None:
    packed = http.get("/v1/heads/colour/versions/1/file").content
    http.post("/v1/heads/theirs/versions", files=[("file", ("a.zip", packed))])
    add(http, "ours", fresh(800))
    assert validated(http, "ours", "theirs")["metrics"] == validated(http, "ours")["metrics"]


def test_a_head_of_another_space_cannot_be_tried(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    place = http.product.workspaces["default"]
    monkeypatch.setattr(place, "space", replace(place.space, backbone="other"))
    refused(http.get(PLACE.format("colour"), params={"dataset": "colour"}), 409, "space_mismatch")


def test_an_image_that_is_erased_meanwhile_is_said(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.errors import UnknownDigest

    add(http, "later", fresh(800))

    def gone(_: object) -> None:
        raise UnknownDigest(["a" * 64])

    monkeypatch.setattr(http.product.workspaces["default"].store, "rows", gone)
    said = refused(http.get(PLACE.format("colour"), params={"dataset": "later"}), 409, "conflict")
    assert "erased meanwhile" in said["detail"]
