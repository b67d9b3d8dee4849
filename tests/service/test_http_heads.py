"""Heads and jobs over HTTP: asked for, trained, shown, moved, deleted."""

import re
from typing import Any

import pytest
from in_process import Http, refused
from live_server import picture

from features.keys import digest
from service.schemas import JobAnswer

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def learn(http: Http, name: str = "new", dataset: str = "colour", **fields: Any) -> Any:
    headers = fields.pop("headers", {})
    body = {"name": name, "dataset": dataset, **fields}
    return http.post("/v1/heads", json=body, headers=headers)


def test_a_head_is_asked_for_and_its_job_says_where_it_is(http: Http) -> None:
    answer = learn(http, task="auto", options={"seed": 3, "author": "Ana"})
    assert answer.status_code == 202
    job = answer.json()
    JobAnswer.model_validate(job)
    assert answer.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["state"], job["progress"]) == ("learn", "queued", 0)
    assert (job["result"], job["error"], job["started"], job["finished"]) == (None,) * 4
    assert TIME.fullmatch(job["created"])
    assert http.get(answer.headers["location"]).json() == job

    (done,) = http.work()
    assert done.state == "succeeded"
    ended = http.get(answer.headers["location"]).json()
    JobAnswer.model_validate(ended)
    assert (ended["state"], ended["progress"]) == ("succeeded", 1)
    assert ended["result"] == {"head": "new", "version": 1}
    assert TIME.fullmatch(ended["started"])
    assert TIME.fullmatch(ended["finished"])
    assert http.get("/v1/heads/new/versions/1").json()["author"] == "Ana"


def test_jobs_are_listed_newest_first(http: Http) -> None:
    asked = learn(http).json()["id"]
    listed = http.get("/v1/jobs").json()["jobs"]
    assert [j["state"] for j in listed] == ["queued", "succeeded", "succeeded"]
    assert listed[0]["id"] == asked
    for job in listed:
        JobAnswer.model_validate(job)


def test_the_same_key_gives_the_same_job_whatever_has_become_of_it(http: Http) -> None:
    key = {"Idempotency-Key": "k-1"}
    first = learn(http, headers=key)
    again = learn(http, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    http.work()
    assert learn(http, headers=key).json()["state"] == "succeeded"
    http.delete("/v1/datasets/colour")
    assert learn(http, headers=key).json()["id"] == first.json()["id"]
    assert len(http.get("/v1/heads/new").json()["versions"]) == 1


def test_the_same_key_for_another_request_is_refused(http: Http) -> None:
    key = {"Idempotency-Key": "k-1"}
    learn(http, headers=key)
    refused(learn(http, name="other", headers=key), 409, "conflict")
    refused(learn(http, headers={"Idempotency-Key": "x" * 256}), 422, "invalid_request")


def test_what_cannot_be_learnt_from_is_refused_with_every_reason(http: Http) -> None:
    refused(learn(http, dataset="nope"), 404, "dataset_not_found")
    keys = [{"digest": digest(picture("green", n)), "label": "red"} for n in range(12)]
    http.put("/v1/datasets/colour/labels", json={"labels": keys})
    body = refused(learn(http), 422, "labels_not_ready")
    assert "one_label" in [p["code"] for p in body["problems"]]
    assert "colour" in body["detail"]
    assert http.get("/v1/heads").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "h"},
        {"name": "a b", "dataset": "colour"},
        {"name": "\ud800", "dataset": "colour"},
        {"name": "h", "dataset": "colour", "task": "guess"},
        {"name": "h", "dataset": "colour", "options": {"sede": 1}},
        {"name": "h", "dataset": "colour", "options": {"seed": -1}},
        {"name": "h", "dataset": "colour", "options": {"seed": True}},
        {"name": "h", "dataset": "colour", "extra": 1},
        {"name": 7, "dataset": "colour"},
        [],
    ],
)
def test_a_request_that_makes_no_sense_is_refused(shared_http: Http, body: Any) -> None:
    import json

    kind = {"content-type": "application/json"}
    answer = shared_http.post("/v1/heads", content=json.dumps(body).encode(), headers=kind)
    refused(answer, 422, "invalid_request")
    refused(shared_http.post("/v1/heads", content=b"{", headers=kind), 422, "invalid_request")


def test_a_body_that_is_no_json_is_refused_in_words(shared_http: Http) -> None:
    kind = {"content-type": "application/json"}
    broken = shared_http.post("/v1/heads", content=b'{"name": }', headers=kind)
    said = refused(broken, 422, "invalid_request")["detail"]
    assert said == "The body is not JSON: Expecting value at character 9."
    for kind, named in (({}, "nothing"), ({"content-type": "text/plain"}, "text/plain")):
        body = b'{"name": "h", "dataset": "colour"}'
        said = refused(
            shared_http.post("/v1/heads", content=body, headers=kind), 422, "invalid_request"
        )
        assert f"got '{named}'" in said["detail"]
        assert "Content-Type: application/json" in said["hint"]


def test_a_waiting_job_is_cancelled_and_an_ended_one_cannot_be(http: Http) -> None:
    job = learn(http).json()["id"]
    answer = http.delete(f"/v1/jobs/{job}")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert http.work() == []
    assert http.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    done = http.get("/v1/jobs").json()["jobs"][-1]["id"]
    refused(http.delete(f"/v1/jobs/{done}"), 409, "conflict")
    refused(http.get("/v1/jobs/nope"), 404, "job_not_found")
    refused(http.delete("/v1/jobs/nope"), 404, "job_not_found")


def test_a_job_that_fails_says_why(http: Http) -> None:
    job = learn(http).json()["id"]
    http.delete("/v1/datasets/colour")
    http.work()
    failed = http.get(f"/v1/jobs/{job}").json()
    JobAnswer.model_validate(failed)
    assert failed["state"] == "failed"
    assert failed["error"]["code"] == "dataset_not_found"


def test_heads_are_listed_with_versions_aliases_and_champion(http: Http) -> None:
    learn(http, name="colour")
    http.work()
    (colour, _) = http.get("/v1/heads").json()["heads"]
    assert (colour["name"], colour["champion"], colour["aliases"]) == (
        "colour",
        1,
        {"champion": 1},
    )
    assert [v["version"] for v in colour["versions"]] == [1, 2]
    assert colour["versions"][0]["dataset"] == "colour"
    assert colour["versions"][0]["space"] == http.product.space.id
    assert http.get("/v1/heads/colour").json() == colour
    refused(http.get("/v1/heads/nope"), 404, "head_not_found")


def test_the_card_says_what_a_version_is(shared_http: Http) -> None:
    card = shared_http.get("/v1/heads/colour/versions/1").json()
    assert (card["name"], card["version"], card["task"]) == ("colour", 1, "binary")
    assert sorted(card["classes"]) == ["green", "red"]
    assert card["n_images"] == 24
    assert card["dataset"] == "colour"
    assert {"value", "low", "high"} <= set(card["metrics"]["auc"])
    assert card["baseline"]
    refused(shared_http.get("/v1/heads/colour/versions/2"), 404, "version_not_found")
    refused(shared_http.get("/v1/heads/nope/versions/1"), 404, "head_not_found")
    refused(shared_http.get("/v1/heads/colour/versions/one"), 422, "invalid_request")


def test_an_alias_is_moved_and_the_history_says_so(http: Http) -> None:
    learn(http, name="colour")
    http.work()
    answer = http.put(
        "/v1/heads/colour/aliases/champion", json={"version": 2, "reason": "newer images"}
    )
    assert (answer.status_code, answer.json()["champion"]) == (200, 2)
    assert http.predict(picture("red", 1), heads=["colour"]).json()["results"][0]["predictions"][0][
        "version"
    ] == (2)
    history = http.get("/v1/heads/colour/history").json()
    assert history["head"] == "colour"
    newest, first = history["history"]
    assert (newest["alias"], newest["version"], newest["previous"]) == ("champion", 2, 1)
    assert newest["reason"] == "newer images"
    assert (first["version"], first["previous"]) == (1, None)
    assert TIME.fullmatch(newest["at"])
    refused(http.get("/v1/heads/nope/history"), 404, "head_not_found")


@pytest.mark.parametrize(
    ("alias", "body", "status", "code"),
    [
        ("shadow", {"version": 9}, 404, "version_not_found"),
        ("shadow", {"version": 2**62}, 404, "version_not_found"),
        ("shadow", {"version": 10**30}, 404, "version_not_found"),
        ("shadow", {"version": 0}, 422, "invalid_request"),
        ("shadow", {"version": "one"}, 422, "invalid_request"),
        ("shadow", {}, 422, "invalid_request"),
        ("shadow", {"version": 1, "reason": "x" * 1_001}, 422, "invalid_request"),
        ("3", {"version": 1}, 422, "invalid_request"),
        ("a b", {"version": 1}, 422, "invalid_request"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(
    shared_http: Http, alias: str, body: Any, status: int, code: str
) -> None:
    refused(shared_http.put(f"/v1/heads/colour/aliases/{alias}", json=body), status, code)
    assert shared_http.get("/v1/heads/colour").json()["aliases"] == {"champion": 1}


def test_a_deleted_version_is_succeeded_and_its_artefact_is_gone(http: Http) -> None:
    learn(http, name="colour")
    http.work()
    zoo = http.product.workspaces["default"].zoo
    assert len(list(zoo.artefacts())) == 3
    answer = http.delete("/v1/heads/colour/versions/1")
    assert (answer.status_code, answer.json()["deleted"]) == (200, True)
    assert http.get("/v1/heads/colour").json()["champion"] == 2
    assert len(list(zoo.artefacts())) == 2
    refused(http.delete("/v1/heads/colour/versions/1"), 404, "version_not_found")
    refused(http.delete(f"/v1/heads/colour/versions/{10**30}"), 404, "version_not_found")
    learn(http, name="colour")
    assert http.work()[0].result == {"head": "colour", "version": 3}


def test_a_deleted_head_is_gone_with_its_artefacts(http: Http) -> None:
    assert http.delete("/v1/heads/colour").json() == {"head": "colour", "deleted": True}
    refused(http.get("/v1/heads/colour"), 404, "head_not_found")
    refused(http.delete("/v1/heads/colour"), 404, "head_not_found")
    assert len(list(http.product.workspaces["default"].zoo.artefacts())) == 1
    assert [h["name"] for h in http.get("/v1/heads").json()["heads"]] == ["is-red"]


def test_a_fast_report_is_asked_for_by_name_and_the_card_says_so(http: Http) -> None:
    assert learn(http, options={"report": "quick"}).status_code == 422
    for report in ("full", "fast"):
        learn(http, report, options={"report": report})
    assert [job.state for job in http.work()] == ["succeeded", "succeeded"]
    full, fast = (http.get(f"/v1/heads/{name}/versions/1").json() for name in ("full", "fast"))
    assert full["growth"]["state"] in ("curve", "too few images")
    assert (fast["growth"], fast["recipe"]["report"]) == (None, "fast")
    assert any("fast way" in sentence for sentence in fast["limits"])
    assert set(fast["metrics"]) == set(full["metrics"])
