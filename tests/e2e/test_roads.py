"""The four roads over real HTTP, and what must hold after kills and lost index folders."""

import shutil
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from live_server import Server, counter, ingest, learn, picture, predict

pytestmark = pytest.mark.server

COLOURS = ("red", "green", "blue")


def teach(client: httpx.Client) -> None:
    """Three heads on the same sixty pictures."""
    pictures = [(c, picture(c, seed)) for c in COLOURS for seed in range(20)]
    names = [f"{i}.png" for i in range(len(pictures))]
    questions: dict[str, Callable[[str], str]] = {
        "colour": lambda c: c,
        "is-red": lambda c: "yes" if c == "red" else "no",
        "is-blue": lambda c: "yes" if c == "blue" else "no",
    }
    for head, answer in questions.items():
        ingest(client, head, [(n, d, answer(c)) for n, (c, d) in zip(names, pictures, strict=True)])
        job = learn(client, head, head)
        assert job["state"] == "succeeded", job
        assert job["result"] == {"head": head, "version": 1}


def test_many_heads_cost_one_look_and_survive_kill_and_lost_index(
    server_of: Callable[..., Server],
) -> None:
    server = server_of()
    server.start()
    unseen = [picture(c, 1000 + i) for i, c in enumerate(COLOURS)]
    with server.client() as client:
        teach(client)
        passes = counter(client, "penultimate_forward_images_total")
        answer = predict(client, *unseen)
        assert counter(client, "penultimate_forward_images_total") == passes + 3

        said = [{p["head"]: p["label"] for p in r["predictions"]} for r in answer["results"]]
        assert said == [
            {"colour": "red", "is-red": "yes", "is-blue": "no"},
            {"colour": "green", "is-red": "no", "is-blue": "no"},
            {"colour": "blue", "is-red": "no", "is-blue": "yes"},
        ]
        hits = counter(client, "penultimate_cache_hits_total")
        again = predict(client, *unseen)
        assert counter(client, "penultimate_forward_images_total") == passes + 3
        assert counter(client, "penultimate_cache_hits_total") == hits + 3
        assert probabilities(again) == probabilities(answer)
        found = client.post("/v1/search", files={"image": unseen[0]}, data={"k": 5}).json()
        assert [h["label"] for h in found["hits"] if h["label"]] != []

    server.kill()
    server.start()
    with server.client() as client:
        known = ingest(client, "colour", [("x.png", picture("red", 3), "red")])
        assert (known["added"], known["known"]) == (0, 1)
        assert probabilities(predict(client, *unseen)) == probabilities(answer)
        labelled = client.post(
            "/v1/search", files={"image": unseen[0]}, data={"k": 5, "dataset": "colour"}
        ).json()

    server.stop()
    shutil.rmtree(server.home / "index")
    server.start()
    with server.client() as client:
        assert probabilities(predict(client, *unseen)) == probabilities(answer)
        rebuilt = client.post(
            "/v1/search", files={"image": unseen[0]}, data={"k": 5, "dataset": "colour"}
        ).json()
        assert [h["digest"] for h in rebuilt["hits"]] == [h["digest"] for h in labelled["hits"]]
        assert [h["score"] for h in rebuilt["hits"]] == pytest.approx(
            [h["score"] for h in labelled["hits"]], abs=1e-6
        )


def test_two_workers_see_each_others_heads_at_the_next_request(
    server_of: Callable[..., Server],
) -> None:
    server = server_of(workers=2)
    server.start()
    with server.client() as client:
        teach(client)
    image = picture("red", 77)
    for _ in range(20):  # a connection each, so that both workers are asked
        with server.client() as client:
            labels = {
                p["head"]: p["label"] for p in predict(client, image)["results"][0]["predictions"]
            }
        assert labels == {"colour": "red", "is-red": "yes", "is-blue": "no"}
    with server.client() as client:
        assert client.delete("/v1/heads/is-blue").status_code == 200
    for _ in range(20):
        with server.client() as client:
            heads = {p["head"] for p in predict(client, image)["results"][0]["predictions"]}
        assert heads == {"colour", "is-red"}


def test_a_bad_image_and_a_bad_head_hurt_no_neighbour(server_of: Callable[..., Server]) -> None:
    server = server_of()
    server.start()
    with server.client() as client:
        teach(client)
        files = [
            ("images", ("good.png", picture("blue", 500))),
            ("images", ("bad.png", b"no image")),
            ("images", ("cut.png", picture("blue", 501)[:200])),
        ]
        answer = client.post(
            "/v1/predict", files=files, data={"heads": ["colour", "nope", "colour@9"]}
        )
        assert answer.status_code == 200
        good, bad, cut = answer.json()["results"]
        assert [p["label"] for p in good["predictions"]] == ["blue", None, None]
        assert [(p["error"] or {}).get("code") for p in good["predictions"]] == [
            None,
            "head_not_found",
            "version_not_found",
        ]
        assert bad["error"]["code"] == "not_an_image"
        assert cut["error"]["code"] == "truncated_image"
        refused = client.post("/v1/predict", files=files[1:])
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "nothing_answered"


def test_a_body_over_the_limit_is_refused_while_it_is_read(
    server_of: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENULTIMATE_MAX_REQUEST_BYTES", "100000")
    server = server_of()
    server.start()
    with server.client() as client:
        announced = client.post("/v1/predict", files={"images": b"x" * 200_000})
        assert announced.status_code == 413
        assert announced.json()["code"] == "request_too_large"
        # A form as it should be: one that is none is refused as such if its first bytes come alone.
        start = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'
        chunks = (start if not n else b"x" * 10_000 for n in range(50))
        kind = {"content-type": "multipart/form-data; boundary=b"}
        chunked = client.post("/v1/predict", content=chunks, headers=kind)
        assert chunked.status_code == 413
        assert client.get("/livez").status_code == 200


def probabilities(answer: Any) -> list[dict[str, dict[str, float]]]:
    return [{p["head"]: p["probabilities"] for p in r["predictions"]} for r in answer["results"]]
