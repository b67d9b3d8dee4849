"""POST /v1/predict: one look at each image, every head's answer, each trouble in its own place."""

import asyncio
from contextlib import suppress
from threading import Event
from typing import Any

import pytest
from in_process import Http, files, refused
from live_server import picture

from features import writer
from features.errors import Overloaded
from features.keys import UInt8, Vectors, digest
from features.testing import ToyBackbone
from service.schemas import PredictAnswer
from service.workflows import predict

RED, GREEN = picture("red", 100), picture("green", 101)
BAD = b"no image"


def said(answer: Any) -> list[dict[str, str | None]]:
    """Head → label for each image."""
    return [{p["head"]: p["label"] for p in r["predictions"]} for r in answer.json()["results"]]


def codes(entries: list[dict[str, Any]]) -> list[str | None]:
    return [(e["error"] or {}).get("code") for e in entries]


def test_every_champion_answers_for_every_image_in_the_order_sent(http: Http) -> None:
    answer = http.predict(RED, GREEN, RED)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    PredictAnswer.model_validate(body)
    assert body["space"] == http.product.space.id
    assert [r["image"]["filename"] for r in body["results"]] == ["0.png", "1.png", "2.png"]
    assert [r["image"]["digest"] for r in body["results"]] == [digest(i) for i in (RED, GREEN, RED)]
    assert said(answer) == [
        {"colour": "red", "is-red": "yes"},
        {"colour": "green", "is-red": "no"},
        {"colour": "red", "is-red": "yes"},
    ]
    for result in body["results"]:
        assert (result["error"], result["evidence"]) == (None, [])
        for prediction in result["predictions"]:
            assert prediction["version"] == 1
            assert prediction["task"] == "binary"
            assert sum(prediction["probabilities"].values()) == pytest.approx(1)
            best = max(prediction["probabilities"], key=prediction["probabilities"].get)
            assert prediction["label"] == best


def test_the_asked_heads_answer_in_the_order_asked(http: Http) -> None:
    http.put("/v1/heads/colour/aliases/shadow", json={"version": 1})
    asked = ["is-red@1", "colour@shadow", "colour", "colour@champion"]
    (result,) = http.predict(RED, heads=asked).json()["results"]
    assert [(p["head"], p["version"]) for p in result["predictions"]] == [
        ("is-red", 1),
        ("colour", 1),
        ("colour", 1),
        ("colour", 1),
    ]


def test_a_bad_image_and_a_bad_head_have_their_error_in_their_own_place(http: Http) -> None:
    asked = ["nope", "colour@9", "colour", "colour@nope", "a b"]
    answer = http.predict(RED, BAD, GREEN, RED[:200], b"", heads=asked)
    assert answer.status_code == 200
    body = answer.json()
    PredictAnswer.model_validate(body)
    assert codes(body["results"]) == [
        None,
        "not_an_image",
        None,
        "truncated_image",
        "empty_image",
    ]
    for good in (body["results"][0], body["results"][2]):
        assert codes(good["predictions"]) == [
            "head_not_found",
            "version_not_found",
            None,
            "alias_not_found",
            "invalid_request",
        ]
        assert good["predictions"][0]["probabilities"] == {}
    assert body["results"][0]["predictions"][2]["label"] == "red"
    assert body["results"][1]["predictions"] == []
    assert body["results"][1]["image"]["filename"] == "1.png"


def test_when_nothing_can_be_answered_each_reason_is_given(http: Http) -> None:
    body = refused(http.predict(BAD, b""), 422, "nothing_answered")
    assert codes(body["results"]) == ["not_an_image", "empty_image"]
    assert [p["code"] for p in body["problems"]] == ["not_an_image", "empty_image"]
    body = refused(http.predict(RED, heads=["nope"]), 422, "nothing_answered")
    assert [p["code"] for p in body["problems"]] == ["head_not_found"]
    assert body["results"][0]["image"]["digest"] == digest(RED)


def test_without_any_head_an_image_is_looked_at_and_that_is_all(empty_http: Http) -> None:
    answer = empty_http.predict(RED)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["predictions"] == []


def test_one_look_whatever_the_number_of_heads_and_none_if_it_is_known(http: Http) -> None:
    looks, hits = "penultimate_forward_images_total", "penultimate_cache_hits_total"
    start = http.count(looks)
    first = http.predict(RED, GREEN, RED)
    assert http.count(looks) == start + 2
    known = http.count(hits)
    second = http.predict(RED, GREEN, RED)
    assert http.count(looks) == start + 2
    assert http.count(hits) > known
    assert [r["image"]["cached"] for r in first.json()["results"]][:2] == [False, False]
    assert [r["image"]["cached"] for r in second.json()["results"]] == [True, True, True]
    assert [r["predictions"] for r in second.json()["results"]] == [
        r["predictions"] for r in first.json()["results"]
    ]


def test_an_image_that_should_not_be_remembered_is_not(http: Http) -> None:
    http.predict(RED, remember="false")
    http.product.embedder.flush()
    assert digest(RED) not in http.product.workspaces["default"].store
    http.predict(RED)
    http.product.embedder.flush()
    assert digest(RED) in http.product.workspaces["default"].store


def test_the_bytes_of_an_image_that_was_asked_about_are_never_kept(http: Http) -> None:
    http.predict(RED)
    http.product.embedder.flush()
    assert not http.product.workspaces["default"].blobs.has(digest(RED))


def test_an_image_is_known_by_its_digest_as_soon_as_it_is_answered(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LINGER_S", 1000)
    for seed, (path, key) in enumerate((("/v1/predict", "digests"), ("/v1/search", "digest"))):
        image = picture("green", 7000 + seed)
        assert http.predict(image).status_code == 200
        asked = [digest(image)] if key == "digests" else digest(image)
        assert http.post(path, json={key: asked}).status_code == 200


def test_known_images_are_answered_by_their_digests(http: Http) -> None:
    sent = http.predict(RED).json()["results"][0]["predictions"]
    http.product.embedder.flush()
    digests = [digest(RED), "0" * 64, "rubbish", digest(picture("red", 0))]
    answer = http.post("/v1/predict", json={"digests": digests, "evidence": 1})
    assert answer.status_code == 200
    results = answer.json()["results"]
    PredictAnswer.model_validate(answer.json())
    assert codes(results) == [None, "unknown_digest", "unknown_digest", None]
    assert [r["image"]["digest"] for r in results] == digests
    assert [p["probabilities"] for p in results[0]["predictions"]] == [
        p["probabilities"] for p in sent
    ]
    only = http.post("/v1/predict", json={"digests": digests[:1], "heads": ["colour"]}).json()
    assert [p["head"] for p in only["results"][0]["predictions"]] == ["colour"]
    refused(http.post("/v1/predict", json={"digests": ["0" * 64]}), 422, "nothing_answered")


def test_evidence_names_the_nearest_labelled_training_images(http: Http) -> None:
    answer = http.predict(RED, heads=["colour", "is-red", "nope"], evidence=3)
    (result,) = answer.json()["results"]
    PredictAnswer.model_validate(answer.json())
    assert len(result["evidence"]) == 3
    scores = [e["score"] for e in result["evidence"]]
    assert scores == sorted(scores, reverse=True)
    first, second, failed = result["predictions"]
    assert {e["label"] for e in first["evidence"]} == {"red"}
    assert {e["label"] for e in second["evidence"]} == {"yes"}
    assert "evidence" not in failed or failed["evidence"] == []
    one = first["evidence"][0]
    assert one["filename"].startswith("red-")
    assert one["dataset"] in ("colour", "is-red")
    assert one["group"].startswith("patient")


def test_an_image_is_no_evidence_for_itself(http: Http) -> None:
    own = picture("red", 3)
    (result,) = http.predict(own, heads=["colour"], evidence=20).json()["results"]
    assert digest(own) not in [e["digest"] for e in result["evidence"]]


def test_what_is_asked_for_may_stand_in_the_query_too(http: Http) -> None:
    url = "/v1/predict?heads=colour&heads=is-red@1&evidence=2&remember=no"
    (result,) = http.post(url, files=files(RED)).json()["results"]
    assert [p["head"] for p in result["predictions"]] == ["colour", "is-red"]
    assert len(result["evidence"]) == 2


def test_the_query_stands_in_for_what_json_lacks_too(http: Http) -> None:
    known = {"digests": [digest(picture("red", 0))]}
    url = "/v1/predict?heads=colour&heads=is-red@1&evidence=2"
    (result,) = http.post(url, json=known).json()["results"]
    assert [p["head"] for p in result["predictions"]] == ["colour", "is-red"]
    assert len(result["evidence"]) == 2
    (result,) = http.post(url, json={**known, "heads": ["is-red"], "evidence": 0}).json()["results"]
    assert [p["head"] for p in result["predictions"]] == ["is-red"]
    assert result["evidence"] == []
    said = refused(http.post("/v1/predict?evidence=many", json=known), 422, "invalid_request")
    assert "evidence" in said["detail"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"evidence": "21"}, "evidence"),
        ({"evidence": "-1"}, "evidence"),
        ({"evidence": "many"}, "evidence"),
        ({"evidence": "00000000099"}, "evidence"),
        ({"evidence": "٣"}, "evidence"),
        ({"evidence": "1" * 5_000}, "evidence"),
        ({"remember": "perhaps"}, "remember"),
    ],
)
def test_a_field_outside_its_limits_is_named(
    shared_http: Http, fields: dict[str, str], word: str
) -> None:
    assert word in refused(shared_http.predict(RED, **fields), 422, "invalid_request")["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"digests": []},
        {"digests": ["0" * 64] * 65},
        {"digests": "x"},
        {"digests": ["x"], "evidence": 21},
        {"digests": ["x"], "other": 1},
        {"digests": ["x"], "heads": "colour"},
        [],
        7,
    ],
)
def test_json_of_another_shape_is_refused_with_every_problem(shared_http: Http, body: Any) -> None:
    said = refused(shared_http.post("/v1/predict", json=body), 422, "invalid_request")
    assert said["problems"]


def test_64_images_are_taken_and_65_are_not(http: Http) -> None:
    assert len(http.predict(*[RED] * 64).json()["results"]) == 64
    body = refused(http.predict(*[RED] * 65), 413, "request_too_large")
    assert "64" in body["detail"]
    assert "64" in refused(http.predict(*[RED] * 80), 413, "request_too_large")["detail"]


def test_a_form_asks_no_more_heads_than_json_may(shared_http: Http) -> None:
    answer = shared_http.predict(RED, heads=["colour"] * 10_001)
    assert "10000" in refused(answer, 422, "invalid_request")["detail"]


def test_everything_that_is_wrong_with_a_form_is_said_at_once(shared_http: Http) -> None:
    wrong = {"evidence": "99", "remember": "maybe", "explain": "huh"}
    body = refused(shared_http.predict(RED, **wrong), 422, "invalid_request")
    assert [p["detail"].split()[0] for p in body["problems"]] == list(wrong)
    assert all(name in body["detail"] for name in wrong)
    alone = refused(shared_http.predict(RED, evidence="99"), 422, "invalid_request")
    assert "problems" not in alone


def test_a_request_without_images_says_how_to_send_them(shared_http: Http) -> None:
    body = refused(shared_http.post("/v1/predict", files={"picture": b"x"}), 422, "invalid_request")
    assert "-F images=" in body["hint"]
    text = shared_http.post("/v1/predict", data={"images": "x"}, files={"other": b"x"})
    assert "files" in refused(text, 422, "invalid_request")["detail"]
    refused(shared_http.post("/v1/predict", content=b"x"), 422, "invalid_request")
    refused(shared_http.post("/v1/predict"), 422, "invalid_request")


def test_requests_at_the_same_time_share_one_look(http: Http) -> None:
    start = http.count("penultimate_forward_images_total")
    request = ("POST", "/v1/predict", {"files": files(RED)})
    answers = http.together([request] * 8)
    assert {a.status_code for a in answers} == {200}
    assert len({str(said(a)) for a in answers}) == 1
    assert http.count("penultimate_forward_images_total") == start + 1


def test_an_answer_is_the_same_with_and_without_a_thread(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.predict(RED).status_code == 200  # from here on nothing has to be loaded
    without = http.predict(GREEN, BAD, GREEN, heads=["colour", "nobody"], remember="false")
    monkeypatch.setattr(predict, "predict_soon", lambda *_, **__: None)
    within = http.predict(GREEN, BAD, GREEN, heads=["colour", "nobody"], remember="false")
    assert without.status_code == within.status_code == 200
    assert without.json() == within.json()


def test_what_was_begun_is_not_begun_again_though_its_client_has_gone(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert http.predict(RED).status_code == 200
    let_go, entered, run = Event(), Event(), ToyBackbone.run

    def held(self: ToyBackbone, pixels: UInt8) -> Vectors:
        entered.set()
        assert let_go.wait(20)
        return run(self, pixels)

    monkeypatch.setattr(ToyBackbone, "run", held)

    async def leave() -> None:
        asked = asyncio.create_task(
            http._send("POST", "/v1/predict", {"files": files(GREEN)}), name="leaving"
        )
        while not entered.is_set():  # noqa: ASYNC110  a thread sets it
            await asyncio.sleep(0.01)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        let_go.set()

    before = http.count("penultimate_forward_images_total")
    asyncio.run(leave())
    (answer,) = http.predict(GREEN).json()["results"]
    assert answer["predictions"]
    assert http.count("penultimate_forward_images_total") == before + 1


def test_a_deleted_head_is_gone_at_the_next_request_and_its_neighbour_stays(http: Http) -> None:
    before = http.predict(RED).json()["results"][0]["predictions"]
    http.delete("/v1/heads/colour")
    after = http.predict(RED).json()["results"][0]["predictions"]
    assert after == [p for p in before if p["head"] != "colour"]


@pytest.mark.parametrize("evidence", ["0", "1"])
def test_when_too_much_is_waiting_the_answer_says_when_to_come_back(
    http: Http, monkeypatch: pytest.MonkeyPatch, evidence: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise Overloaded(2.4)  # the queue itself has tests of its own

    assert http.predict(RED).status_code == 200  # from here on nothing has to be loaded
    monkeypatch.setattr(http.product.embedder._pipeline, "submit", full)
    answer = http.predict(GREEN, evidence=evidence)
    refused(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "2"
