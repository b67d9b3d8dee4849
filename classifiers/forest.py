"""All heads of a space as one packed forest: one call scores any of them. Knows no files."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling
from classifiers.errors import SpaceMismatch
from classifiers.head import Head, check_width
from classifiers.probabilities import answer_sizes, mix, to_answers
from classifiers.walk import SPLIT, Splits, pack_splits, walk

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]

ROWS_AT_ONCE = 256
"""Rows scaled and walked together: bounds the memory that a long call takes beside its answer."""

# Columns of the table.
_TREES, _OUTPUTS, _FIRST_OUTPUT, _SCALING, _FIRST_LINEAR, _LINK = 3, 4, 5, 6, 7, 8

A = TypeVar("A", bound=npt.NDArray[Any])


@dataclass(frozen=True, slots=True)
class _Packed:
    """An immutable view of the forest. What later views write lies beyond this one's ends.

    Attributes:
        heads: by slot.
        table: int64 (n_heads, 9), a row per head in the order of `heads`: what `walk` takes,
            where the head's outputs are among all linear ones, and its link.
        row_of: rows of the table by slot.
        scalings: every scaling that a head needs.
        splits, leaves, roots: of all heads; used up to `ends`.
        linear: float32 (all outputs * width,), intercepts and factors: float64 (all outputs,), of
            all heads; used up to `ends`.
    """

    heads: dict[int, Head]
    table: IntArray
    row_of: dict[int, int]
    scalings: tuple[Scaling, ...]
    splits: Splits
    leaves: Float64
    roots: Int32
    linear: Float32
    intercepts: Float64
    factors: Float64
    ends: tuple[int, int, int, int]

    def asked(self, which: Sequence[int] | None) -> IntArray:
        """Return the rows of the table for some slots, their outputs and scalings numbered anew."""
        if which is None:
            table = self.table.copy()
        else:
            table = self.table[[self.row_of[slot] for slot in which]]
        table[:, _FIRST_OUTPUT] = np.cumsum(table[:, _OUTPUTS]) - table[:, _OUTPUTS]
        return table

    def scaled(self, x: Float32, table: IntArray) -> Iterator[tuple[slice, Float32]]:
        """Yield rows of x, some at a time, with float32 (n_scalings, n_rows, width) of them."""
        if not len(table):
            return
        check_width(x, next(iter(self.heads.values())).card.width)
        needed, table[:, _SCALING] = np.unique(table[:, _SCALING], return_inverse=True)
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            yield rows, np.stack([self.scalings[one].scale_in_place(x[rows]) for one in needed])


_EMPTY = _Packed(
    heads={},
    table=np.zeros((0, 9), np.int64),
    row_of={},
    scalings=(),
    splits=np.zeros(0, SPLIT),
    leaves=np.zeros(0),
    roots=np.zeros(0, np.int32),
    linear=np.zeros(0, np.float32),
    intercepts=np.zeros(0),
    factors=np.zeros(0),
    ends=(0, 0, 0, 0),
)


class Forest:
    """Any number of heads of one space, scored together, bit-identical to LightGBM.

    A head keeps its slot, a number, until it is removed. Adding costs the size of the new head,
    amortised; removing costs almost nothing, and room is won back when half of it is dead.
    Scoring takes no lock: it sees the forest as it was when it began.
    """

    def __init__(self, heads: Iterable[Head] = ()) -> None:
        self._lock = threading.Lock()
        self._next_slot = 0
        self._packed = _EMPTY
        for head in heads:
            self.add(head)

    def __len__(self) -> int:
        return len(self._packed.heads)

    @property
    def heads(self) -> dict[int, Head]:
        """The heads by slot, in the order of slots."""
        return dict(self._packed.heads)

    def add(self, head: Head) -> int:
        """Add a head and return its slot.

        Raises:
            SpaceMismatch: if the forest holds heads of another space.
        """
        with self._lock:
            for there in self._packed.heads.values():
                if (there.card.space_id, there.card.width) != (head.card.space_id, head.card.width):
                    raise SpaceMismatch(there.card.space_id, head.card.space_id)
                break
            slot = self._next_slot
            self._packed = _appended(self._packed, slot, head)
            self._next_slot += 1
            return slot

    def remove(self, slot: int) -> None:
        """Remove the head in a slot; KeyError if there is none."""
        with self._lock:
            packed = _without(self._packed, slot)
            live = sum(head.trees.leaves.size for head in packed.heads.values())
            self._packed = _compacted(packed) if 2 * live < packed.ends[1] else packed

    def raw(self, x: Float32, which: Sequence[int] | None = None) -> list[Float64]:
        """Return the raw scores of the trees of heads: for each, float64 (n_images, n_outputs).

        Args:
            x: float32 (n_images, width), the feature matrix as the backbone made it.
            which: slots, in the order of the answer; None asks every head, in order of slots.

        Raises:
            SpaceMismatch: if x has another width.
            KeyError: if a slot is empty.
        """
        packed = self._packed
        table = packed.asked(which)
        raw = np.zeros((len(x), int(table[:, _OUTPUTS].sum())))
        for rows, scaled in packed.scaled(x, table):
            walk(packed.splits, packed.leaves, packed.roots, table, scaled, raw[rows])
        return _by_head(raw, table[:, _OUTPUTS])

    def answers(self, x: Float32, which: Sequence[int] | None = None) -> list[Float64]:
        """Return what heads answer, as `Head.answers`: for each, float64 (n_images, n_answers)."""
        packed = self._packed
        table = packed.asked(which)
        outputs, links = table[:, _OUTPUTS], table[:, _LINK]
        scores = np.zeros((len(x), int(outputs.sum())))
        # Trees that do not count are not walked.
        firsts = table[:, _FIRST_LINEAR]
        table[packed.factors[firsts] == 0, _TREES] = 0
        for rows, scaled in packed.scaled(x, table):
            walk(packed.splits, packed.leaves, packed.roots, table, scaled, scores[rows])
            mix(packed.linear, packed.intercepts, packed.factors, table, scaled, scores[rows])
        return _by_head(to_answers(scores, outputs, links), answer_sizes(outputs, links))


def _by_head(scores: Float64, sizes: IntArray) -> list[Float64]:
    stops = np.cumsum(sizes).tolist()
    return [scores[:, start:stop] for start, stop in zip([0, *stops], stops, strict=False)]


def _appended(packed: _Packed, slot: int, head: Head) -> _Packed:
    scaling, trees = head.scaling, head.trees
    scalings = packed.scalings
    if scaling not in scalings:
        scalings = (*scalings, scaling)
    *firsts, first_linear = packed.ends
    link = head.card.question.link
    place = scalings.index(scaling)
    row = [*firsts, trees.roots.size, trees.n_outputs, 0, place, first_linear, link]
    width = head.card.width
    linear = np.zeros((trees.n_outputs, width), np.float32)
    linear[:, scaling.columns] = head.arrays["linear"]
    factors = np.array(head.card.tree_factors)
    splits = pack_splits(trees, scaling.columns)
    return _Packed(
        heads={**packed.heads, slot: head},
        table=np.vstack([packed.table, np.array([row], np.int64)]),
        row_of={**packed.row_of, slot: len(packed.table)},
        scalings=scalings,
        splits=_written(packed.splits, packed.ends[0], splits),
        leaves=_written(packed.leaves, packed.ends[1], trees.leaves),
        roots=_written(packed.roots, packed.ends[2], trees.roots),
        linear=_written(packed.linear, first_linear * width, linear.reshape(-1)),
        intercepts=_written(packed.intercepts, first_linear, head.arrays["intercept"]),
        factors=_written(packed.factors, first_linear, factors),
        ends=(
            packed.ends[0] + splits.size,
            packed.ends[1] + trees.leaves.size,
            packed.ends[2] + trees.roots.size,
            first_linear + trees.n_outputs,
        ),
    )


def _written(array: A, end: int, part: A) -> A:
    """Return the array with a part at `end`, in place if there is room: no view looks there yet."""
    if end + part.size > array.size:
        grown = np.zeros(max(2 * array.size, end + part.size), array.dtype)
        grown[:end] = array[:end]
        grown[end : end + part.size] = part
        return grown  # type: ignore[return-value]  # of the same type, and mypy cannot see it
    array[end : end + part.size] = part
    return array


def _without(packed: _Packed, slot: int) -> _Packed:
    heads = {other: head for other, head in packed.heads.items() if other != slot}
    return _Packed(
        heads=heads,
        table=np.delete(packed.table, packed.row_of[slot], axis=0),
        row_of={other: row for row, other in enumerate(heads)},
        scalings=packed.scalings,
        splits=packed.splits,
        leaves=packed.leaves,
        roots=packed.roots,
        linear=packed.linear,
        intercepts=packed.intercepts,
        factors=packed.factors,
        ends=packed.ends,
    )


def _compacted(packed: _Packed) -> _Packed:
    fresh = _EMPTY
    for slot, head in packed.heads.items():
        fresh = _appended(fresh, slot, head)
    return fresh
