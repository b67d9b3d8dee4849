"""Heat maps against the plainest experiment: cover a place, and see how far the score falls."""

from collections.abc import Iterator

import numpy as np
import pytest

from classifiers.contributions import contributions, spread
from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn
from features.keys import UInt8
from features.maps import regrid
from features.testing import ToyBackbone

TOY = ToyBackbone()
PATCH, GRID = 4, 8
COLOURS = {"orange": (230, 140, 20), "violet": (140, 20, 230)}


def scene(label: str, seed: int) -> tuple[UInt8, tuple[int, int]]:
    """Grey noise with a square of the label's colour on 2 x 2 of 8 x 8 places; and where it is."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 160, (32, 32, 1)).repeat(3, axis=2).astype(np.uint8)
    row, column = (int(n) for n in rng.integers(0, GRID - 1, 2))
    square = rng.integers(-20, 20, (2 * PATCH, 2 * PATCH, 3)) + np.array(COLOURS[label])
    places = slice(PATCH * row, PATCH * (row + 2)), slice(PATCH * column, PATCH * (column + 2))
    image[places] = square.clip(0, 255)
    return image, (row, column)


@pytest.fixture(scope="module")
def head() -> Head:
    labels = tuple(label for _ in range(40) for label in COLOURS)
    X = TOY.run(np.stack([scene(label, n)[0] for n, label in enumerate(labels)])).matrix()
    return learn(
        X,
        LabelSet(tuple(f"{n:064x}" for n in range(len(X))), labels),
        name="spot",
        space_id=TOY.space.id,
        blocks=[(b.name, b.start, b.stop) for b in TOY.space.blocks],
        recipe=Recipe(rounds=20, folds=5, repeats=1),
    )


def heat(head: Head, image: UInt8) -> np.ndarray:
    row = TOY.run(image[np.newaxis]).matrix()[0]
    (found,) = contributions(head, row)
    parts = {b.name: p for b, p in zip(TOY.space.blocks, TOY.maps(image).blocks, strict=True)}
    layers = spread(head, row, found, parts).values()
    return np.sum([regrid(layer, GRID) for layer in layers], axis=0)


def drops(head: Head, image: UInt8, covers: np.ndarray) -> np.ndarray:
    """How far the score of the answer falls under each cover: bool (n, 8, 8)."""
    covered = np.stack([image] * (len(covers) + 1))
    for picture, cover in zip(covered, covers, strict=False):
        picture[np.kron(cover, np.ones((PATCH, PATCH), bool))] = image.mean(axis=(0, 1))
    p = head.answers(TOY.run(covered).matrix())
    answer = int(p[-1].argmax())
    score = np.log(p[:, answer] / p[:, 1 - answer])
    return np.asarray(score[-1] - score[:-1])


def cases() -> Iterator[tuple[UInt8, tuple[int, int]]]:
    for seed in range(500, 515):
        for label in COLOURS:
            yield scene(label, seed)


def test_the_hottest_place_is_the_square_that_tells_the_classes_apart(head: Head) -> None:
    found = []
    for image, (row, column) in cases():
        hottest = divmod(int(heat(head, image).argmax()), GRID)
        found.append(row <= hottest[0] <= row + 1 and column <= hottest[1] <= column + 1)

    assert np.mean(found) > 0.9


def test_covering_what_is_hot_costs_the_answer_and_what_is_cold_does_not(head: Head) -> None:
    table = []
    for n, (image, _) in enumerate(cases()):
        order = heat(head, image).argsort(axis=None)
        chance = np.random.default_rng(n).permutation(GRID**2)
        covers = [np.isin(np.arange(GRID**2), o[-8:]) for o in (order, order[::-1], chance)]
        table.append(drops(head, image, np.array(covers).reshape(-1, GRID, GRID)))

    hot, cold, chance = np.mean(table, axis=0)
    assert hot > 5 * abs(chance)
    assert cold < chance
