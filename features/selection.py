"""Which records a search may find, as rows: found once, and kept as long as nothing changes.

Knows no vectors, and nothing of why some records are selected.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from threading import Lock

import numpy as np

from features.index import Int64
from features.keys import UInt8
from features.view import State, View

KEPT = 16
"""Selections whose rows are kept, those asked for last: 125 KB each for a million records."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Digests under a name, so that they need not be looked up again for the next search.

    Args:
        name: selections of the same name must be of the same digests.
        digests: gives these; asked only where their rows are not known.
    """

    name: Hashable
    digests: Callable[[], Collection[str]]


class Selected:
    """The rows of selections. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[State, UInt8]] = OrderedDict()
        self._lock = Lock()

    def rows(self, view: View, among: Collection[str] | Selection) -> Int64:
        """Return the rows of those that the view knows, ascending: int64 (n,)."""
        if not isinstance(among, Selection):
            return view.rows(among)
        bits = self._bits(among.name, view.state)
        if bits is not None:
            is_in = np.unpackbits(bits, count=view.state.rows).view(np.bool_)
            return np.flatnonzero(is_in)
        rows = view.rows(among.digests())
        is_in = np.zeros(view.state.rows, np.bool_)
        is_in[rows] = True
        with self._lock:
            self._kept[among.name] = view.state, np.packbits(is_in)
            self._kept.move_to_end(among.name)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return rows

    def _bits(self, name: Hashable, state: State) -> UInt8 | None:
        """Return which rows these are, one bit for each, if they were found in this very state."""
        with self._lock:
            found_in, bits = self._kept.get(name, (None, None))
            if found_in is not state:
                return None
            self._kept.move_to_end(name)
            return bits
