"""Datasets over HTTP: images with labels in, counts and problems out."""

import json
from typing import Any

import pytest
from in_process import Http, files, opened, refused, settings_of
from live_server import picture
from packed import tarred, zipped

from features.keys import digest
from service.schemas import IngestAnswer

RED, GREEN, BLUE = picture("red", 100), picture("green", 101), picture("blue", 102)


def add(http: Http, dataset: str, *images: bytes, **fields: Any) -> Any:
    answer = http.post(f"/v1/datasets/{dataset}/images", files=files(*images), data=fields)
    assert answer.status_code == 200, answer.text
    IngestAnswer.model_validate(answer.json())
    return answer.json()


def send(http: Http, archive: bytes, name: str = "a.zip") -> Any:
    return http.post("/v1/datasets/d/images", files={"archive": (name, archive)})


def show(http: Http, dataset: str) -> Any:
    answer = http.get(f"/v1/datasets/{dataset}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_images_make_a_dataset_and_are_counted(empty_http: Http) -> None:
    body = add(empty_http, "d", RED, GREEN, labels=["red", "green"], groups=["p1", "p1"])
    assert (body["dataset"], body["added"], body["known"], body["rejected"]) == ("d", 2, 0, [])
    assert body["labels"] == {"green": 1, "red": 1}
    assert [(i["filename"], i["digest"], i["state"]) for i in body["images"]] == [
        ("0.png", digest(RED), "added"),
        ("1.png", digest(GREEN), "added"),
    ]
    said = show(empty_http, "d")
    assert (said["images"], said["labels"], said["groups"]) == (
        2,
        {"green": 1, "red": 1},
        {"p1": 2},
    )
    assert said["unlabelled"] == 0
    listed = empty_http.get("/v1/datasets").json()["datasets"]
    assert [(d["name"], d["images"], d["groups"]) for d in listed] == [("d", 2, 1)]


def test_every_file_is_added_known_or_rejected_with_its_reason(empty_http: Http) -> None:
    add(empty_http, "d", RED, labels=["red"])
    body = add(
        empty_http,
        "d",
        *[RED, b"no image", GREEN, GREEN[:200], BLUE, b""],
        labels=["red", "red", "green", "green", "bl\x07ue", "red"],
    )
    assert (body["added"], body["known"]) == (1, 1)
    assert [(r["filename"], r["code"]) for r in body["rejected"]] == [
        ("1.png", "not_an_image"),
        ("3.png", "truncated_image"),
        ("4.png", "invalid_request"),
        ("5.png", "empty_image"),
    ]
    assert all(r["detail"] and r["hint"] for r in body["rejected"])
    assert body["labels"] == {"green": 1, "red": 1}


def test_sending_again_changes_nothing(http: Http) -> None:
    before = show(http, "colour")
    body = add(http, "colour", picture("red", 0), picture("green", 0), labels=["red", "green"])
    assert (body["added"], body["known"]) == (0, 2)
    assert show(http, "colour") == before


def test_the_same_image_twice_in_one_request_is_added_once(empty_http: Http) -> None:
    body = add(empty_http, "d", RED, RED, labels=["red", "red"])
    assert (body["added"], body["known"]) == (1, 1)


def test_images_without_labels_are_kept_until_they_get_one(empty_http: Http) -> None:
    add(empty_http, "d", RED, GREEN)
    assert (show(empty_http, "d")["unlabelled"], show(empty_http, "d")["labels"]) == (2, {})
    add(empty_http, "d", RED, labels=["red"])
    assert (show(empty_http, "d")["unlabelled"], show(empty_http, "d")["labels"]) == (1, {"red": 1})


def test_what_is_wrong_with_the_labels_is_said_before_anybody_trains(empty_http: Http) -> None:
    add(empty_http, "d", RED, labels=["red"])
    add(empty_http, "d", RED, labels=["green"])
    problems = show(empty_http, "d")["problems"]
    assert "conflicting_labels" in {p["code"] for p in problems}
    assert all(p["detail"] and p["severity"] in ("error", "warning") for p in problems)


@pytest.mark.parametrize("column", ["labels", "groups", "splits"])
def test_columns_must_be_as_long_as_the_images(empty_http: Http, column: str) -> None:
    answer = empty_http.post("/v1/datasets/d/images", files=files(RED, GREEN), data={column: ["x"]})
    assert f"2 images but 1 {column}" in refused(answer, 422, "invalid_request")["detail"]
    refused(empty_http.get("/v1/datasets/d"), 404, "dataset_not_found")


def test_splits_are_train_or_test(empty_http: Http) -> None:
    body = add(empty_http, "d", RED, GREEN, labels=["a", "b"], splits=["train", "both"])
    assert [(r["filename"], r["code"]) for r in body["rejected"]] == [("1.png", "invalid_request")]


@pytest.mark.parametrize("make", [zipped, lambda f: tarred(f, "gz")], ids=["zip", "tar.gz"])
def test_an_archive_of_class_folders(empty_http: Http, make: Any) -> None:
    files_of = {
        "set/red/1.png": RED,
        "set/green/2.png": GREEN,
        "set/green/bad.png": b"no image",
        "set/labels.csv": b"path,label,group\nred/1.png,rot,p1\ngreen/slip.png,gelb,p2\n",
        "set/groups.csv": b"path,group\nset/green/2.png,p1\nred/0.png,p3\n",
    }
    answer = send(empty_http, make(files_of))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    IngestAnswer.model_validate(body)
    assert (body["added"], body["labels"]) == (2, {"green": 1, "rot": 1})
    assert [(r["filename"], r["code"]) for r in body["rejected"]] == [
        ("green/bad.png", "not_an_image")
    ]
    assert sorted(body["unmatched"]) == ["green/slip.png", "red/0.png"]
    assert show(empty_http, "d")["groups"] == {"p1": 2}


@pytest.mark.parametrize(
    "archive", [b"no archive", b"", zipped({"../x.png": RED}), zipped({"a/1": RED})[:-30]]
)
def test_an_archive_that_is_refused_leaves_no_trace(empty_http: Http, archive: bytes) -> None:
    refused(send(empty_http, archive), 422, "archive_rejected")
    refused(empty_http.get("/v1/datasets/d"), 404, "dataset_not_found")


def test_images_and_an_archive_are_one_too_many(empty_http: Http) -> None:
    both = [*files(RED), ("archive", ("a.zip", zipped({"a/1.png": RED})))]
    refused(empty_http.post("/v1/datasets/d/images", files=both), 422, "invalid_request")
    two = [("archive", ("a.zip", b"x")), ("archive", ("b.zip", b"x"))]
    refused(empty_http.post("/v1/datasets/d/images", files=two), 422, "invalid_request")


@pytest.mark.parametrize("column", ["labels", "groups", "splits"])
def test_columns_beside_an_archive_are_refused_and_not_forgotten(
    empty_http: Http, column: str
) -> None:
    archive = [("archive", ("a.zip", zipped({"a/1.png": RED})))]
    answer = empty_http.post("/v1/datasets/d/images", files=archive, data={column: ["train"]})
    assert column.capitalize() in refused(answer, 422, "invalid_request")["detail"]
    refused(empty_http.get("/v1/datasets/d"), 404, "dataset_not_found")


def test_names_of_no_known_script_are_answered_with(empty_http: Http) -> None:
    body = add(empty_http, "d", RED, labels=["肺炎"])
    assert body["labels"] == {"肺炎": 1}
    answer = send(empty_http, tarred({"a/\udce9.png": b"no image"}), "a.tar")
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["rejected"]) == 1


def test_more_files_than_allowed_are_refused(tmp_path: Any) -> None:
    with opened(settings_of(tmp_path / "small", max_images_per_ingest=2)) as http:
        assert add(http, "d", RED, GREEN)["added"] == 2
        answer = http.post("/v1/datasets/d/images", files=files(RED, GREEN, BLUE))
        refused(answer, 413, "request_too_large")


@pytest.mark.parametrize("name", ["a b", "a@b", "%20", "ä", "x" * 65, ".."])
def test_a_dataset_needs_a_plain_name(empty_http: Http, name: str) -> None:
    answer = empty_http.post(f"/v1/datasets/{name}/images", files=files(RED))
    assert answer.status_code in (404, 405, 422)
    assert empty_http.get("/v1/datasets").json()["datasets"] == []


def put(http: Http, dataset: str, labels: Any) -> Any:
    return http.put(f"/v1/datasets/{dataset}/labels", json={"labels": labels})


def test_labels_and_groups_can_be_corrected(http: Http) -> None:
    key = digest(picture("red", 0))
    answer = put(http, "colour", [{"digest": key, "label": "crimson", "group": "p99"}])
    assert answer.status_code == 200, answer.text
    assert answer.json()["labels"] == {"crimson": 1, "green": 12, "red": 11}
    assert answer.json()["groups"]["p99"] == 1
    answer = put(http, "colour", [{"digest": key, "label": None}])
    assert (answer.json()["unlabelled"], answer.json()["groups"]["p99"]) == (1, 1)
    answer = put(http, "colour", [{"digest": key, "label": "red", "group": None}])
    assert answer.json()["groups"]["p99"] == 1
    answer = put(http, "colour", [{"digest": key, "label": "red", "group": ""}])
    assert "p99" not in answer.json()["groups"]
    assert show(http, "is-red")["labels"] == {"no": 12, "yes": 12}


def test_one_entry_that_cannot_be_makes_no_change_at_all(shared_http: Http) -> None:
    good = {"digest": digest(picture("red", 0)), "label": "x"}
    before = show(shared_http, "colour")
    for bad, status, code in (
        ({"digest": "0" * 64, "label": "x"}, 404, "image_not_found"),
        ({"digest": "rubbish", "label": "x"}, 422, "invalid_request"),
        ({"digest": digest(picture("red", 1)), "label": "\u0007"}, 422, "invalid_request"),
        ({"digest": digest(picture("red", 1)), "group": "p1"}, 422, "invalid_request"),
        ({"digest": digest(picture("red", 0)), "label": "y"}, 422, "invalid_request"),
    ):
        refused(put(shared_http, "colour", [good, bad]), status, code)
    assert show(shared_http, "colour") == before
    refused(put(shared_http, "nope", [good]), 404, "dataset_not_found")
    refused(put(shared_http, "colour", []), 422, "invalid_request")


def test_each_of_several_entries_that_cannot_be_is_named(shared_http: Http) -> None:
    wrong = [{"digest": "junk1", "label": "x"}, {"digest": "0" * 64, "label": "a\nb"}]
    body = refused(put(shared_http, "colour", wrong), 422, "invalid_request")
    assert [p["detail"][:8] for p in body["problems"]] == ["'junk1' ", "'a\nb' ca"]
    strangers = [{"digest": character * 64, "label": "x"} for character in "ab"]
    body = refused(put(shared_http, "colour", strangers), 404, "image_not_found")
    assert [p["detail"][19:20] for p in body["problems"]] == ["a", "b"]
    many = [{"digest": f"junk{i}", "label": "x"} for i in range(500)]
    body = refused(put(shared_http, "colour", many), 422, "invalid_request")
    assert len(body["problems"]) == 100
    assert "400 more" in body["detail"]


def test_columns_of_another_length_are_all_named(shared_http: Http) -> None:
    said = {"labels": ["x"], "groups": ["p", "q", "r"], "splits": ["train", "test"]}
    answer = shared_http.post("/v1/datasets/d/images", files=files(RED, GREEN), data=said)
    body = refused(answer, 422, "invalid_request")
    details = ["2 images but 1 labels.", "2 images but 3 groups."]
    assert [p["detail"] for p in body["problems"]] == details


def test_a_body_that_is_no_json_is_refused(shared_http: Http) -> None:
    kind = {"content-type": "application/json"}
    for raw in (b"{", b"", b"\xff", b'{"labels": [{"digest": "\\ud800", "label": "x"}]}'):
        answer = shared_http.put("/v1/datasets/colour/labels", content=raw, headers=kind)
        refused(answer, 422, "invalid_request")
    deep = ("[" * 100_000 + "]" * 100_000).encode()
    refused(
        shared_http.put("/v1/datasets/colour/labels", content=deep, headers=kind),
        422,
        "invalid_request",
    )
    assert json.loads(shared_http.get("/v1/datasets/colour").content)["images"] == 24


def test_deleting_a_dataset_keeps_images_that_another_uses(http: Http) -> None:
    add(http, "third", picture("red", 0), BLUE, labels=["a", "b"])
    http.delete("/v1/datasets/is-red")
    answer = http.delete("/v1/datasets/colour")
    assert (answer.status_code, answer.json()) == (
        200,
        {"dataset": "colour", "images_removed": 23},
    )
    refused(http.get("/v1/datasets/colour"), 404, "dataset_not_found")
    refused(http.delete("/v1/datasets/colour"), 404, "dataset_not_found")
    place = http.product.workspaces["default"]
    assert place.store.digests() == {digest(picture("red", 0)), digest(BLUE)}
    assert set(place.blobs.digests()) == place.store.digests()
    assert show(http, "third")["images"] == 2
    assert http.predict(RED).status_code == 200  # the heads stay
