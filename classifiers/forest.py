"""All heads of a space as one packed forest: one call scores any of them. Knows no files."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.errors import SpaceMismatch
from classifiers.head import Head, check_width
from classifiers.helpers import SHARES, share_out
from classifiers.packed import EMPTY, FIRST_OUTPUT, LINK, OUTPUTS, SCALING, TREES, Packed
from classifiers.probabilities import answer_sizes, to_answers

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST_ANSWERS = 128
"""Answers of heads to images that make a share: for fewer, another thread is not worth waking."""

ROWS_AT_ONCE = 256
"""Rows scaled and walked together: bounds the memory that a long call takes beside its answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What heads say of images.

    Attributes:
        flat: float64 (n_images, answers of all heads): side by side what `Head.answers` returns.
        sizes: int64 (n_heads,), how many answers each head has.
        usualness: float64 (n_images, n_heads), as `Head.usualness`.
        outcomes: int64 (n_images, n_heads), see `classifiers.kernels.outcomes`.
    """

    flat: Float64
    sizes: IntArray
    usualness: Float64
    outcomes: IntArray

    @property
    def by_head(self) -> list[Float64]:
        """For each head, float64 (n_images, n_answers)."""
        return _by_head(self.flat, self.sizes)


class View:
    """The heads of a forest as they were at one moment, whatever becomes of the forest."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed

    def raw(self, x: Float32, which: Sequence[int] | None = None) -> list[Float64]:
        """Return the raw scores of the trees of heads: for each, float64 (n_images, n_outputs).

        Args:
            x: float32 (n_images, width), the feature matrix as the backbone made it.
            which: slots, in the order of the answer; None asks every head, in order of slots.

        Raises:
            SpaceMismatch: if x has another width.
            KeyError: if a slot is empty.
        """
        from classifiers.kernels.walk import walk

        table, parts = self._packed.asked(which), self._packed.parts
        raw = np.zeros((len(x), int(table[:, OUTPUTS].sum())))
        for rows, scaled in self._scaled(x, table):
            walk(*parts.bushes, table, scaled, raw[rows])
        return _by_head(raw, table[:, OUTPUTS])

    def ask(self, x: Float32, which: Sequence[int] | None = None) -> Answers:
        """Return what heads answer, and how usual images are to them; the arguments as of `raw`."""
        from classifiers.kernels.answers import mix
        from classifiers.kernels.outcomes import find_outcomes
        from classifiers.kernels.usualness import usual
        from classifiers.kernels.walk import walk

        table, parts = self._packed.asked(which), self._packed.parts
        outputs, links = table[:, OUTPUTS], table[:, LINK]
        scores, usualness = np.zeros((len(x), int(outputs.sum()))), np.empty((len(x), len(table)))
        # Trees that do not count are not walked.
        table[parts.factors[table[:, FIRST_OUTPUT]] == 0, TREES] = 0
        for rows, scaled in self._scaled(x, table):

            def some(heads: IntArray, rows: slice = rows, scaled: Float32 = scaled) -> None:
                walk(*parts.bushes, heads, scaled, scores[rows])
                mix(parts.linear, parts.intercepts, parts.factors, heads, scaled, scores[rows])
                novelty = (parts.rows, parts.numbers, parts.distances)
                usual(*novelty, heads, scaled, usualness[rows])

            share_out(some, _shares(table, scaled.shape[1]))
        sizes = answer_sizes(outputs, links)
        answers = to_answers(scores, outputs, links, parts.doubts[table[:, FIRST_OUTPUT]])
        outcomes = np.empty(usualness.shape, np.int64)
        find_outcomes(answers, sizes, table, parts.limits, outcomes)
        return Answers(answers, sizes, usualness, outcomes)

    def _scaled(self, x: Float32, table: IntArray) -> Iterator[tuple[slice, Float32]]:
        """Yield rows of x, some at a time, with float32 (n_scalings, n_rows, width) of them."""
        if self._packed.space is None or not len(table):
            return
        check_width(x, self._packed.space[1])
        needed, table[:, SCALING] = np.unique(table[:, SCALING], return_inverse=True)
        scalings = [self._packed.scalings[one] for one in needed.tolist()]
        for start in range(0, len(x), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            yield rows, np.stack([scaling.scale_in_place(x[rows]) for scaling in scalings])


class Forest:
    """Any number of heads of one space, scored together, bit-identical to LightGBM.

    A head keeps its slot, a number, until it is removed. Adding costs the size of the new head,
    amortised; removing costs almost nothing, and room is won back when half of it is dead. Of a
    head nothing is kept but what scoring needs.
    """

    def __init__(self, heads: Iterable[Head] = ()) -> None:
        self._lock = threading.Lock()
        self._next_slot = 0
        self._packed = EMPTY
        self.extend(heads)

    def __len__(self) -> int:
        return len(self._packed.row_of)

    @property
    def slots(self) -> list[int]:
        """The slots that hold a head, in order."""
        return list(self._packed.row_of)

    @property
    def view(self) -> View:
        """The forest as it is now; takes no lock, and nothing."""
        return View(self._packed)

    def add(self, head: Head) -> int:
        """Add a head and return its slot; raises as `extend`."""
        return self.extend([head])[0]

    def extend(self, heads: Iterable[Head]) -> list[int]:
        """Add heads, all or none, and return their slots.

        Raises:
            SpaceMismatch: if there are heads of another space.
        """
        with self._lock:
            slots = dict(enumerate(heads, self._next_slot))
            space = self._packed.space
            for head in slots.values():
                own = (head.card.space_id, head.card.width)
                if own != (space := space or own):
                    raise SpaceMismatch(space[0], own[0])
            if slots:
                self._packed = self._packed.with_heads(slots)
                self._next_slot += len(slots)
            return list(slots)

    def remove(self, *slots: int) -> None:
        """Remove the heads in slots; KeyError if one is empty."""
        with self._lock:
            packed = self._packed.without(slots)
            if not packed.row_of:
                packed = EMPTY
            self._packed = packed.compacted() if packed.is_mostly_dead else packed

    def raw(self, x: Float32, which: Sequence[int] | None = None) -> list[Float64]:
        """Return the raw scores of trees; see `View.raw`."""
        return self.view.raw(x, which)

    def ask(self, x: Float32, which: Sequence[int] | None = None) -> Answers:
        """Return what heads answer; see `View.ask`."""
        return self.view.ask(x, which)


def _shares(table: IntArray, n_rows: int) -> list[IntArray]:
    """Cut the heads asked into shares that are worth handing to another thread."""
    n_shares = min(SHARES, len(table), len(table) * n_rows // FEWEST_ANSWERS)
    return np.array_split(table, n_shares) if n_shares > 1 else [table]


def _by_head(scores: Float64, sizes: IntArray) -> list[Float64]:
    stops = np.cumsum(sizes).tolist()
    return [scores[:, start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
