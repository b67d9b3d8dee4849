"""One writer at a time, between threads and between processes. Knows nothing of what is written."""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from features.disk import make_folder, reaching


class FileLock:
    """Holds every one of some files, in order, while its `with` block runs.

    The kernel drops the lock with the process, however that ends. A folder that is removed and
    made again, lock file and all, does not leave two processes each holding a file of their own.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._threads = Lock()
        self._held: list[int] = []

    def __enter__(self) -> Self:
        self._threads.acquire()
        try:
            for path in self._paths:
                with reaching(path):
                    self._held.append(_take(path))
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        while self._held:
            os.close(self._held.pop())
        self._threads.release()


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Hold the lock on a file, if it is there and no other process or thread holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = _is_at(descriptor, path)
    except BlockingIOError:
        free = False
    try:
        yield free
    finally:
        os.close(descriptor)


@contextmanager
def holding_together(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock on a file together with others.

    Yields:
        What waits until all of them are done, and then holds it alone until the block ends.
    """
    with reaching(path):
        descriptor = _take(path, fcntl.LOCK_SH)
    try:
        # Flock lets go before it waits: of two that want to be alone, neither stops the other.
        yield lambda: fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _take(path: Path, kind: int = fcntl.LOCK_EX) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            make_folder(path.parent)
            continue
        try:
            # flock belongs to the open file, so two stores of one process exclude each other too.
            fcntl.flock(descriptor, kind)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), found)
