"""explain=true: which places of an image an answer rests on, adding up to its score."""

import math
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from doubting import TINY, undoubted_said
from in_process import Http, files, refused
from live_server import picture
from PIL import Image

from features.errors import NoMaps
from service.schemas import PredictAnswer

RED, GREEN = picture("red", 100), picture("green", 101)
CELLS = 8


def as_png(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def pixels_of(colour: str, seed: int) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(picture(colour, seed))))


def beside(left: str, right: str) -> bytes:
    """A picture of one colour on the left and another on the right."""
    half = pixels_of(left, 7)[:, :24], pixels_of(right, 8)[:, 24:]
    return as_png(np.concatenate(half, axis=1))


def explained(http: Http, *images: bytes, **fields: Any) -> list[dict[str, Any]]:
    """The predictions of one head for each image."""
    answer = http.predict(*images, explain="true", heads=["colour"], **fields)
    assert answer.status_code == 200, answer.text
    PredictAnswer.model_validate(answer.json())
    return [result["predictions"][0] for result in answer.json()["results"]]


def test_base_and_grid_add_up_to_the_log_odds_of_the_answer(shared_http: Http) -> None:
    answer = shared_http.predict(RED, beside("red", "green"), explain="true").json()

    predictions = [p for r in answer["results"] for p in r["predictions"]]
    assert len(predictions) == 4
    for prediction in predictions:
        found = prediction["explanation"]
        p = undoubted_said(shared_http, prediction)
        first, second = (p[found[one]] for one in ("of", "against"))
        assert found["of"] == prediction["label"] != found["against"]
        if second > 10 * TINY:
            assert found["score"] == pytest.approx(math.log(first / second), rel=1e-4)
        else:
            assert found["score"] > math.log(0.01 / TINY)
        assert found["base"] + np.sum(found["grid"]) == pytest.approx(found["score"], rel=1e-6)
        assert np.shape(found["grid"]) == (CELLS, CELLS)
        assert found["unit"] == "log odds"


def test_the_map_is_where_the_thing_is(shared_http: Http) -> None:
    for image, for_red in [
        (beside("red", "green"), slice(0, 4)),
        (beside("green", "red"), slice(4, 8)),
    ]:
        (prediction,) = explained(shared_http, image)
        found = prediction["explanation"]
        grid = np.array(found["grid"]) * (1 if found["of"] == "red" else -1)
        green = slice(4, 8) if for_red.start == 0 else slice(0, 4)
        assert grid[:, for_red].sum() > grid[:, green].sum() + 1


def test_rows_run_from_top_to_bottom_of_the_image_set_upright(shared_http: Http) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right: its left is its bottom, as it is seen
    lying = np.asarray(Image.open(BytesIO(beside("red", "green"))))

    (prediction,) = explained(shared_http, as_png(lying, exif=exif))

    found = prediction["explanation"]
    grid = np.array(found["grid"]) * (1 if found["of"] == "red" else -1)
    assert grid[:4].sum() > grid[4:].sum() + 1


def test_nothing_is_explained_unasked_and_answers_are_otherwise_the_same(http: Http) -> None:
    plain = http.predict(RED, GREEN).json()
    asked = http.predict(RED, GREEN, explain="true").json()

    for before, after in zip(plain["results"], asked["results"], strict=True):
        for mine, other in zip(before["predictions"], after["predictions"], strict=True):
            assert "explanation" not in mine
            assert {n: v for n, v in other.items() if n != "explanation"} == mine


def test_a_known_image_and_one_not_to_be_remembered_are_explained_alike(http: Http) -> None:
    forgotten = explained(http, RED, remember="false")
    new, known = explained(http, RED), explained(http, RED)

    assert forgotten[0]["explanation"] == new[0]["explanation"] == known[0]["explanation"]
    assert explained(http, GREEN)[0]["explanation"] != known[0]["explanation"]


@pytest.mark.parametrize(
    ("shape", "exif", "expected"),
    [
        ((40, 60), 1, {"width": 60, "height": 40, "left": 10, "top": 0, "side": 40}),
        ((40, 60), 6, {"width": 40, "height": 60, "left": 0, "top": 10, "side": 40}),
        ((48, 48), 1, {"width": 48, "height": 48, "left": 0, "top": 0, "side": 48}),
    ],
)
def test_the_crop_says_what_was_looked_at_in_the_image_set_upright(
    shared_http: Http, shape: tuple[int, int], exif: int, expected: dict[str, float]
) -> None:
    tags = Image.Exif()
    tags[0x0112] = exif
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)

    (prediction,) = explained(shared_http, as_png(noise, exif=tags))

    assert prediction["explanation"]["crop"] == expected


def test_what_is_wrong_stays_in_its_place(shared_http: Http) -> None:
    answer = shared_http.predict(RED, b"no image", explain="true", heads=["colour", "nobody"])

    good, bad = answer.json()["results"]
    assert bad["error"]["code"] == "not_an_image"
    assert good["predictions"][0]["explanation"]["of"] == "red"
    assert good["predictions"][1]["explanation"] is None
    assert good["predictions"][1]["error"]["code"] == "head_not_found"


def test_too_many_images_or_heads_to_explain_are_refused_before_any_work(http: Http) -> None:
    start = http.count("penultimate_forward_images_total")
    nine = [picture("red", 300 + n) for n in range(9)]

    images = refused(http.predict(*nine, explain="true"), 422, "invalid_request")
    heads = refused(
        http.predict(nine[0], explain="true", heads=["colour"] * 9), 422, "invalid_request"
    )

    assert "9 images" in images["detail"]
    assert "9 heads" in heads["detail"]
    assert "8" in images["detail"]
    assert http.count("penultimate_forward_images_total") == start
    assert http.predict(*nine[:8], explain="1", heads=["colour"] * 8).status_code == 200


def test_digests_cannot_be_explained_and_the_refusal_says_what_can(http: Http) -> None:
    known = http.predict(RED).json()["results"][0]["image"]["digest"]
    http.product.embedder.flush()

    said = refused(
        http.post("/v1/predict", json={"digests": [known], "explain": True}),
        422,
        "invalid_request",
    )

    assert "send it as a form" in said["detail"]
    plain = http.post("/v1/predict", json={"digests": [known], "explain": False})
    assert plain.status_code == 200


def test_explain_may_stand_in_the_query_and_must_be_true_or_false(shared_http: Http) -> None:
    (result,) = shared_http.post("/v1/predict?explain=yes", files=files(RED)).json()["results"]
    assert result["predictions"][0]["explanation"]

    said = refused(shared_http.predict(RED, explain="perhaps"), 422, "invalid_request")
    assert "explain" in said["detail"]


def test_a_backbone_without_maps_is_named(
    shared_http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(_: object) -> None:
        raise NoMaps("timm/vit")  # the engines' own tests have real ones

    monkeypatch.setattr(shared_http.product.engine, "maps", none)

    said = refused(shared_http.predict(RED, explain="true"), 422, "no_maps")

    assert "timm/vit" in said["detail"]
    assert shared_http.predict(RED).status_code == 200


def test_evidence_and_explanation_come_together(shared_http: Http) -> None:
    (prediction,) = explained(shared_http, RED, evidence="2")

    assert len(prediction["evidence"]) == 2
    assert prediction["explanation"]["of"] == "red"
