"""Bytes to vectors: images are decoded ahead of a backbone that takes whatever waits.

Bounded at every step, and fair: the images of a small call are decoded in turn with those of a
large one. Knows no digest and no store.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from threading import Condition, Lock, Thread
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from features.errors import EngineFailed, ImageRejected, Overloaded
from features.images import decode
from features.keys import Float32, UInt8, Vectors
from features.limits import Limits

if TYPE_CHECKING:
    from features.engine import Engine

_SMOOTHING = 0.1
"""Weight of the latest batch in the running estimate of the time per image."""


class Observer(Protocol):
    """Is told what happens; must be fast and thread-safe.

    Counts: forward_images, forward_batches, cache_hits, images_rejected. Times: wait and decode
    (per image), forward (from the first of a batch to its vectors), write (per append).
    """

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter."""

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        """Record how long one pass through a stage took.

        `calls` are the contexts of those for whose images it was; none means the caller's own.
        """


class Silent:
    """An observer that does nothing."""

    def count(self, name: str, value: int = 1) -> None:
        """Do nothing."""

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        """Do nothing."""


class Row(NamedTuple):
    """The vectors of one image. embedding: float32 (dim,); stages: float32 (stages_dim,)."""

    embedding: Float32
    stages: Float32


@dataclass(slots=True, eq=False)
class _Job:
    data: bytes
    call: Context
    answer: Future[Row] = field(default_factory=Future)
    since: float = field(default_factory=perf_counter)
    pixels: UInt8 | None = None


class Pipeline:
    """Threads that decode, and one that runs the backbone on what they have made.

    A lone image is never kept back until there are more; while some run, the next are decoded.
    """

    def __init__(
        self,
        engine: "Engine",
        limits: Limits,
        decode_threads: int,
        max_batch: int,
        queue_images: int,
        observer: Observer,
    ) -> None:
        self._engine, self._limits, self._observer = engine, limits, observer
        self._max_batch, self._queue_images = max_batch, queue_images
        self._calls: deque[deque[_Job]] = deque()
        self._decoded: deque[_Job] = deque()
        self._ahead = 0
        """Images that are being decoded, or are decoded and wait for the backbone."""
        self._unfinished = 0
        self._given = 0
        """Images that the backbone has been given so far."""
        self._seconds_per_image, self._last_s = 0.02, 0.0
        self._closed = False
        lock = Lock()
        self._may_decode, self._may_run = Condition(lock), Condition(lock)
        self._threads = [
            Thread(target=self._decode_all, name=f"decode-{i}", daemon=True)
            for i in range(decode_threads)
        ]
        self._threads.append(Thread(target=self._run_all, name="engine", daemon=True))
        for thread in self._threads:
            thread.start()

    def submit(self, images: Sequence[bytes]) -> list[Future[Row]]:
        """Queue images, all or none; each future gives a row, `ImageRejected` or `EngineFailed`.

        Raises:
            Overloaded: too many wait already. A call too large for the queue is let in alone.
        """
        call = copy_context()
        jobs = deque(_Job(data, call) for data in images)
        answers = [job.answer for job in jobs]
        with self._may_decode:
            if self._unfinished and self._unfinished + len(jobs) > self._queue_images:
                raise Overloaded(round(max(0.1, self._unfinished * self._seconds_per_image), 1))
            self._unfinished += len(jobs)
            if jobs:
                self._calls.append(jobs)
                self._may_decode.notify(len(jobs))
        return answers

    def close(self) -> None:
        """Finish what is queued, then stop the threads; nothing may be submitted afterwards."""
        with self._may_decode:
            self._closed = True
            self._may_decode.notify_all()
            self._may_run.notify_all()
        for thread in self._threads:
            thread.join()

    def _decode_all(self) -> None:
        while (job := self._next_to_decode()) is not None:
            try:
                start = perf_counter()
                self._observer.time("wait", start - job.since, (job.call,))
                job.pixels = decode(job.data, self._engine.space.preprocessing, self._limits)
                self._observer.time("decode", perf_counter() - start, (job.call,))
            except Exception as error:  # noqa: BLE001  a thread that died would leave all waiting
                self._hand_over(job, error)
            else:
                self._hand_over(job, None)

    def _next_to_decode(self) -> _Job | None:
        with self._may_decode:
            while not self._calls or self._ahead >= 2 * self._max_batch:
                if self._closed and not self._calls:
                    return None
                self._may_decode.wait()
            call = self._calls.popleft()
            job = call.popleft()
            if call:
                self._calls.append(call)
            self._ahead += 1
            return job

    def _wake_decoder(self) -> None:
        """There is room for one more image. Where none waits, nobody is woken for nothing."""
        if self._calls:
            self._may_decode.notify()

    def _hand_over(self, job: _Job, error: Exception | None) -> None:
        """Pass a decoded image on to the backbone, or its failure to who waits for it."""
        job.data = b""
        with self._may_run:
            if error is None:
                self._decoded.append(job)
            else:
                self._ahead -= 1
                self._unfinished -= 1
                self._wake_decoder()
            self._may_run.notify()
        if error is not None:
            rejected = isinstance(error, ImageRejected)
            job.answer.set_exception(error if rejected else _engine_failed(error))

    def _run_all(self) -> None:
        while self._may_begin():
            taken = deque[_Job]()
            failure: Exception = EngineFailed("it gave no vectors")
            given_before = self._given
            try:
                for vectors in self._engine.stream(partial(self._take, taken), self._alone):
                    self._answer(taken, vectors)
            except Exception as error:  # noqa: BLE001  a thread that died would leave all waiting
                failure = error
            if self._given == given_before:
                self._take(taken)  # else the backbone would be asked again, and nobody answered
            self._account(len(taken))
            for job in taken:
                job.answer.set_exception(_engine_failed(failure))

    def _may_begin(self) -> bool:
        """Wait for an image; say whether there is one, or none will come any more."""
        with self._may_run:
            while not self._decoded:
                if self._closed and not self._unfinished:
                    return False
                self._may_run.wait()
            return True

    def _take(self, taken: deque[_Job]) -> UInt8 | None:
        """Give the backbone an image, if one is decoded and the backbone has not too many."""
        with self._may_run:
            if not self._decoded or len(taken) == self._max_batch:
                return None
            self._ahead -= 1
            self._given += 1
            self._wake_decoder()
            job = self._decoded.popleft()
        job.since = perf_counter()
        taken.append(job)
        return job.pixels

    def _alone(self) -> bool:
        """Whether the one image that was taken is all there is: no other waits or is decoded."""
        with self._may_run:
            return self._unfinished == 1

    def _answer(self, taken: deque[_Job], vectors: Vectors) -> None:
        done = list(islice(taken, len(vectors)))
        if not 0 < len(vectors) == len(done):
            raise EngineFailed(f"{len(vectors)} vectors for {len(taken)} images")
        vectors.embeddings.setflags(write=False)
        vectors.stages.setflags(write=False)
        now = perf_counter()
        begun, self._last_s = max(done[0].since, self._last_s), now
        self._observer.time("forward", now - done[0].since, [job.call for job in done])
        self._observer.count("forward_images", len(done))
        self._observer.count("forward_batches")
        # Before the answers: who has his may at once come back with as much.
        self._account(len(done), now - begun)
        for row in map(Row, vectors.embeddings, vectors.stages):
            taken.popleft().answer.set_result(row)

    def _account(self, images: int, seconds: float | None = None) -> None:
        with self._may_run:
            self._unfinished -= images
            if seconds is not None:
                change = seconds / images - self._seconds_per_image
                self._seconds_per_image += _SMOOTHING * change


def _engine_failed(error: Exception) -> EngineFailed:
    """Return a new error for each caller: one that is raised in two threads tells neither story."""
    if isinstance(error, EngineFailed):
        return EngineFailed(error.detail, hint=error.hint)
    failed = EngineFailed(repr(error))
    failed.__cause__ = error
    return failed
