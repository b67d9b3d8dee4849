"""How much work is let in at once: what is too much is refused before it costs anything.

Light requests never wait behind heavy ones: these have threads of their own. Knows no routes.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Annotated, ParamSpec, TypeVar

from anyio import CapacityLimiter, Semaphore, to_thread
from anyio.lowlevel import checkpoint
from fastapi import Depends, Request

from features.errors import Overloaded
from service.errors import ClientGone
from service.metrics import PrometheusMetrics
from service.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_SMOOTHING = 0.05
"""Weight of the latest request in the running estimate of the time that one takes."""

_FIRST_GUESS_S = 0.05

ANSWERS = frozenset({"/v1/predict", "/v1/embed", "/v1/search"})
"""What is asked often enough for a refusal's way through the framework to count."""


class Gate:
    """Threads for one kind of work, and places for requests that wait for one of them.

    Args:
        threads: how many requests are worked on at once.
        waiting: how many more may be inside.
        tell: told how many are inside, whenever that changes.
    """

    def __init__(self, threads: int, waiting: int, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._threads, self._places = threads, threads + waiting
        # Waited for in place of the threads: who has gone by then is found out before one is used.
        self._turns, self._limiter = Semaphore(threads), CapacityLimiter(threads)
        self._inside = 0
        self._seconds = _FIRST_GUESS_S

    def wait_s(self) -> int:
        """Seconds after which there may be a place; 0 where there is one."""
        if self._inside < self._places:
            return 0
        return max(1, round(self._inside * self._seconds / self._threads))

    def check(self) -> None:
        """Raises `Overloaded` where every place is taken."""
        wait_s = self.wait_s()
        if wait_s:
            raise Overloaded(wait_s)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Holds a place for a request.

        Raises:
            Overloaded: every place is taken; nothing of the request was read.
        """
        self.check()
        self._inside += 1
        self._tell(self._inside)
        try:
            yield
        finally:
            self._inside -= 1
            self._tell(self._inside)

    async def run(
        self,
        request: Request,
        work: Callable[[], T],
        soon: Callable[[], Awaitable[T] | None] | None = None,
    ) -> T:
        """Runs blocking work in a thread when its turn comes.

        Args:
            request: whose it is.
            work: what blocks.
            soon: the same without a thread, where it can be done so; else None.

        Raises:
            ClientGone: nobody waits for the answer any more; the work was not begun.
        """
        must_wait = not self._turns.value
        async with self._turns:
            # Who need not wait was there a moment ago, and asking costs as much as a known image.
            if must_wait:
                await checkpoint()  # the time of many may be up at once
                if await request.is_disconnected():
                    raise ClientGone
            start = perf_counter()
            try:
                coming = None if soon is None else soon()
                if coming is not None:
                    return await coming
                return await to_thread.run_sync(work, limiter=self._limiter)
            finally:
                self._seconds += _SMOOTHING * (perf_counter() - start - self._seconds)


@dataclass(frozen=True, slots=True)
class Gates:
    """One gate for answers, one for images that come in to stay: neither keeps the other waiting.

    Args:
        answers: predict, embed, search.
        intake: images and labels.
    """

    answers: Gate
    intake: Gate

    def check(self, path: str) -> None:
        """Refuses a request that would find no place, before the framework has looked at it.

        Raises:
            Overloaded: every place of its gate is taken.
        """
        if path in ANSWERS:
            self.answers.check()

    @classmethod
    def of(cls, settings: Settings, metrics: PrometheusMetrics) -> "Gates":
        """The gates that the settings ask for."""
        waiting = settings.max_waiting_requests
        return cls(
            Gate(settings.answer_threads, waiting, partial(metrics.level, "requests_inside")),
            Gate(settings.ingest_threads, waiting, partial(metrics.level, "intake_inside")),
        )


class Turn:
    """The place of one request at its gate.

    Args:
        request: whose it is.
        gate: where it waits.
    """

    def __init__(self, request: Request, gate: Gate) -> None:
        self._request, self._gate = request, gate

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs blocking work when its turn comes; see `Gate.run`."""
        return await self._gate.run(self._request, partial(work, *args, **kwargs))

    async def run_or_await(
        self, work: Callable[[], T], soon: Callable[[], Awaitable[T] | None] | None
    ) -> T:
        """The same of what may need no thread."""
        return await self._gate.run(self._request, work, soon)


async def _answering(request: Request) -> AsyncIterator[Turn]:
    gate: Gate = request.app.state.gates.answers
    with gate.place():
        yield Turn(request, gate)


async def _taking_in(request: Request) -> AsyncIterator[Turn]:
    gate: Gate = request.app.state.gates.intake
    with gate.place():
        yield Turn(request, gate)


Answering = Annotated[Turn, Depends(_answering)]
"""Lets a request in that wants an answer, or refuses it before its body is read."""

TakingIn = Annotated[Turn, Depends(_taking_in)]
"""Lets a request in that brings images, labels or heads, or refuses it before its body is read."""
