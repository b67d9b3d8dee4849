"""What answers amount to beside their numbers: which labels they name, which they cannot rule out.

As one number for each answer of a head, its outcome, so that thousands of them cost next to
nothing. In words, `Question.label_of` and `SetRule.left` say the same.
"""

from typing import Any

import numba
import numpy as np

from classifiers.links import EACH, GRADES, NUMBER

MOST_CLASSES = 31
"""Classes that have room in an outcome: two bits each."""

NO_OUTCOME = -1
"""Of a number, and of more classes than an outcome has room for."""


@numba.njit(cache=True, nogil=True)
def find_outcomes(answers: Any, sizes: Any, heads: Any, limits: Any, outcomes: Any) -> None:  # noqa: ANN401  numba's own types
    """Write outcomes: int64 (n_rows, n_heads).

    Bit k says that label k is named, bit `MOST_CLASSES` + k that it is in the set.

    Args:
        answers: float64 (n_rows, answers of all heads asked).
        sizes: int64 (n_heads,), how many answers each head has.
        heads: int64 (n_heads, 19), as `packed` writes it.
        limits: float64, of all heads: the smallest probability of each label in the set.
        outcomes: what is written.
    """
    for row in range(answers.shape[0]):
        start = 0
        for head in range(heads.shape[0]):
            link, size, first = heads[head, 8], sizes[head], heads[head, 18]
            p, least = answers[row, start : start + size], limits[first : first + size]
            start += size
            if link == NUMBER or size > MOST_CLASSES:
                outcomes[row, head] = NO_OUTCOME
            else:
                named = _likely(p) if link == EACH else np.int64(1) << _largest(p)
                inside = _inside(p, least)
                if link == GRADES:
                    inside = _filled(inside)
                outcomes[row, head] = named | inside << MOST_CLASSES


@numba.njit(cache=True, nogil=True)
def _largest(p: Any) -> Any:  # noqa: ANN401  numba's own types
    found = 0
    for k in range(1, p.size):
        if p[k] > p[found]:
            found = k
    return found


@numba.njit(cache=True, nogil=True)
def _likely(p: Any) -> Any:  # noqa: ANN401  numba's own types
    named = np.int64(0)
    for k in range(p.size):
        named |= np.int64(p[k] >= 0.5) << k  # noqa: PLR2004  likelier than not
    return named


@numba.njit(cache=True, nogil=True)
def _inside(p: Any, least: Any) -> Any:  # noqa: ANN401  numba's own types
    inside = np.int64(0)
    for k in range(p.size):
        inside |= np.int64(p[k] >= least[k]) << k
    return inside


@numba.njit(cache=True, nogil=True)
def _filled(inside: Any) -> Any:  # noqa: ANN401  numba's own types
    """Put in what lies between two grades that are in."""
    lowest = inside & -inside
    above = inside
    for half in (16, 8, 4, 2, 1):
        above |= above >> half
    return above & ~(lowest - 1) if inside else inside
