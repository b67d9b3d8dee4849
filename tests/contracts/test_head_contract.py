"""A head gives LightGBM's scores to the bit, by itself and in any forest: one suite for both."""

from collections.abc import Callable

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
from any_boosters import KINDS, any_head, hard_rows
from doubting import undoubted
from hypothesis import given
from hypothesis import strategies as st
from made_heads import WIDTH, alternating, small_head, vectors

from classifiers.errors import SpaceMismatch
from classifiers.forest import Forest
from classifiers.head import Head

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def alone(head: Head) -> tuple[Callable[[Float32], Float64], Callable[[Float32], Float64]]:
    return head.raw, head.answers


def in_a_forest(head: Head) -> tuple[Callable[[Float32], Float64], Callable[[Float32], Float64]]:
    others = [small_head(("a", "b", "c")), small_head(seed=5)]
    same_space = head.card.width == WIDTH
    forest = Forest([*others, head, *others] if same_space else [head, head])
    slot = 2 if same_space else 1
    return lambda X: forest.raw(X, [slot])[0], lambda X: forest.ask(X, [slot]).by_head[0]


SCORERS = pytest.mark.parametrize("score", [alone, in_a_forest])


def lightgbm_says(head: Head, X: Float32) -> Float64:
    booster = lightgbm.Booster(model_str=head.text)
    raw = booster.predict(head.card.scaling.scale(X), raw_score=True)
    return np.asarray(raw).reshape(len(X), head.card.n_outputs)


@SCORERS
@given(
    st.sampled_from(KINDS),
    st.sampled_from([1, 3]),
    st.integers(0, 7),
    st.integers(0, 10_000),
    st.integers(1, 40),
)
def test_raw_scores_are_lightgbms_to_the_bit(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], object]],
    kind: str,
    n_outputs: int,
    seed: int,
    rows: int,
    count: int,
) -> None:
    head = any_head(kind, n_outputs, seed)
    X = hard_rows(head, rows, count)
    raw, _ = score(head)
    assert raw(X).tobytes() == lightgbm_says(head, X).tobytes()


@SCORERS
@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c")])
def test_a_learnt_head_scores_as_lightgbm_does(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], object]],
    classes: tuple[str, ...],
) -> None:
    head = small_head(classes)
    X = vectors(alternating(classes, 30), 1.0, seed=3)
    raw, _ = score(head)
    assert raw(X).tobytes() == lightgbm_says(head, X).tobytes()


@SCORERS
@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c")])
def test_probabilities_are_those_of_the_linear_part_and_the_trees_together(
    score: Callable[[Head], tuple[object, Callable[[Float32], Float64]]],
    classes: tuple[str, ...],
) -> None:
    head = small_head(classes)
    X = vectors(alternating(classes, 10), 1.0, seed=4)
    _, probabilities = score(head)
    columns = head.card.scaling.scale(X)
    base = columns.astype(float) @ head.arrays["linear"].T.astype(float) + head.arrays["intercept"]
    z = base + np.array(head.card.tree_factors) * lightgbm_says(head, X)
    z = np.concatenate([np.zeros_like(z), z], axis=1) if z.shape[1] == 1 else z
    expected = np.exp(z - z.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(undoubted(head, probabilities(X)), expected, rtol=1e-9)
    np.testing.assert_allclose(probabilities(X).sum(axis=1), 1, rtol=1e-12)


@SCORERS
def test_an_image_alone_is_scored_as_among_others(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], object]],
) -> None:
    raw, _ = score(small_head())
    X = vectors(alternating(("cat", "dog"), 150), 1.0, seed=6)
    together = raw(X)
    for row in (0, 1, 255, 256, 299):
        assert raw(X[row : row + 1]).tobytes() == together[row : row + 1].tobytes()


@SCORERS
def test_no_images_get_no_scores(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], Callable[[Float32], Float64]]],
) -> None:
    raw, probabilities = score(small_head(("a", "b", "c")))
    nothing = np.zeros((0, WIDTH), np.float32)
    assert raw(nothing).shape == (0, 3)
    assert probabilities(nothing).shape == (0, 3)


@SCORERS
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((2, WIDTH + 1), np.float32),
        np.zeros((2, WIDTH - 1), np.float32),
        np.zeros((2, WIDTH), np.float64),
        np.zeros(WIDTH, np.float32),
    ],
    ids=["too wide", "too narrow", "float64", "one row"],
)
def test_vectors_of_another_shape_are_refused(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], object]], X: Float32
) -> None:
    raw, _ = score(small_head())
    with pytest.raises(SpaceMismatch) as caught:
        raw(X)
    assert caught.value.expected == f"float32 (n, {WIDTH})"


@SCORERS
def test_vectors_are_left_as_they_were(
    score: Callable[[Head], tuple[Callable[[Float32], Float64], object]],
) -> None:
    raw, _ = score(small_head())
    X = vectors(("cat", "dog"), 1.0)
    before = X.tobytes()
    X.setflags(write=False)
    raw(X)
    assert X.tobytes() == before
