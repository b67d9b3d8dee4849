"""Bytes of many images on their way to their names, written while their vectors are computed.

Knows neither of vectors nor of what the bytes mean; of names only where they are to be.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self, TypeVar

from features.disk import create, flush, make_folder, reaching

T = TypeVar("T")

FLUSHERS = 8
"""Flushes under way at once: the file system makes those that wait together durable together."""


class Drafts:
    """Writes images under names of no meaning, from when its block begins; drops them at its end.

    Args:
        contents: digest → bytes.
        place_of: digest → where the bytes belong: in a folder of `root`.
        root: folder of all of them.
    """

    def __init__(
        self, contents: Mapping[str, bytes], place_of: Callable[[str], Path], root: Path
    ) -> None:
        self._places = {name: place_of(name) for name in contents}
        self._contents, self._root = contents, root
        self._drafts: dict[str, Path] = {}
        self._pool = ThreadPoolExecutor(1 + FLUSHERS, "blobs")
        self._writing: Future[None] | None = None

    def __enter__(self) -> Self:
        self._writing = self._pool.submit(self._write)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        with reaching(self._root):
            for draft in self._drafts.values():
                draft.unlink(missing_ok=True)

    def keep(self, names: Collection[str]) -> list[str]:
        """Give these bytes their names, durably on return; return those that somebody took away.

        Raises:
            StoreUnavailable: the disk refuses, or has refused while they were written.
        """
        if self._writing is not None:
            self._writing.result()
        lost, folders = [], set[Path]()
        with reaching(self._root):
            for name in names:
                draft, place = self._drafts.pop(name, None), self._places[name]
                if draft is None:
                    continue
                try:
                    draft.replace(place)
                except FileNotFoundError:
                    lost.append(name)
                # That above as well: another call may have made it, and not flushed it yet.
                folders |= {place.parent, self._root}
            self._each(flush, list(folders))
        return lost

    def _write(self) -> None:
        with reaching(self._root):
            make_folder(self._root)
            descriptors: list[int] = []
            try:
                for name, data in self._contents.items():
                    if not holds(self._places[name], data):
                        descriptors.append(self._begin(name, data))
                self._each(os.fsync, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _each(self, flush_one: Callable[[T], None], what: Sequence[T]) -> None:
        """Flush all, in a few threads."""

        def some(start: int) -> None:
            for one in what[start::FLUSHERS]:
                flush_one(one)

        list(self._pool.map(some, range(FLUSHERS)))

    def _begin(self, name: str, data: bytes) -> int:
        """Write one draft, and return it open: its bytes are not durable yet."""
        place = self._places[name]
        make_folder(place.parent, durably=False)
        draft = self._drafts[name] = draft_of(place)
        return create(draft, data)


def draft_of(place: Path) -> Path:
    """Return a name beside a place for bytes that are not all there yet."""
    return place.with_name(f".{place.name}.{token_hex(8)}")


def holds(place: Path, data: bytes) -> bool:
    """Whether these bytes are there. Compared: what a failing disk has damaged is replaced."""
    return place.is_file() and place.read_bytes() == data
