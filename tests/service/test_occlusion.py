"""Heat maps against the plainest experiment: cover a place, and see how far the score falls."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
from doubting import without_doubt

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
    (found,) = heats(head, image).values()
    return found


def heats(head: Head, image: UInt8) -> dict[str, np.ndarray]:
    """The heat map of each thing that a head explains."""
    row = TOY.run(image[np.newaxis]).matrix()[0]
    parts = {b.name: p for b, p in zip(TOY.space.blocks, TOY.maps(image).blocks, strict=True)}
    return {
        found.of: np.sum(
            [regrid(layer, GRID) for layer in spread(head, row, found, parts).values()], axis=0
        )
        for found in contributions(head, row)
    }


def covered(image: UInt8, heat: np.ndarray, seed: int) -> UInt8:
    """An image with an eighth covered: what is hot, what is cold, anything; and bare."""
    order, chance = heat.argsort(axis=None), np.random.default_rng(seed).permutation(GRID**2)
    pictures = np.stack([image] * 4)
    for picture, patches in zip(pictures, (order[-8:], order[:8], chance[:8]), strict=False):
        cover = np.isin(np.arange(GRID**2), patches).reshape(GRID, GRID)
        picture[np.kron(cover, np.ones((PATCH, PATCH), bool))] = image.mean(axis=(0, 1))
    return pictures


def drops(head: Head, pictures: UInt8) -> np.ndarray:
    """How far the score of the answer to the last picture falls in each of the others."""
    p = without_doubt(head).answers(TOY.run(pictures).matrix())
    answer = int(p[-1].argmax())
    score = np.log(p[:, answer] / p[:, 1 - answer])
    return np.asarray(score[-1] - score[:-1])


def cases() -> Iterator[tuple[UInt8, tuple[int, int]]]:
    for seed in range(500, 515):
        for label in COLOURS:
            yield scene(label, seed)


def is_hottest(heat: np.ndarray, place: tuple[int, int]) -> bool:
    """Whether the hottest patch is one of the square's four."""
    down, right = np.subtract(divmod(int(heat.argmax()), GRID), place)
    return 0 <= down <= 1 and 0 <= right <= 1


def test_the_hottest_place_is_the_square_that_tells_the_classes_apart(head: Head) -> None:
    found = []
    for image, place in cases():
        found.append(is_hottest(heat(head, image), place))

    assert np.mean(found) > 0.9


def test_covering_what_is_hot_costs_the_answer_and_what_is_cold_does_not(head: Head) -> None:
    table = []
    for n, (image, _) in enumerate(cases()):
        table.append(drops(head, covered(image, heat(head, image), n)))

    hot, cold, chance = np.mean(table, axis=0)
    assert hot > 5 * abs(chance)
    assert cold < chance


# The tasks whose score is not that of one label against another

TASKS = ("multilabel", "ordinal", "regression")


def put(image: UInt8, colour: str, seed: int, amount: float = 1.0) -> tuple[int, int]:
    """Lays so much of a scene's square over another image; and where it is."""
    square, (row, column) = scene(colour, seed)
    places = slice(PATCH * row, PATCH * (row + 2)), slice(PATCH * column, PATCH * (column + 2))
    image[places] = (amount * square[places] + (1 - amount) * image[places]).astype(np.uint8)
    return row, column


def told(task: str, seed: int) -> tuple[UInt8, str, dict[str, tuple[int, int]]]:
    """An image, its label, and where the square is that speaks for each of some answers."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 160, (32, 32, 1)).repeat(3, axis=2).astype(np.uint8)
    if task == "multilabel":
        there = [colour for colour in COLOURS if rng.random() < 0.5]
        where = {colour: put(image, colour, 7 * seed + len(colour)) for colour in there}
        # What lies below another square is not seen as a whole.
        overlap = len(there) == 2 and np.ptp(list(where.values()), axis=0).max() < 2
        return image, "|".join(there) or "-", {} if overlap else where
    amount = rng.random()
    place = put(image, "orange", seed, amount)
    if task == "regression":
        return image, f"{100 * amount:.1f}", {"higher": place} if amount > 0.6 else {}
    return image, "abc"[min(2, int(3 * amount))], {"c": place} if amount > 0.8 else {}


@pytest.fixture(scope="module", params=TASKS)
def task_and_head(request: pytest.FixtureRequest) -> tuple[str, Head]:
    task = str(request.param)
    images, labels, _ = zip(*(told(task, seed) for seed in range(160)), strict=True)
    X = TOY.run(np.stack(images)).matrix()
    return task, learn(
        X,
        LabelSet(tuple(f"{n:064x}" for n in range(len(X))), labels),
        name="spot",
        space_id=TOY.space.id,
        blocks=[(b.name, b.start, b.stop) for b in TOY.space.blocks],
        recipe=Recipe(rounds=20, folds=5, repeats=1),
        task=task,
        order=("a", "b", "c") if task == "ordinal" else (),
    )


class Explained(NamedTuple):
    """What a head explains in an image, where the square is that speaks for it, and its heat."""

    image: UInt8
    of: str
    place: tuple[int, int]
    heat: np.ndarray


def explained(task: str, head: Head, seeds: Iterable[int]) -> Iterator[Explained]:
    for seed in seeds:
        image, _, where = told(task, seed)
        found = heats(head, image)
        yield from (Explained(image, of, where[of], found[of]) for of in where if of in found)


def answers(head: Head, images: UInt8, of: str) -> np.ndarray:
    """What a head answers about one thing: log odds of a label, or the number: float64 (n,)."""
    found = without_doubt(head).answers(TOY.run(images).matrix())
    if head.card.question.is_number:
        return np.asarray(found[:, 0])
    p = found[:, head.card.question.classes.index(of)]
    return np.asarray(np.log(p / (1 - p)))


def test_of_every_task_the_hottest_place_is_the_square_that_speaks_for_the_answer(
    task_and_head: tuple[str, Head],
) -> None:
    task, head = task_and_head
    found = [is_hottest(e.heat, e.place) for e in explained(task, head, range(1000, 1120))]
    assert len(found) > 15
    assert np.mean(found) > 0.9


def test_of_every_task_covering_what_is_hot_costs_the_score(
    task_and_head: tuple[str, Head],
) -> None:
    task, head = task_and_head
    table = []
    for n, e in enumerate(explained(task, head, range(1000, 1040))):
        after = answers(head, covered(e.image, e.heat, n), e.of)
        table.append(after[-1] - after[:-1])
    hot, cold, by_chance = np.mean(table, axis=0)
    assert hot > 3 * abs(by_chance)
    assert cold < by_chance
