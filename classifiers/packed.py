"""Many heads as a few long arrays: what scoring them needs, and nothing else of them.

A `Packed` never changes. What later ones append lies beyond its ends, so that they share arrays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling
from classifiers.bushes import LEAVES, SPLITS, Bushes, to_bushes
from classifiers.card import Card
from classifiers.head import Head
from classifiers.probabilities import answer_sizes

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]

COLUMNS = 19
"""Of the table, a row per head. What each is:

    0 first bush       5 first answered output  10 first number of novelty  15 its length, dim
    1 first rare one   6 scaling                11 rows of novelty          16 rare bushes
    2 bushes           7 first output of all    12 first distance           17 place in the answer
    3 trees            8 link                   13 distances              18 first answer of all
    4 outputs          9 first byte of rows     14 start of the first block

Columns 5 and 17 belong to a request: they are written when heads are asked.
"""

TREES, OUTPUTS, FIRST_ANSWERED, SCALING, FIRST_OUTPUT, LINK = 3, 4, 5, 6, 7, 8
_BUSHES, _ROWS, _DISTANCES, _START, _DIM, _RARE, _PLACE = 2, 11, 13, 14, 15, 16, 17
_FIRST_ANSWER = 18


class Parts(NamedTuple):
    """Of all heads, one after the other: `classifiers.trees` and `.novelty` say what they are.

    Args:
        thresholds, columns, masks, leaves, rare: the trees, see `classifiers.bushes.Bushes`.
        linear: float32 (n_outputs, width).
        intercepts: float64 (n_outputs,).
        factors: float64 (n_outputs,), what raw scores of trees are multiplied by.
        doubts: float64 (n_outputs,), the share of an even guess in probabilities.
        rows: int8, means and directions of novelty.
        numbers: float64, of novelty.
        distances: float64, of held-out images.
        limits: float64 (n_answers,), the smallest probability of a label in the set.
    """

    thresholds: Array
    columns: Array
    masks: Array
    leaves: Array
    rare: Array
    linear: Array
    intercepts: Array
    factors: Array
    doubts: Array
    rows: Array
    numbers: Array
    distances: Array
    limits: Array

    @property
    def bushes(self) -> Bushes:
        """The trees."""
        return Bushes(*self[:5])


_FIRSTS = (0, 0, 0, 0, 1, *(FIRST_OUTPUT,) * 4, 9, 10, 12, _FIRST_ANSWER)
"""The column of the table that says where a head's share of each part begins."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The heads of a forest at one moment.

    Attributes:
        space: id of the space and width of its vectors; None while there was no head.
        table: int64 (n_heads, `COLUMNS`), in the order of slots.
        row_of: rows of the table by slot.
        scalings: every scaling that a head needs.
        parts: used up to `ends`.
        ends: how much of each part is used.
    """

    space: tuple[str, int] | None
    table: IntArray
    row_of: Mapping[int, int]
    scalings: tuple[Scaling, ...]
    parts: Parts
    ends: tuple[int, ...]

    def with_heads(self, heads: Mapping[int, Head]) -> "Packed":
        """Return this and more heads, by slot; all of one space."""
        ends, scalings = list(self.ends), list(self.scalings)
        rows, every = [], []
        for head in heads.values():
            if head.scaling not in scalings:
                scalings.append(head.scaling)
            own = _parts_of(head)
            rows.append(_row_of(head, own, scalings.index(head.scaling), ends))
            every.append(own)
            ends = [end + len(part) for end, part in zip(ends, own, strict=True)]
        added = [np.concatenate(some) for some in zip(*every, strict=True)]
        written = map(_written, self.parts, self.ends, added)
        table = np.vstack([self.table, np.array(rows, np.int64)])
        slots = [*self.row_of, *heads]
        parts = Parts(*written)
        return Packed(_space(heads), table, _numbered(slots), tuple(scalings), parts, tuple(ends))

    def without(self, slots: Iterable[int]) -> "Packed":
        """Return what is left when heads go; KeyError if a slot is empty."""
        gone = {self.row_of[slot] for slot in slots}
        kept = [slot for slot, row in self.row_of.items() if row not in gone]
        table = np.delete(self.table, sorted(gone), axis=0)
        return Packed(self.space, table, _numbered(kept), self.scalings, self.parts, self.ends)

    @property
    def is_mostly_dead(self) -> bool:
        """Whether more than half of the bushes belong to nobody."""
        return 2 * int(self.table[:, _BUSHES].sum()) < self.ends[0]

    def compacted(self) -> "Packed":
        """Return the same heads in arrays of their own."""
        table, parts = self.table.copy(), []
        for part, first, sizes in zip(self.parts, _FIRSTS, _sizes(self.table), strict=True):
            spans = zip(self.table[:, first].tolist(), sizes.tolist(), strict=True)
            parts.append(np.concatenate([part[:0], *(part[a : a + size] for a, size in spans)]))
            table[:, first] = np.cumsum(sizes) - sizes
        ends = tuple(map(len, parts))
        return Packed(self.space, table, self.row_of, self.scalings, Parts(*parts), ends)

    def asked(self, slots: Sequence[int] | None) -> IntArray:
        """Return the rows of the table for some slots, their outputs numbered anew."""
        rows = slice(None) if slots is None else [self.row_of[slot] for slot in slots]
        table = np.array(self.table[rows])
        table[:, FIRST_ANSWERED] = np.cumsum(table[:, OUTPUTS]) - table[:, OUTPUTS]
        table[:, _PLACE] = np.arange(len(table))
        return table


EMPTY = Packed(
    space=None,
    table=np.zeros((0, COLUMNS), np.int64),
    row_of={},
    scalings=(),
    parts=Parts(
        thresholds=np.zeros((0, SPLITS), np.float32),
        columns=np.zeros((0, SPLITS), np.uint16),
        masks=np.zeros(0, np.uint64),
        leaves=np.zeros((0, LEAVES)),
        rare=np.zeros((0, SPLITS + 1), np.uint8),
        linear=np.zeros((0, 0), np.float32),
        intercepts=np.zeros(0),
        factors=np.zeros(0),
        doubts=np.zeros(0),
        rows=np.zeros(0, np.int8),
        numbers=np.zeros(0),
        distances=np.zeros(0),
        limits=np.zeros(0),
    ),
    ends=(0,) * len(_FIRSTS),
)


def _parts_of(head: Head) -> Parts:
    novelty = head.novelty
    return Parts(
        *to_bushes(head.trees, head.scaling.columns),
        head.linear,
        head.arrays["intercept"],
        np.array(head.card.tree_factors, np.float64),
        np.full(head.card.n_outputs, head.card.doubt),
        novelty.rows.reshape(-1),
        novelty.numbers,
        novelty.distances,
        _limits_of(head.card),
    )


def _limits_of(card: Card) -> Array:
    limits, n_answers = np.array(card.sets.thresholds), card.question.n_answers
    return np.zeros(n_answers) if card.question.is_number else np.resize(limits, n_answers)


def _row_of(head: Head, own: Parts, scaling: int, ends: Sequence[int]) -> list[int]:
    first = head.card.blocks[0]
    row = [0] * COLUMNS
    for column, end in zip(_FIRSTS, ends, strict=True):
        row[column] = end
    row[TREES], row[OUTPUTS], row[SCALING] = len(head.trees.roots), len(own.linear), scaling
    row[LINK], row[_ROWS], row[_DISTANCES] = head.card.question.link, 0, len(own.distances)
    row[_START], row[_DIM] = first.start, first.stop - first.start
    row[_ROWS] = len(own.rows) // row[_DIM]
    row[_BUSHES], row[_RARE] = len(own.thresholds), len(own.rare)
    return row


def _sizes(table: IntArray) -> tuple[IntArray, ...]:
    """How much of each part each head has: int64 (n_heads,) for each."""
    outputs, rows = table[:, OUTPUTS], table[:, _ROWS]
    bushes = table[:, _BUSHES]
    trees = (bushes, bushes, bushes, bushes, table[:, _RARE])
    novelty = (rows * table[:, _DIM], 1 + 2 * rows, table[:, _DISTANCES])
    answers = answer_sizes(outputs, table[:, LINK])
    return *trees, outputs, outputs, outputs, outputs, *novelty, answers


def _written(array: Array, end: int, part: Array) -> Array:
    """Return the array with a part at `end`, in place if there is room: no view looks there yet."""
    if end + len(part) > len(array):
        grown = np.zeros((max(2 * len(array), end + len(part)), *part.shape[1:]), array.dtype)
        if end:
            grown[:end] = array[:end]
        array = grown
    array[end : end + len(part)] = part
    return array


def _space(heads: Mapping[int, Head]) -> tuple[str, int]:
    card = next(iter(heads.values())).card
    return card.space_id, card.width


def _numbered(slots: Iterable[int]) -> dict[int, int]:
    return {slot: row for row, slot in enumerate(slots)}
