"""Each block of a row is scaled by itself, and by nothing but the row."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from classifiers.blocks import Block, Scaling, choose_blocks
from classifiers.errors import BadRecipe

Float32 = npt.NDArray[np.float32]

LAYOUT = [
    ("penultimate", 0, 3),
    ("stage1.mean", 3, 5),
    ("stage1.std", 5, 7),
    ("stage10.mean", 7, 9),
]
BLOCKS = choose_blocks(LAYOUT, ["penultimate", "stage1"])
LENGTHS = Scaling(BLOCKS, "l2")
AS_IS = Scaling(BLOCKS, "none")

matrices = arrays.arrays(
    np.float32, st.tuples(st.integers(1, 6), st.just(9)), elements=st.floats(-1e3, 1e3, width=32)
)


@given(matrices)
def test_every_block_gets_length_one_unless_it_is_zero(X: Float32) -> None:
    scaled = LENGTHS.scale_in_place(X)
    for block in BLOCKS:
        part = X[:, block.start : block.stop].astype(np.float64)
        lengths = np.linalg.norm(scaled[:, block.start : block.stop], axis=1)
        seen = np.linalg.norm(part, axis=1) > 1e-20
        np.testing.assert_allclose(lengths[seen], 1, rtol=1e-5)
        assert not lengths[(part == 0).all(axis=1)].any()


@given(matrices)
def test_a_row_alone_is_scaled_to_the_same_bits_as_among_others(X: Float32) -> None:
    together = LENGTHS.scale(X)
    alone = np.concatenate([LENGTHS.scale(X[row : row + 1]) for row in range(len(X))])
    assert together.tobytes() == alone.tobytes()


@given(matrices)
def test_columns_outside_the_blocks_are_not_looked_at(X: Float32) -> None:
    other = X.copy()
    other[:, 7:] = 5
    assert LENGTHS.scale(X).tobytes() == LENGTHS.scale(other).tobytes()
    assert LENGTHS.scale(X).shape == (len(X), 7)
    assert not LENGTHS.scale_in_place(X)[:, 7:].any()


def test_without_normalisation_values_stay_but_for_what_lightgbm_takes_for_zero() -> None:
    X = np.zeros((1, 9), np.float32)
    X[0, :5] = [2.5, np.nan, 1e-35, -1e-36, 1.1e-35]
    np.testing.assert_array_equal(
        AS_IS.scale(X)[0, :5], np.array([2.5, np.nan, 0, 0, 1.1e-35], np.float32)
    )


def test_a_matrix_that_is_a_view_is_scaled_as_its_copy() -> None:
    wide = np.random.default_rng(0).standard_normal((4, 18)).astype(np.float32)
    view = wide[:, ::2]
    assert LENGTHS.scale(view).tobytes() == LENGTHS.scale(view.copy()).tobytes()


def test_all_takes_every_block_and_a_name_those_below_it() -> None:
    assert [block.name for block in choose_blocks(LAYOUT, ["all"])] == [name for name, *_ in LAYOUT]
    assert tuple(Block(*block) for block in LAYOUT[:3]) == BLOCKS


def test_a_block_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(BadRecipe, match=r"no block 'stage2'; there are penultimate, stage1\.mean"):
        choose_blocks(LAYOUT, ["stage2"])
