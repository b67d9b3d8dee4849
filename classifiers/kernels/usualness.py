"""How usual an image is to many heads at once: the loop over their rounded directions.

Knows nothing of how they were fitted: `classifiers.novelty` says what the numbers are.
"""

from typing import Any

import numba
import numpy as np

NUMBERS = 3
"""Numbers of a head before those of its directions: the residual, the squared length of the mean
and its step. Of each direction two: its step, and how far the mean lies along it."""


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _product(row: Any, unit: Any) -> Any:  # noqa: ANN401  numba's own types
    # Freed of its order, the sum takes a sixteenth of the time. All heads go through this one loop,
    # so that a head says the same alone and among others.
    total = np.float32(0.0)
    for column in range(unit.size):
        total += np.float32(row[column]) * unit[column]
    return total


@numba.njit(cache=True, nogil=True)
def distance(rows: Any, numbers: Any, unit: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return the squared Mahalanobis distance of one image.

    Args:
        rows: int8 ((1 + n_directions) * dim,).
        numbers: float64 (3 + 2 * n_directions,), see `NUMBERS`.
        unit: float32 (dim,), of length 1.
    """
    dim = unit.size
    found = 1.0 - 2.0 * numbers[2] * _product(rows[:dim], unit) + numbers[1]
    found *= numbers[0]
    for direction in range((numbers.size - NUMBERS) // 2):
        place = NUMBERS + 2 * direction
        start = (1 + direction) * dim
        along = numbers[place] * _product(rows[start : start + dim], unit) - numbers[place + 1]
        found -= along * along
    return found


@numba.njit(cache=True, nogil=True)
def p_value(kept: Any, found: Any) -> Any:  # noqa: ANN401  numba's own types
    """Return the share of held-out images at least as strange, the new one among them.

    Args:
        kept: float64 (n,), ascending distances.
        found: of the new image; NaN is stranger than all.
    """
    low, high = 0, kept.size
    while low < high:
        middle = (low + high) // 2
        if kept[middle] >= found:
            high = middle
        else:
            low = middle + 1
    return (1 + kept.size - low) / (kept.size + 1)


@numba.njit(cache=True, nogil=True)
def to_unit(x: Any, unit: Any) -> None:  # noqa: ANN401  numba's own types
    """Write x, float32 (dim,), scaled to length 1, to float32 (dim,); zeros stay."""
    energy = 0.0
    for column in range(x.size):
        energy += np.float64(x[column]) * np.float64(x[column])
    length = max(np.sqrt(energy), 1e-30)
    for column in range(x.size):
        unit[column] = np.float32(x[column] / length)


@numba.njit(cache=True, nogil=True)
def distances_of(rows: Any, numbers: Any, units: Any, found: Any) -> None:  # noqa: ANN401  numba's own types
    """Write the distances of several images of one head, float64 (n_images,)."""
    flat = rows.reshape(rows.size)
    for image in range(found.size):
        found[image] = distance(flat, numbers, units[image])


@numba.njit(cache=True, nogil=True)
def usual(rows: Any, numbers: Any, kept: Any, heads: Any, scaled: Any, found: Any) -> None:  # noqa: ANN401  numba's own types
    """Write how usual images are to heads: float64 (n_rows, all heads asked), p-values.

    Args:
        rows: int8, of all heads, as `distance` takes them.
        numbers: float64, of all heads.
        kept: float64, held-out distances of all heads.
        heads: int64 (n_heads, 19), as `packed` writes it.
        scaled: float32 (n_scalings, n_rows, width).
        found: what is written, each head's at its place in the answer.
    """
    buffer = np.empty(scaled.shape[2], np.float32)
    for row in range(found.shape[0]):
        last = np.int64(-1)
        for head in range(heads.shape[0]):
            scaling, start, dim = heads[head, 6], heads[head, 14], heads[head, 15]
            unit = buffer[:dim]
            if scaling != last:
                to_unit(scaled[scaling, row, start : start + dim], unit)
                last = scaling
            n_rows, first_row, first_number = heads[head, 11], heads[head, 9], heads[head, 10]
            own = rows[first_row : first_row + n_rows * dim]
            about = numbers[first_number : first_number + NUMBERS - 2 + 2 * n_rows]
            first, count = heads[head, 12], heads[head, 13]
            strangeness = distance(own, about, unit)
            found[row, heads[head, 17]] = p_value(kept[first : first + count], strangeness)
