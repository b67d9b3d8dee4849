"""Threads that help whoever has one short piece of work in shares. Knows nothing of the work."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_CORES = os.cpu_count() or 1

SHARES = 4 * _CORES if _CORES > 1 else 1
"""Shares that work is worth cutting into: more than cores, for one of them may be busy. With twice
as many as that again, 1,000 heads answer a tenth sooner."""

_HELPERS = ThreadPoolExecutor(max(1, _CORES - 1), "helper")


def share_out(work: Callable[[T], None], shares: Sequence[T]) -> None:
    """Do the work of every share, with the help of whoever is free.

    Helpers begin at the front and the caller at the back, so that it waits for no helper who has
    not begun: where all are busy, it does everything itself.
    """
    handed = [(_HELPERS.submit(work, share), share) for share in shares[:-1]]
    work(shares[-1])
    for future, share in reversed(handed):
        if future.cancel():
            work(share)
    for future, _ in handed:
        if not future.cancelled():
            future.result()
