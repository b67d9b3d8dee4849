"""Vectors on their way into a store, behind the answer that they were computed for.

Knows no images and no backbone. What waits here is not acknowledged to anybody yet.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import Condition, Thread
from time import monotonic, perf_counter
from typing import Protocol

import numpy as np

from features.keys import Vectors
from features.pipeline import Observer, Row

LINGER_S = 1.0
"""How long the first of some vectors waits for others to share an append with. An append takes some
20 ms whatever it holds: four a second took a tenth of what two cores can answer."""

MOST_PENDING = 4096
"""Vectors that may wait; whoever brings more is held up until there is room, if they can be."""

_APPEND = 1024
"""Vectors from which on an append is not put off."""

_log = logging.getLogger(__name__)


class Store(Protocol):
    """The part of a store that is needed here."""

    def put(self, digests: list[str], vectors: Vectors) -> list[bool]:
        """Store vectors durably."""


class Writer:
    """One thread that gathers vectors and appends them, many at a time.

    `lock` is the caller's: what waits, and what has `landed`, is looked at while holding it.
    """

    def __init__(self, lock: Condition, observer: Observer) -> None:
        self._lock = lock
        self._observer = observer
        self._pending: dict[Store, dict[str, Row]] = {}
        self._deadline = 0.0
        self._hurry = 0
        self._failure: Exception | None = None
        self._closed = False
        self.landed = 0
        """Rises whenever vectors leave here: who has looked into a store before must look again."""
        self._thread = Thread(target=self._write_all, name="writer", daemon=True)
        self._thread.start()

    def pending(self, store: Store) -> Mapping[str, Row]:
        """Return what waits to be stored. Hold the lock."""
        return self._pending.get(store, {})

    def is_full(self) -> bool:
        """Say whether who brings more is held up. Hold the lock."""
        return self._count() >= MOST_PENDING

    def add(self, store: Store, rows: Mapping[str, Row], *, patient: bool = True) -> None:
        """Take vectors to be stored soon; what waits already stays as it is.

        Args:
            store: whose they are.
            rows: digest → vectors.
            patient: wait while too many wait already. Who cannot looks whether there is room before
                these are computed, so that they are no more than are under way at a time.
        """
        if not rows:
            return
        with self._lock:
            while patient and self.is_full() and not self._closed:
                self._lock.wait()
            first = not self._pending
            if first:
                self._deadline = monotonic() + LINGER_S
            waiting = self._pending.setdefault(store, {})
            for digest, row in rows.items():
                waiting.setdefault(digest, row)
            if first or self._count() >= _APPEND:
                # Else the thread waits for its time; woken by each, it would take turns with every
                # answer.
                self._lock.notify_all()

    def flush(self) -> None:
        """Return once everything that waits now is durable.

        Raises:
            Exception: what the store raised, if it has refused vectors since the last flush. They
                are forgotten.
        """
        with self._lock:
            self._wait_for(
                [(s, d, row) for s, rows in self._pending.items() for d, row in rows.items()]
            )
            self._raise_failure()

    def settle(self, store: Store, digests: Iterable[str]) -> None:
        """Return once none of these waits any more; whether they were stored, the store says."""
        with self._lock:
            waiting = self.pending(store)
            self._wait_for([(store, d, waiting[d]) for d in digests if d in waiting])

    def close(self) -> None:
        """Store everything that waits and stop the thread; raises as `flush` does."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()
        self._thread.join()
        with self._lock:
            self._raise_failure()

    def _wait_for(self, awaited: Sequence[tuple[Store, str, Row]]) -> None:
        if not awaited:
            return
        self._hurry += 1
        self._lock.notify_all()
        while any(self.pending(store).get(digest) is row for store, digest, row in awaited):
            self._lock.wait()
        self._hurry -= 1

    def _count(self) -> int:
        return sum(map(len, self._pending.values()))

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _write_all(self) -> None:
        while taken := self._take():
            for store, rows in taken.items():
                failure = self._write(store, rows)
                with self._lock:
                    self._failure = self._failure or failure
                    self._forget(store, rows)

    def _take(self) -> dict[Store, dict[str, Row]]:
        """Wait until an append is due; return what it is to contain, none when closed."""
        with self._lock:
            while not self._is_due():
                if self._closed:
                    return {}
                self._lock.wait(self._deadline - monotonic() if self._pending else None)
            self._deadline = monotonic() + LINGER_S
            return {store: dict(rows) for store, rows in self._pending.items()}

    def _is_due(self) -> bool:
        hurried = self._hurry or self._closed or self._count() >= _APPEND
        return bool(self._pending) and bool(hurried or monotonic() >= self._deadline)

    def _write(self, store: Store, rows: Mapping[str, Row]) -> Exception | None:
        start = perf_counter()
        try:
            store.put(list(rows), stacked(rows.values()))
            self._observer.time("write", perf_counter() - start)
        except Exception as error:  # noqa: BLE001  a thread that died would store nothing more
            # Not acknowledged, so not lost: whoever sends these images again has them computed.
            _log.exception("%d vectors were not stored", len(rows))
            return error
        return None

    def _forget(self, store: Store, rows: Mapping[str, Row]) -> None:
        left = self._pending[store]
        for digest in rows:
            del left[digest]
        if not left:
            del self._pending[store]
        self.landed += 1
        self._lock.notify_all()


def stacked(rows: Collection[Row]) -> Vectors:
    """Return several rows as one matrix each."""
    embeddings = np.stack([row.embedding for row in rows])
    return Vectors(embeddings, np.stack([row.stages for row in rows]))
