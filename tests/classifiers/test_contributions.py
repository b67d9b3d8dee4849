"""What a score is made of: column by column and place by place, it adds up."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from any_boosters import KINDS, any_head, hard_rows
from doubting import without_doubt
from hypothesis import given
from hypothesis import strategies as st
from made_heads import LAYOUT, QUICK, WIDTH, alternating, small_head, taught, vectors

from classifiers.contributions import Contributions, contributions, spread
from classifiers.errors import SpaceMismatch
from classifiers.head import Head
from classifiers.tasks import join_labels

Float32 = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

TASKS = [("cat", "dog"), ("a", "b", "c", "d")]


@cache
def head_of_both(classes: tuple[str, ...], factor: float = 0.7) -> Head:
    """A head whose linear part and trees both count."""
    head = small_head(classes)
    return replace(head, card=replace(head.card, tree_factors=(factor,) * head.card.n_outputs))


def rows(seed: int, count: int = 5) -> Float32:
    return np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)


def made_parts(row: Float32, seed: int, side: int = 3) -> dict[str, Float32]:
    """Parts over side x side places of every column of a row."""
    rng = np.random.default_rng(seed)
    parts = {}
    for name, start, stop in LAYOUT:
        noise = rng.standard_normal((stop - start, side, side))
        noise -= noise.mean(axis=(1, 2), keepdims=True)
        parts[name] = (noise + row[start:stop, None, None] / side**2).astype(np.float32)
    return parts


def total(layers: Mapping[str, np.ndarray]) -> float:
    return float(sum(layer.sum() for layer in layers.values()))


@pytest.mark.parametrize("classes", TASKS)
@pytest.mark.parametrize("factor", [0.0, 0.7, 3.0])
@given(seed=st.integers(0, 2**32))
def test_contributions_add_up_to_the_score_that_the_probabilities_say(
    classes: tuple[str, ...], factor: float, seed: int
) -> None:
    head = head_of_both(classes, factor)
    for row in rows(seed, 2):
        found = contributions(head, row)[0]

        likely = dict(
            zip(classes, without_doubt(head).answers(row[np.newaxis])[0].tolist(), strict=True)
        )
        first, second = sorted(likely, key=lambda name: -likely[name])[:2]
        assert (found.of, found.against) == (first, second)
        assert found.score == pytest.approx(np.log(likely[first] / likely[second]), rel=1e-6)
        added = found.base + found.linear.sum() + found.trees.sum()
        assert added == pytest.approx(found.score, rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_trees_of_every_kind_add_up(kind: str, n_outputs: int) -> None:
    head = any_head(kind, n_outputs, seed=1)
    X = np.nan_to_num(hard_rows(head, 2, 20), nan=0.5, posinf=9.0, neginf=-9.0)
    X = np.clip(X, -1e6, 1e6)
    for row in X:
        found = contributions(head, row)[0]

        p = np.sort(without_doubt(head).answers(row[np.newaxis])[0])
        assert found.score == pytest.approx(np.log(p[-1] / p[-2]), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("classes", TASKS)
def test_the_base_is_the_mean_score_of_the_images_learnt_from(classes: tuple[str, ...]) -> None:
    labels = alternating(classes, 12)
    X = vectors(labels, 2.0, 0)
    head = head_of_both(classes)
    np.testing.assert_allclose(
        head.arrays["column_means"], head.scaling.scale(X).mean(axis=0), atol=1e-6
    )
    row = rows(1, 1)[0]
    found = contributions(head, row)[0]
    of, against = classes.index(found.of), classes.index(found.against)
    p = without_doubt(head).answers(X)

    assert found.base == pytest.approx(float(np.log(p[:, of] / p[:, against]).mean()), abs=1e-3)


def test_a_column_that_the_head_does_not_weigh_adds_nothing() -> None:
    head = head_of_both(("cat", "dog"))
    linear = head.arrays["linear"].copy()
    linear[:, 5] = 0
    used = set(head.trees.column.tolist())
    unused = next(column for column in range(WIDTH) if column not in used)
    linear[:, unused] = 0
    head = replace(head, arrays={**head.arrays, "linear": linear})

    found = contributions(head, rows(3, 1)[0])[0]

    assert found.linear[5] == 0
    assert found.linear[unused] == found.trees[unused] == 0
    assert np.count_nonzero(found.trees) <= len(used)


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(SpaceMismatch):
        contributions(small_head(), np.zeros(WIDTH + 1, np.float32))


# Places


@pytest.mark.parametrize("classes", TASKS)
@given(seed=st.integers(0, 2**32), side=st.integers(1, 5))
def test_what_is_spread_over_places_adds_up_to_the_same(
    classes: tuple[str, ...], seed: int, side: int
) -> None:
    head, row = head_of_both(classes), rows(seed, 1)[0]
    found = contributions(head, row)[0]

    layers = spread(head, row, found, made_parts(row, seed, side))

    assert {layer.shape for layer in layers.values()} == {(side, side)}
    assert found.base + total(layers) == pytest.approx(found.score, rel=1e-6)


def test_it_adds_up_where_parts_come_from_another_machine() -> None:
    head, row = head_of_both(TASKS[0]), rows(4, 1)[0]
    found, parts = contributions(head, row)[0], made_parts(row, 4)
    moved = {name: part * np.float32(1.0001) for name, part in parts.items()}

    assert found.base + total(spread(head, row, found, moved)) == pytest.approx(found.score)


def only(found: Contributions, **kept: np.ndarray) -> Contributions:
    nothing = np.zeros_like(found.weights)
    return replace(found, **{"weights": nothing, "trees": nothing, **kept})


def one_hot(row: Float32, column: int, places: list[float]) -> dict[str, Float32]:
    """Parts that are even but for one column, whose value lies as `places` say."""
    parts = {
        name: np.repeat(row[start:stop, None] / 4, 4, axis=1).astype(np.float32)
        for name, start, stop in LAYOUT
    }
    for name, start, stop in LAYOUT:
        if start <= column < stop:
            parts[name][column - start] = row[column] * np.array(places)
    return parts


@pytest.mark.parametrize("column", [2, 25, 39])
def test_a_linear_weight_works_where_its_column_comes_from(column: int) -> None:
    head, row = small_head(), np.abs(rows(5, 1)[0])
    weights = np.zeros(WIDTH)
    weights[column] = -2.0
    found = only(contributions(head, row)[0], weights=weights)

    layers = spread(head, row, found, one_hot(row, column, [0, 0.75, 0.25, 0]))

    block = next(name for name, start, stop in LAYOUT if start <= column < stop)
    z = float(head.scaling.scale(row[np.newaxis])[0, column])
    even = float(head.arrays["column_means"][column]) / 4
    expected = [-2 * (share * z - even) for share in (0, 0.75, 0.25, 0)]
    np.testing.assert_allclose(layers[block], expected, atol=1e-6)
    assert total({n: layer for n, layer in layers.items() if n != block}) == 0


def test_what_trees_add_lies_where_the_column_departs_from_the_mean() -> None:
    head, row = small_head(), np.abs(rows(5, 1)[0])
    trees = np.zeros(WIDTH)
    trees[3] = 1.5
    z = float(head.scaling.scale(row[np.newaxis])[0, 3])
    found = only(contributions(head, row)[0], trees=trees)
    for mean, expected in [
        (0.0, [0, 0.75, 0.25, 0]),  # the column is high, and high there
        (0.8 * z, [0, 11 / 12, 1 / 12, 0]),  # it is above 0.2 z in two places
        (2 * z, [0.4, 0, 0.2, 0.4]),  # it is low, and under 0.5 z in three
        (z, [0.25, 0.25, 0.25, 0.25]),  # not told apart
    ]:
        means = head.arrays["column_means"].copy()
        means[3] = mean
        moved = replace(head, arrays={**head.arrays, "column_means": means})
        places = [0.25] * 4 if mean == z else [0, 0.75, 0.25, 0]

        layers = spread(moved, row, found, one_hot(row, 3, places))

        np.testing.assert_allclose(layers["penultimate"], 1.5 * np.array(expected), atol=1e-4)


def test_a_head_on_some_blocks_asks_for_the_parts_of_those_alone() -> None:
    labels = alternating(("cat", "dog"), 12)
    recipe = replace(QUICK, blocks=("stage1",))
    head = taught(vectors(labels, 2.0), labels, recipe=recipe)
    row = rows(6, 1)[0]
    found = contributions(head, row)[0]

    layers = spread(head, row, found, made_parts(row, 6))

    assert list(layers) == ["stage1.mean", "stage1.std"]
    assert found.base + total(layers) == pytest.approx(found.score)


def test_a_block_of_zeros_is_spread_too() -> None:
    head, row = head_of_both(TASKS[0]), rows(7, 1)[0]
    row[24:32] = 0
    found = contributions(head, row)[0]

    layers = spread(head, row, found, made_parts(row, 7))

    assert all(np.isfinite(layer).all() for layer in layers.values())
    assert found.base + total(layers) == pytest.approx(found.score)


# Other tasks


HARD = np.random.default_rng(9).standard_normal((90, WIDTH)).astype(np.float32)


@cache
def head_of_task(task: str) -> Head:
    """Learnt from single columns, so that linear part and trees both count."""
    levels = np.digitize(HARD[:, 0] + HARD[:, 1], [-1.2, 0, 1.2])
    labels = {
        "multilabel": [
            join_labels([n for n, yes in zip("abc", row, strict=True) if yes])
            for row in HARD[:, :3] > 0.2
        ],
        "ordinal": [f"grade {level}" for level in levels],
        "regression": [f"{50 + 10 * value:.3f}" for value in HARD[:, 0]],
    }[task]
    head = taught(HARD, labels)
    return replace(head, card=replace(head.card, tree_factors=(0.7,) * head.card.n_outputs))


@given(seed=st.integers(0, 2**32))
def test_every_label_has_a_score_of_its_own_that_adds_up(seed: int) -> None:
    head = head_of_task("multilabel")
    for row in rows(seed, 2):
        p = dict(
            zip(
                head.classes,
                without_doubt(head).answers(row[np.newaxis])[0].tolist(),
                strict=True,
            )
        )
        found = contributions(head, row)
        assert [one.of for one in found] == sorted(p, key=lambda name: -p[name])
        for one in found:
            odds = np.log(p[one.of]) - np.log1p(-p[one.of])
            assert one.score == pytest.approx(odds, rel=1e-6, abs=1e-9)
            layers = spread(head, row, one, made_parts(row, seed % 99))
            assert one.base + total(layers) == pytest.approx(one.score, rel=1e-6, abs=1e-9)


@given(seed=st.integers(0, 2**32))
def test_the_number_is_the_score(seed: int) -> None:
    head = head_of_task("regression")
    for row in rows(seed, 2):
        (found,) = contributions(head, row)
        assert (found.unit, found.of) == ("number", "higher")
        assert found.score == pytest.approx(float(head.answers(row[np.newaxis])[0, 0]), rel=1e-6)
        layers = spread(head, row, found, made_parts(row, seed % 99))
        assert found.base + total(layers) == pytest.approx(found.score, rel=1e-6)


@given(seed=st.integers(0, 2**32))
def test_a_grade_is_told_from_the_next_likely_one(seed: int) -> None:
    head = head_of_task("ordinal")
    for row in rows(seed, 3):
        p = without_doubt(head).answers(row[np.newaxis])[0]
        of, other = np.argsort(-p)[:2]
        (found,) = contributions(head, row)
        cut = of if other > of else of - 1
        side = p[: cut + 1] if other > of else p[cut + 1 :]
        named = {0: "grade 0", 3: "grade 3"}.get(
            0 if side.size == 1 and other > of else 3 if side.size == 1 else -1,
            f"grade {of} or {'below' if other > of else 'above'}",
        )
        assert found.of == named
        scores = head_scores(head, row)
        assert found.score == pytest.approx((-1 if other > of else 1) * scores[cut], rel=1e-6)
        if np.all(np.diff(scores) <= 0):
            odds = np.log(side.sum() / (1 - side.sum()))
            assert found.score == pytest.approx(odds, rel=1e-5, abs=1e-7)
        layers = spread(head, row, found, made_parts(row, seed % 99))
        assert found.base + total(layers) == pytest.approx(found.score, rel=1e-6, abs=1e-9)


def head_scores(head: Head, row: Float32) -> np.ndarray:
    """The raw scores of a row, before they become probabilities."""
    columns = head.scaling.scale(row[np.newaxis])
    linear = columns.astype(float) @ head.arrays["linear"].astype(float).T
    scores = linear + head.arrays["intercept"] + 0.7 * head.raw(row[np.newaxis])
    return np.asarray(scores[0])


def test_of_very_many_labels_the_likeliest_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    head, row = head_of_task("multilabel"), rows(1, 1)[0]
    every = contributions(head, row)
    monkeypatch.setattr("classifiers.contributions.MOST_LABELS", 2)
    assert [one.of for one in contributions(head, row)] == [one.of for one in every[:2]]
