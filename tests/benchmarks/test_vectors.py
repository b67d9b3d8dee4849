"""Vectors for large stores: which are real, how the others are made, and what is asked."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.speed.exact import Exact, units
from benchmarks.speed.images import picture
from benchmarks.speed.stores import allowed
from benchmarks.speed.vectors import HELD_OUT, Float32, Views, files_of, named, views_of
from features.images import decode
from features.testing import ToyBackbone

IMAGES, VIEWS, WIDTH, DIM = 100, 4, 24, 16
STORED = IMAGES - IMAGES // HELD_OUT


def seen() -> Float32:
    """What a backbone may see: float32 (images, views, width), some of it negative past `DIM`."""
    generator = np.random.default_rng(3)
    of_images = 20 + 5 * generator.standard_normal((IMAGES, 1, WIDTH), np.float32)
    of_images[:, :, DIM:] -= 20
    return of_images + generator.standard_normal((IMAGES, VIEWS, WIDTH), np.float32)


@pytest.fixture
def views(tmp_path: Path) -> Views:
    np.save(tmp_path / "views.npy", seen())
    return Views(tmp_path / "views.npy", DIM)


def every(views: Views, count: int) -> Float32:
    return np.concatenate([part.matrix for part in views.parts(count)])


def test_the_first_vectors_are_real_views_each_once(views: Views) -> None:
    assert views.real == STORED * VIEWS
    found = {row.tobytes() for row in every(views, views.real)}
    assert found == {row.tobytes() for row in views.stored.reshape(-1, WIDTH)}


def test_nothing_is_stored_of_the_images_that_are_asked_about(views: Views) -> None:
    asked = views.queries(50)
    assert asked.shape == (50, DIM)
    stored = {row[:DIM].tobytes() for row in every(views, 3 * views.real)}
    assert not stored & {row.tobytes() for row in asked}
    assert {row.tobytes() for row in asked} <= {
        row[:DIM].tobytes() for row in seen()[19::20, 0:4].reshape(-1, WIDTH)
    }


def test_every_program_is_given_the_same_vectors(views: Views, tmp_path: Path) -> None:
    assert np.array_equal(every(views, 3000), every(Views(tmp_path / "views.npy", DIM), 3000))


def test_made_vectors_scatter_around_their_images_as_real_views_do(views: Views) -> None:
    count = views.real + 40_000
    made, image = every(views, count)[views.real :], views.images(count)[views.real :]
    of_images = views.stored.mean(axis=1)
    scatter = np.mean((made - of_images[image]) ** 2)
    real = np.mean((views.stored - of_images[:, np.newaxis]) ** 2)
    assert scatter / real == pytest.approx(1, abs=0.05)
    assert len({row.tobytes() for row in made}) == len(made)


def test_made_vectors_are_never_negative_where_they_are_searched(views: Views) -> None:
    views.stored[:, :, :DIM] = np.maximum(views.stored[:, :, :DIM] - 20, 0)
    made = every(views, views.real + 2000)[views.real :]
    assert made[:, :DIM].min() == 0
    assert made[:, DIM:].min() < 0


def test_the_image_of_each_vector_is_known(views: Views) -> None:
    count = views.real + 3000
    parts = np.concatenate([part.image for part in views.parts(count)])
    assert np.array_equal(views.images(count), parts)


def test_filters_keep_every_so_manyth_vector_or_those_of_the_first_images() -> None:
    numbers, image = np.arange(40, 50), np.array([0, 1, 2, 3, 4, 5, 0, 1, 2, 3])
    assert numbers[allowed({"every": 4}, numbers, image, 6)].tolist() == [40, 44, 48]
    assert image[allowed({"below": 0.5}, numbers, image, 6)].tolist() == [0, 1, 2, 0, 1, 2]
    assert allowed({"every": 1}, numbers, image, 6).all()


def test_what_is_exact_is_the_nearest_of_all_that_a_filter_keeps(
    views: Views, tmp_path: Path
) -> None:
    count = views.real + 5000
    np.save(tmp_path / "queries.npy", views.queries(12))
    exact = Exact(str(tmp_path / "views.npy"), DIM, count, str(tmp_path / "queries.npy"))
    filters = {"all": {"every": 1}, "some": {"every": 50}, "alike": {"below": 0.02}}
    found = exact(k=5, filters=filters)
    scores = units(views.queries(12)) @ units(every(views, count)[:, :DIM]).T
    for name, which in filters.items():
        kept = allowed(which, np.arange(count), views.images(count), STORED)
        best = np.argsort(np.where(kept, -scores, 2), axis=1)[:, :5]
        assert [set(row) for row in found[name]] == [set(row) for row in best.tolist()]


def test_views_of_an_image_are_itself_and_crops_of_it() -> None:
    data, rule = picture(60, 40, 1), ToyBackbone.space.preprocessing
    whole, *crops = views_of(data, 4, np.random.default_rng(0), rule)
    assert np.array_equal(whole, decode(data, rule))
    assert len(crops) == 3
    assert all(crop.shape == whole.shape and (crop != whole).any() for crop in crops)


def test_images_are_chosen_evenly_and_named_by_what_they_are(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.png").write_bytes(bytes([number]))
    (tmp_path / "notes.txt").write_text("no image")
    assert [path.stem for path in files_of(tmp_path, 5)] == ["0", "2", "4", "6", "8"]
    assert len(files_of(tmp_path, 100)) == 10
    images = [b"one", b"two"]
    names = {
        named(images, 10, "a"),
        named(images, 20, "a"),
        named(images, 10, "b"),
        named([b"one"], 10, "a"),
    }
    assert len(names) == 4
