"""All heads of a space as one packed forest: one call scores any of them. Knows no files."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers.blocks import Scaling
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


class Chosen:
    """Some heads of a view, laid out to be asked together, as often as one likes. Thread-safe."""

    def __init__(self, packed: Packed, which: Sequence[int] | None) -> None:
        table, self._parts, self._space = packed.asked(which), packed.parts, packed.space
        self._links, self._outputs = table[:, LINK].copy(), table[:, OUTPUTS].copy()
        self._doubts = self._parts.doubts[table[:, FIRST_OUTPUT]]
        self._n_outputs = int(self._outputs.sum())
        self._sizes = answer_sizes(self._outputs, self._links)
        # Trees that do not count are not walked.
        table[self._parts.factors[table[:, FIRST_OUTPUT]] == 0, TREES] = 0
        self._scalings, self._table = _scalings_of(packed, table), table

    def ask(self, x: Float32) -> Answers:
        """Return what the heads answer, and how usual images are to them; x as of `View.raw`."""
        from classifiers.kernels.answers import mix
        from classifiers.kernels.outcomes import find_outcomes
        from classifiers.kernels.usualness import usual
        from classifiers.kernels.walk import walk

        table, parts = self._table, self._parts
        scores, usualness = np.zeros((len(x), self._n_outputs)), np.empty((len(x), len(table)))
        for rows, scaled in _scaled(x, self._space, self._scalings):

            def some(heads: IntArray, rows: slice = rows, scaled: Float32 = scaled) -> None:
                walk(*parts.bushes, heads, scaled, scores[rows])
                mix(parts.linear, parts.intercepts, parts.factors, heads, scaled, scores[rows])
                novelty = (parts.rows, parts.numbers, parts.distances)
                usual(*novelty, heads, scaled, usualness[rows])

            share_out(some, _shares(table, scaled.shape[1]))
        answers = to_answers(scores, self._outputs, self._links, self._doubts)
        outcomes = np.empty(usualness.shape, np.int64)
        find_outcomes(answers, self._sizes, table, parts.limits, outcomes)
        return Answers(answers, self._sizes, usualness, outcomes)


class View:
    """The heads of a forest as they were at one moment, whatever becomes of the forest."""

    def __init__(self, packed: Packed) -> None:
        self._packed = packed

    def choose(self, which: Sequence[int] | None = None) -> Chosen:
        """Return heads as they are asked; the argument and the errors as of `raw`."""
        return Chosen(self._packed, which)

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
        for rows, scaled in _scaled(x, self._packed.space, _scalings_of(self._packed, table)):
            walk(*parts.bushes, table, scaled, raw[rows])
        return _by_head(raw, table[:, OUTPUTS])

    def ask(self, x: Float32, which: Sequence[int] | None = None) -> Answers:
        """Return what heads answer, and how usual images are to them; the arguments as of `raw`."""
        return self.choose(which).ask(x)


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


def _scalings_of(packed: Packed, table: IntArray) -> list[Scaling]:
    """Return the scalings that the heads of a table need, and number them anew in it."""
    needed, table[:, SCALING] = np.unique(table[:, SCALING], return_inverse=True)
    return [packed.scalings[one] for one in needed.tolist()]


def _scaled(
    x: Float32, space: tuple[str, int] | None, scalings: Sequence[Scaling]
) -> Iterator[tuple[slice, Float32]]:
    """Yield rows of x, some at a time, with float32 (n_scalings, n_rows, width) of them."""
    if space is None or not scalings:
        return
    check_width(x, space[1])
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        some = np.ascontiguousarray(x[rows])
        scaled = np.zeros((len(scalings), *some.shape), np.float32)
        for scaling, place in zip(scalings, scaled, strict=True):
            scaling.scale_into(place, some)
        yield rows, scaled


def _shares(table: IntArray, n_rows: int) -> list[IntArray]:
    """Cut the heads asked into shares that are worth handing to another thread."""
    n_shares = min(SHARES, len(table), len(table) * n_rows // FEWEST_ANSWERS)
    return np.array_split(table, n_shares) if n_shares > 1 else [table]


def _by_head(scores: Float64, sizes: IntArray) -> list[Float64]:
    stops = np.cumsum(sizes).tolist()
    return [scores[:, start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
