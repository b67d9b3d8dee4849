"""Heads that travel as files: what goes with them, what stays, and what is done where they come."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from httpx import Response
from in_process import Http, opened, refused, settings_of, teach
from live_server import picture

from classifiers.errors import HeadNotFound
from classifiers.head import Head
from features.keys import digest
from service.schemas import CardAnswer
from service.workflows import heads, sharing
from service.workflows.ingest import LabelledUpload, ingest

NEW = picture("red", 700)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Http]:
    """Another installation, which has nothing yet."""
    with opened(settings_of(tmp_path / "elsewhere")) as http:
        yield http


def exported(http: Http, head: str = "colour", version: int = 1) -> bytes:
    answer = http.get(f"/v1/heads/{head}/versions/{version}/file")
    assert answer.status_code == 200, answer.text
    return answer.content


def imported(http: Http, data: bytes, head: str = "theirs") -> Response:
    return http.post(f"/v1/heads/{head}/versions", files=[("file", ("a.head.zip", data))])


def test_a_head_answers_elsewhere_as_it_does_here(http: Http, elsewhere: Http) -> None:
    answer = imported(elsewhere, exported(http))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == "/v1/heads/theirs/versions/1"
    card = answer.json()
    CardAnswer.model_validate(card)
    assert (card["name"], card["version"], card["dataset"]) == ("theirs", 1, "")
    assert elsewhere.get("/v1/heads/theirs").json()["champion"] == 1

    here = http.predict(NEW, heads="colour").json()["results"][0]["predictions"][0]
    there = elsewhere.predict(NEW).json()["results"][0]["predictions"][0]
    assert {**there, "head": ""} == {**here, "head": ""}
    assert http.get("/v1/heads/colour/versions/1").json()["artefact"] == card["artefact"]


def test_the_file_of_a_head_is_always_the_same(http: Http, elsewhere: Http) -> None:
    answer = http.get("/v1/heads/colour/versions/1/file")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="colour-1.head.zip"'
    assert exported(http) == answer.content
    imported(elsewhere, answer.content)
    assert exported(elsewhere, "theirs") == answer.content


def test_no_image_is_named_in_the_file(http: Http) -> None:
    """Neither by its bytes, digest or file name, nor by the patient; copies and all."""
    uploads = [
        LabelledUpload(f"scan-{c}-{n}.png", picture(c, n % 10), c, f"patient-{c}-{n}")
        for c in ("red", "green")
        for n in range(12)
    ]
    again = [LabelledUpload("scan-again.png", picture("red", 3, side=49), "green", "patient-x")]
    ingest(http.product, "default", "secret-study", [*uploads, *again])
    assert teach(http.product, "shy", "secret-study").state == "succeeded"
    card = http.get("/v1/heads/shy/versions/1").json()
    assert card["n_groups"]
    with zipfile.ZipFile(io.BytesIO(exported(http, "shy"))) as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
    for secret in (b"scan", b"patient", b"secret-study", b"\x89PNG"):
        assert secret not in whole
    for upload in uploads:
        assert digest(upload.data).encode() not in whole


def test_the_same_file_again_adds_no_version(http: Http, elsewhere: Http) -> None:
    data = exported(http)
    assert imported(elsewhere, data).status_code == 201
    again = imported(elsewhere, data)
    assert (again.status_code, again.json()["version"]) == (200, 1)
    assert imported(elsewhere, data, "another-name").status_code == 201
    assert len(elsewhere.get("/v1/heads/theirs").json()["versions"]) == 1


def test_a_further_version_does_not_answer_until_somebody_says_so(http: Http) -> None:
    data = exported(http, "is-red")
    assert imported(http, data, "colour").json()["version"] == 2
    assert http.get("/v1/heads/colour").json()["champion"] == 1
    http.put("/v1/heads/colour/aliases/champion", json={"version": 2})
    said = http.predict(NEW, heads="colour").json()["results"][0]["predictions"][0]
    assert said["label"] == "yes"


def test_what_needs_the_images_says_that_they_are_elsewhere(http: Http, elsewhere: Http) -> None:
    imported(elsewhere, exported(http))
    version = "/v1/heads/theirs/versions/1"
    for what in ("suspects", "next"):
        refused(elsewhere.get(f"{version}/{what}"), 409, "learnt_elsewhere")
    page = elsewhere.get(f"{version}/report").text
    assert "without the images it learnt from" in page
    assert "No label is contradicted" not in page
    assert "the head came as a file" in page
    answer = elsewhere.post(
        "/v1/predict", files=[("images", ("a.png", NEW))], data={"evidence": "3"}
    )
    assert answer.json()["results"][0]["evidence"] == []
    heat = elsewhere.post(
        "/v1/predict", files=[("images", ("a.png", NEW))], data={"explain": "true"}
    )
    assert heat.status_code == 200, heat.text


def test_a_head_of_other_vectors_is_refused_by_the_name_of_its_backbone(
    http: Http, elsewhere: Http
) -> None:
    with zipfile.ZipFile(io.BytesIO(exported(http))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    space = replace(http.product.space, backbone="resnet")
    card = {**json.loads(files["card.json"]), "space_id": space.id}
    files |= {"space.json": json.dumps(space.to_dict()).encode()}
    files |= {"card.json": json.dumps(card).encode()}
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    said = refused(imported(elsewhere, other.getvalue()), 409, "space_mismatch")
    assert "resnet" in said["detail"]
    assert "toy" in said["detail"]
    assert elsewhere.get("/v1/heads").json() == {"heads": []}


def test_what_is_no_head_is_refused_and_leaves_nothing(elsewhere: Http) -> None:
    refused(imported(elsewhere, b"no head"), 422, "head_rejected")
    refused(
        elsewhere.post("/v1/heads/h/versions", files=[("images", ("a", b"x"))]),
        422,
        "invalid_request",
    )
    refused(elsewhere.post("/v1/heads/h/versions", json={}), 422, "invalid_request")
    refused(imported(elsewhere, b"", "a b"), 422, "invalid_request")
    refused(elsewhere.get("/v1/heads/h/versions/1/file"), 404, "head_not_found")
    assert elsewhere.get("/v1/heads").json() == {"heads": []}
    assert list((elsewhere.product.settings.home / "zoo").rglob("card.json")) == []


def test_who_gave_a_head_away_and_who_took_it_in_is_written_down(
    http: Http, elsewhere: Http
) -> None:
    imported(elsewhere, exported(http))
    given, taken = (h.product.catalog.audit.lines("default", limit=1)[0] for h in (http, elsewhere))
    assert (given["action"], given["which"], given["details"]["version"]) == (
        "head.export",
        "colour",
        1,
    )
    assert (taken["action"], taken["which"]) == ("head.import", "theirs")
    assert given["details"]["artefact"] == taken["details"]["artefact"]


def test_a_head_that_came_as_a_file_can_be_given_on_after_the_backbone_changed(
    http: Http, elsewhere: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = exported(http)
    imported(elsewhere, data)
    product = elsewhere.product
    other = replace(product.space, backbone="other")
    monkeypatch.setattr(type(product), "space", property(lambda _: other))
    assert sharing.export_head(product, "default", "theirs", 1) == data


def test_a_head_that_comes_in_while_the_same_one_is_deleted_keeps_its_artefact(
    http: Http, elsewhere: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = exported(http)
    imported(elsewhere, data, "old")
    product, known = elsewhere.product, elsewhere.product.catalog.heads
    remove = known.remove

    def removed_and_brought_again(*given: Any, **named: Any) -> set[str]:
        unused = remove(*given, **named)
        sharing.import_head(product, "default", "new", io.BytesIO(data))
        return unused

    monkeypatch.setattr(known, "remove", removed_and_brought_again)
    heads.delete_head(product, "default", "old")
    assert elsewhere.predict(NEW, heads="new").status_code == 200
    assert heads.sweep(product, "default") == 0


def test_a_head_that_comes_in_is_not_swept_before_it_is_named(
    http: Http, elsewhere: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer sweeps what no version uses, also between the artefact and its row."""
    product = elsewhere.product
    imported(elsewhere, exported(http, "is-red"), "other")
    zoo = product.workspaces["default"].zoo
    add, has = zoo.add, zoo.has
    later = Thread(target=heads.sweep, args=(product, "default"))

    def added_and_swept(head: Head) -> str:
        artefact = add(head)
        monkeypatch.setattr(zoo, "add", add)
        assert heads.sweep(product, "default") == 1
        return artefact

    def looked_and_swept(artefact: str) -> bool:
        found = has(artefact)
        later.start()
        later.join(0.5)
        return found

    monkeypatch.setattr(zoo, "add", added_and_swept)
    monkeypatch.setattr(zoo, "has", looked_and_swept)
    assert imported(elsewhere, exported(http)).status_code == 201
    later.join()
    assert elsewhere.predict(NEW, heads="theirs").status_code == 200


def test_a_head_that_is_deleted_as_soon_as_it_came_is_told_so(
    http: Http, elsewhere: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise HeadNotFound("a" * 64)

    monkeypatch.setattr(sharing, "card", gone)
    refused(imported(elsewhere, exported(http)), 409, "conflict")
