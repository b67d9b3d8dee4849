"""The loops that resize a box of 8-bit pixels as Pillow does, to the last bit.

Know nothing of images' modes. Pillow's method (its `Resample.c`): first along the rows, then along
the columns, each level a weighted sum of those near it in whole numbers, rounded to 8 bits after
either pass. Along a row it multiplies one level after the other. Here many rows stand beside each
other meanwhile, and the processor multiplies sixteen of them at once.
"""

from typing import Any

import numba
import numpy as np

_BITS = np.int32(22)
"""Of a weight: Pillow leaves 8 for a level, and 2 for sums that overshoot."""

_HALF = np.int32(1 << 21)
_SUPPORT = 2.0
"""Of the bicubic kernel, in pixels."""

_ROWS = 128
"""Taken at a time: their columns stay in the processor's cache."""

_KINDS = [
    numba.void(
        numba.types.Array(kind, 2, "A", readonly=True), numba.float32[::1], numba.uint8[:, :, ::1]
    )
    for kind in (numba.uint32, numba.uint8)
]


@numba.njit(cache=True, nogil=True)
def _level(total: Any) -> Any:  # noqa: ANN401  numba's own types, here and below
    return np.uint8(min(max(total >> _BITS, np.int32(0)), np.int32(255)))


@numba.njit(cache=True, nogil=True)
def _bicubic(x: Any) -> Any:  # noqa: ANN401
    """Keys' kernel with a = -0.5, in the order of operations that Pillow has."""
    a, x = -0.5, abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    if x < _SUPPORT:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


@numba.njit(cache=True, nogil=True)
def _weights(length: Any, low: Any, high: Any, size: Any) -> Any:  # noqa: ANN401
    """Of each target: its first source, how many, and what each counts, int32 (size, n_most)."""
    scale = np.float64(high - low) / size
    stretch = max(scale, 1.0)
    support, inverse = _SUPPORT * stretch, 1.0 / stretch
    most = int(np.ceil(support)) * 2 + 1
    firsts, counts = np.empty(size, np.int64), np.empty(size, np.int64)
    weights, shares = np.zeros((size, most), np.int32), np.empty(most)
    for target in range(size):
        centre = np.float64(low) + (target + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        count = min(int(centre + support + 0.5), length) - first
        total = 0.0
        for near in range(count):
            shares[near] = _bicubic((near + first - centre + 0.5) * inverse)
            total += shares[near]
        for near in range(count):
            share = shares[near] / total if total != 0.0 else shares[near]
            scaled = share * (1 << _BITS)
            weights[target, near] = np.int32(scaled - 0.5 if share < 0 else scaled + 0.5)
        firsts[target], counts[target] = first, count
    return firsts, counts, weights


@numba.njit(cache=True, nogil=True)
def _stood_up(pixels: Any, low: Any, high: Any, bands: Any) -> Any:  # noqa: ANN401
    """Columns as rows, the bands of each one after the other: uint8 (high - low, bands * _ROWS)."""
    found = np.zeros((high - low, bands * _ROWS), np.uint8)
    for column in range(high - low):
        some = found[column]
        for row in range(pixels.shape[0]):
            pixel = np.uint32(pixels[row, low + column])
            some[row] = np.uint8(pixel)
            if bands > 1:
                some[_ROWS + row] = np.uint8(pixel >> np.uint32(8))
                some[2 * _ROWS + row] = np.uint8(pixel >> np.uint32(16))
    return found


@numba.njit(cache=True, nogil=True)
def _add_up(near: Any, weights: Any, sums: Any, levels: Any) -> None:  # noqa: ANN401
    """Write the weighted sums of rows that lie near each other as levels: uint8 (n,)."""
    sums[:] = _HALF
    for row in range(near.shape[0]):
        weight, some = weights[row], near[row]
        for x in range(sums.size):
            sums[x] += np.int32(some[x]) * weight
    for x in range(sums.size):
        levels[x] = _level(sums[x])


@numba.njit(cache=True, nogil=True)
def _along_rows(pixels: Any, columns: Any, bands: Any, resized: Any) -> None:  # noqa: ANN401
    """Write at most `_ROWS` rows with their new columns: uint8 (n_rows, size * bands)."""
    firsts, counts, weights = columns
    standing = _stood_up(pixels, firsts[0], firsts[-1] + counts[-1], bands)
    sums = np.empty(bands * _ROWS, np.int32)
    levels = np.empty(bands * _ROWS, np.uint8)
    for column in range(firsts.size):
        first = firsts[column] - firsts[0]
        _add_up(standing[first : first + counts[column]], weights[column], sums, levels)
        for band in range(bands):
            for row in range(pixels.shape[0]):
                resized[row, bands * column + band] = levels[band * _ROWS + row]


@numba.njit(cache=True, nogil=True)
def _along_columns(levels: Any, rows: Any, resized: Any) -> None:  # noqa: ANN401
    """Write new rows of uint8 (n_rows, size * bands), as uint8 (size, size, bands)."""
    firsts, counts, weights = rows
    sums = np.empty(levels.shape[1], np.int32)
    for row in range(firsts.size):
        first = firsts[row] - firsts[0]
        near = levels[first : first + counts[row]]
        _add_up(near, weights[row], sums, resized[row].reshape(sums.size))


@numba.njit(_KINDS, cache=True, nogil=True)
def resize(pixels: Any, box: Any, resized: Any) -> None:  # noqa: ANN401
    """Write a box of the pixels resized bicubically, along the rows first.

    Args:
        pixels: uint32 (height, width), red in the lowest byte, then green and blue; or uint8
            (height, width), grey; read-only.
        box: float32 (4,), left, top, right and bottom, within the pixels.
        resized: uint8 (rows, columns, bands), written: 3 bands or 1.
    """
    n_rows, n_columns, bands = resized.shape
    columns = _weights(pixels.shape[1], box[0], box[2], n_columns)
    rows = _weights(pixels.shape[0], box[1], box[3], n_rows)
    low, high = rows[0][0], rows[0][-1] + rows[1][-1]
    levels = np.empty((high - low, n_columns * bands), np.uint8)
    for top in range(low, high, _ROWS):
        end = min(top + _ROWS, high)
        _along_rows(pixels[top:end], columns, bands, levels[top - low : end - low])
    _along_columns(levels, rows, resized)
