"""Several fits at once, with progress told from the caller's thread, and a stop that is quick.

Knows nothing of what the jobs do.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Lock
from typing import TypeVar

T = TypeVar("T")

Tick = Callable[[float], None]
"""A job calls it often with the share it has done; it raises when the job is to stop."""

POLL_SECONDS = 0.05
"""How long the caller's thread waits before it tells progress again."""


class _Stopped(Exception):
    """Ends a job whose result nobody waits for any more."""


def run_jobs(
    jobs: Sequence[Callable[[Tick], T]], threads: int, report: Callable[[float], None]
) -> list[T]:
    """Run every job and return their results in order.

    Args:
        jobs: each is given a `Tick`; results never depend on how many run at once.
        threads: how many run at once.
        report: called with the share done, 0 to 1; what it raises stops all jobs and is raised.
    """
    stop = Event()
    shares = [0.0] * len(jobs)

    def tick_of(job: int) -> Tick:
        def tick(share: float) -> None:
            if stop.is_set():
                raise _Stopped
            shares[job] = share

        return tick

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(job, tick_of(number)) for number, job in enumerate(jobs)]
        try:
            return _collect(futures, lambda: report(sum(shares) / len(jobs)))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _BlasLimit:
    """Keeps matrix products on one thread from the first who wants it to the last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._limits: AbstractContextManager[object] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with self._lock:
            self._users += 1
            # Nested by two threads, the last to leave would put back what the first had set.
            if self._limits is None:
                self._limits = threadpool_limits(1, user_api="blas")
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._limits is not None:
                    self._limits.__exit__(None, None, None)
                    self._limits = None


_BLAS = _BlasLimit()


def one_blas_thread() -> AbstractContextManager[None]:
    """Hold matrix products to one thread: on products this small more only wait for each other.

    Figures then do not depend on the number of cores either. Several threads may hold it at once.
    """
    return _BLAS.held()


def _collect(futures: Sequence[Future[T]], report: Callable[[], None]) -> list[T]:
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
        for future in finished:
            future.result()
        report()
    return [future.result() for future in futures]
