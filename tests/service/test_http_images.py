"""Embed, search, erase and spaces over HTTP."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from in_process import Http, files, refused
from live_server import picture

from features.keys import digest
from service.schemas import EmbedAnswer, SearchAnswer

ARROW = "application/vnd.apache.arrow.stream"
RED, GREEN, BLUE = picture("red", 100), picture("green", 101), picture("blue", 102)
KNOWN = picture("red", 0)


def search(http: Http, image: bytes = RED, **fields: Any) -> Any:
    answer = http.post("/v1/search", files={"image": image}, data=fields)
    assert answer.status_code == 200, answer.text
    SearchAnswer.model_validate(answer.json())
    return answer.json()["hits"]


def test_vectors_come_in_the_order_sent_with_the_space_they_live_in(http: Http) -> None:
    answer = http.post("/v1/embed", files=files(RED, b"no image", GREEN, KNOWN))
    assert answer.status_code == 200
    body = answer.json()
    EmbedAnswer.model_validate(body)
    assert body["space"]["id"] == http.product.space.id
    assert body["space"]["dim"] == http.product.space.dim
    first, bad, second, known = body["embeddings"]
    assert [e["digest"] for e in (first, second, known)] == [digest(i) for i in (RED, GREEN, KNOWN)]
    assert [e["cached"] for e in body["embeddings"]] == [False, False, False, True]
    assert (bad["digest"], bad["vector"], bad["error"]["code"]) == (None, None, "not_an_image")
    assert len(first["vector"]) == http.product.space.dim
    assert first["vector"] != second["vector"]


def test_a_vector_is_the_same_float_each_time_it_is_asked_for(http: Http) -> None:
    vectors = [
        http.post("/v1/embed", files=files(*images)).json()["embeddings"][0]["vector"]
        for images in ((RED,), (RED, GREEN), (RED,))
    ]
    assert vectors[0] == vectors[1] == vectors[2]
    assert np.array(vectors[0], np.float32).tolist() == vectors[0]


def test_vectors_can_be_had_as_an_arrow_table(http: Http) -> None:
    plain = http.post("/v1/embed", files=files(RED, GREEN)).json()["embeddings"]
    answer = http.post("/v1/embed", files=files(RED, GREEN), headers={"Accept": ARROW})
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW)
    table = pa.ipc.open_stream(answer.content).read_all()
    assert table.column("digest").to_pylist() == [e["digest"] for e in plain]
    vectors = np.array(table.column(1).to_pylist(), np.float32)
    np.testing.assert_array_equal(vectors, np.array([e["vector"] for e in plain], np.float32))
    bad = http.post("/v1/embed", files=files(RED, b"no image"), headers={"Accept": ARROW})
    assert "1.png" in refused(bad, 422, "not_an_image")["detail"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (f"text/html, {ARROW.upper()}", ARROW),
        (f"{ARROW};q=0.5", ARROW),
        (f"application/json;q=0.1, {ARROW};q=0.2", ARROW),
        (f"application/json, {ARROW};q=0.2", "application/json"),
        (f"{ARROW};q=0", "application/json"),
        (f"{ARROW}x", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        (",;q=,", "application/json"),
    ],
)
def test_an_arrow_table_is_given_to_who_asks_for_it(
    shared_http: Http, accept: str, kind: str
) -> None:
    answer = shared_http.post("/v1/embed", files=files(KNOWN), headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.headers["vary"] == "Accept"


def test_where_no_image_has_a_vector_each_reason_is_given(http: Http) -> None:
    body = refused(http.post("/v1/embed", files=files(b"no image", b"")), 422, "nothing_answered")
    assert [e["error"]["code"] for e in body["embeddings"]] == ["not_an_image", "empty_image"]
    assert [p["code"] for p in body["problems"]] == ["not_an_image", "empty_image"]


def test_embed_without_images_is_refused(shared_http: Http) -> None:
    refused(shared_http.post("/v1/embed", files={"other": b"x"}), 422, "invalid_request")
    refused(shared_http.post("/v1/embed", json={"images": []}), 422, "invalid_request")
    refused(shared_http.post("/v1/embed", files=files(*[RED] * 65)), 413, "request_too_large")


def test_the_nearest_come_first_described_by_their_dataset(http: Http) -> None:
    hits = search(http, k=5)
    scores = [h["score"] for h in hits]
    assert len(hits) == 5
    assert scores == sorted(scores, reverse=True)
    assert max(scores) <= 1 + 1e-6
    assert {h["label"] for h in hits} == {"red"}
    assert hits[0]["filename"].startswith("red-")
    assert hits[0]["dataset"] == "colour"
    assert hits[0]["group"].startswith("patient")


def test_ten_hits_unless_more_are_asked_for(http: Http) -> None:
    assert len(search(http)) == 10
    assert len(search(http, k=1_000)) == 24


def test_filters_narrow_before_the_nearest_are_taken(http: Http) -> None:
    assert {h["label"] for h in search(http, RED, k=20, label="green")} == {"green"}
    assert len(search(http, RED, k=20, label="green")) == 12
    hits = search(http, RED, k=20, dataset="is-red", label="no")
    assert {(h["dataset"], h["label"]) for h in hits} == {("is-red", "no")}
    assert search(http, RED, dataset="is-red", label="red") == []
    assert search(http, RED, label="nope") == []
    answer = http.post("/v1/search", files={"image": RED}, data={"dataset": "nope"})
    refused(answer, 404, "dataset_not_found")


def test_a_filter_follows_every_change_of_what_has_the_label(http: Http) -> None:
    def labelled(label: str) -> set[str]:
        return {h["digest"] for h in search(http, RED, k=20, label=label)}

    before = labelled("green")
    moved, erased, *_ = sorted(before)
    labels = [{"digest": moved, "label": "blue"}]
    http.put("/v1/datasets/colour/labels", json={"labels": labels})
    assert (labelled("green"), labelled("blue")) == (before - {moved}, {moved})
    http.delete(f"/v1/images/{erased}")
    assert labelled("green") == before - {moved, erased}


def test_filters_may_stand_in_the_address_of_json_too(http: Http) -> None:
    url = "/v1/search?k=2&label=green&dataset=colour"
    hits = http.post(url, json={"digest": digest(KNOWN)}).json()["hits"]
    assert [h["label"] for h in hits] == ["green", "green"]


def test_a_hit_shows_the_label_that_was_asked_for(http: Http) -> None:
    """The same images in two datasets, and under two labels in one."""
    for dataset, label in (("other", "caf\u00e9"), ("colour", "warm")):
        sent = {"labels": label}
        http.post(f"/v1/datasets/{dataset}/images", files=files(KNOWN), data=sent)
    hits = search(http, BLUE, label="cafe\u0301")
    assert [(h["dataset"], h["label"]) for h in hits] == [("other", "caf\u00e9")]
    hits = search(http, BLUE, label="warm")
    assert [(h["dataset"], h["label"]) for h in hits] == [("colour", "warm")]


def test_the_query_itself_is_left_out_and_not_kept(http: Http) -> None:
    assert digest(KNOWN) not in [h["digest"] for h in search(http, KNOWN, k=1_000)]
    search(http, BLUE)
    http.product.embedder.flush()
    assert digest(BLUE) not in http.product.workspaces["default"].store
    assert not http.product.workspaces["default"].blobs.has(digest(BLUE))


def test_image_digest_and_vector_find_the_same(http: Http) -> None:
    vector = http.post("/v1/embed", files=files(KNOWN)).json()["embeddings"][0]["vector"]
    by_image = search(http, KNOWN, k=3)
    by_digest = http.post("/v1/search", json={"digest": digest(KNOWN), "k": 3})
    by_vector = http.post("/v1/search", json={"vector": vector, "k": 4})
    assert by_digest.json()["hits"] == by_image
    assert [h["digest"] for h in by_vector.json()["hits"]] == [
        digest(KNOWN),
        *(h["digest"] for h in by_image),
    ]
    narrowed = http.post("/v1/search", json={"vector": vector, "label": "green", "k": 2})
    assert {h["label"] for h in narrowed.json()["hits"]} == {"green"}


def test_a_record_in_no_dataset_is_a_hit_without_a_label(http: Http) -> None:
    http.post("/v1/embed", files=files(RED))
    http.product.embedder.flush()
    found = {h["digest"]: h for h in search(http, picture("red", 555), k=1_000)}
    assert found[digest(RED)]["label"] is None
    assert found[digest(RED)]["dataset"] is None


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"digest": "0" * 64, "vector": [1.0] * 16},
        {"vector": [1.0] * 15},
        {"vector": [0.0] * 16},
        {"vector": []},
        {"vector": [1e39] * 16},
        {"vector": ["x"] * 16},
        {"digest": "0" * 64, "k": 0},
        {"digest": "0" * 64, "k": 1_001},
        {"digest": "0" * 64, "extra": 1},
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_search_that_makes_no_sense_is_refused(shared_http: Http, body: dict[str, Any]) -> None:
    refused(shared_http.post("/v1/search", json=body), 422, "invalid_request")


def test_not_a_number_is_no_vector(shared_http: Http) -> None:
    kind = {"content-type": "application/json"}
    body = f'{{"vector": [NaN{", 1" * 15}]}}'.encode()
    refused(shared_http.post("/v1/search", content=body, headers=kind), 422, "invalid_request")


def test_searching_for_nothing_that_is_there(shared_http: Http) -> None:
    refused(shared_http.post("/v1/search", json={"digest": "0" * 64}), 404, "unknown_digest")
    refused(shared_http.post("/v1/search", files={"image": b"x"}), 422, "not_an_image")
    refused(
        shared_http.post("/v1/search", data={"k": "3"}, files={"x": b""}), 422, "invalid_request"
    )
    two = [("image", ("a", RED)), ("image", ("b", GREEN))]
    refused(shared_http.post("/v1/search", files=two), 413, "request_too_large")
    refused(
        shared_http.post("/v1/search", files={"image": RED}, data={"k": "1001"}),
        422,
        "invalid_request",
    )


def test_a_search_in_an_empty_workspace_finds_nothing(empty_http: Http) -> None:
    assert search(empty_http) == []


def test_an_erased_image_is_gone_everywhere(http: Http) -> None:
    key = digest(KNOWN)
    answer = http.delete(f"/v1/images/{key}")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["digest"], body["erased"], body["datasets"]) == (key, True, 2)
    assert body["heads"] == [
        {"head": "colour", "version": 1},
        {"head": "is-red", "version": 1},
    ]
    place = http.product.workspaces["default"]
    assert key not in place.store
    assert not place.blobs.has(key)
    assert key not in [h["digest"] for h in search(http, RED, k=1_000)]
    assert http.get("/v1/datasets/colour").json()["images"] == 23
    refused(http.post("/v1/search", json={"digest": key}), 404, "unknown_digest")
    refused(http.post("/v1/predict", json={"digests": [key]}), 422, "nothing_answered")
    refused(http.delete(f"/v1/images/{key}"), 404, "image_not_found")
    assert http.product.catalog.open_erasures() == []


def test_an_erased_image_is_no_evidence_any_more(http: Http) -> None:
    (result,) = http.predict(RED, heads=["colour"], evidence=1).json()["results"]
    nearest = result["evidence"][0]["digest"]
    http.delete(f"/v1/images/{nearest}")
    (result,) = http.predict(RED, heads=["colour"], evidence=20).json()["results"]
    assert nearest not in [e["digest"] for e in result["evidence"]]


def test_an_image_known_from_predictions_alone_can_be_erased(http: Http) -> None:
    http.predict(BLUE)
    body = http.delete(f"/v1/images/{digest(BLUE)}").json()
    assert (body["erased"], body["datasets"], body["heads"]) == (True, 0, [])
    assert http.predict(BLUE).json()["results"][0]["image"]["cached"] is False


@pytest.mark.parametrize("key", ["rubbish", "A" * 64, "0" * 63])
def test_what_is_no_digest_is_not_looked_for(shared_http: Http, key: str) -> None:
    refused(shared_http.delete(f"/v1/images/{key}"), 422, "invalid_request")


def test_the_space_that_is_served_says_everything_that_changes_a_vector(shared_http: Http) -> None:
    (space,) = shared_http.get("/v1/spaces").json()["spaces"]
    assert space["id"] == shared_http.product.space.id
    assert space["backbone"] == "toy"
    assert space["default"] is True
    assert {"weights_sha256", "layer", "stages", "preprocessing", "precision", "dim"} <= set(space)
