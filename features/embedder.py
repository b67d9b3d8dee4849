"""The one road from bytes to vectors: look up, compute what is missing once, remember.

Knows no labels and no heads.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from threading import Condition
from time import perf_counter
from typing import TYPE_CHECKING, Literal

from features.call import Call, Embedded, Found, Image, Results, Underway
from features.errors import EngineFailed, SpaceMismatch
from features.images import decode
from features.keys import EmbeddingSpace, digest
from features.limits import Limits
from features.maps import Maps
from features.pipeline import Observer, Pipeline, Row, Silent
from features.writer import Writer, stacked

if TYPE_CHECKING:
    from features.engine import Engine
    from features.store import FeatureStore, Record

_LIMITS = Limits()

Remember = Literal["no", "later", "now"]


class Embedder:
    """Turns images into vectors, each only once. Thread-safe.

    Args:
        engine: runs the backbone; it stays the caller's to close, after this.
        limits: which images are refused.
        decode_threads: how many images are decoded at a time.
        max_batch: how many images the backbone is given at a time, at most.
        queue_images: how many images may wait before calls are refused.
        observer: is told what happens.
    """

    def __init__(
        self,
        engine: "Engine",
        *,
        limits: Limits = _LIMITS,
        decode_threads: int = 2,
        max_batch: int = 32,
        queue_images: int = 1024,
        observer: Observer | None = None,
    ) -> None:
        self._engine, self._space = engine, engine.space
        self.limits = limits
        self._observer = observer or Silent()
        self._pipeline = Pipeline(
            engine, limits, decode_threads, max_batch, queue_images, self._observer
        )
        self._lock = Condition()
        self._writer = Writer(self._lock, self._observer)
        self._attended = 0
        self._closed = False
        self._underway: dict[tuple[FeatureStore, str], Future[Row]] = {}

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the vectors."""
        return self._space

    def embed(
        self,
        images: Sequence[Image],
        store: "FeatureStore | None",
        *,
        remember: Remember = "later",
        digests: Sequence[str] | None = None,
    ) -> Results:
        """Return the vectors of each image, or why it was rejected, in the order given.

        Args:
            images: file name, for messages only, and bytes.
            store: where vectors are looked up and remembered; without one, all are computed.
            remember: "later" stores new vectors soon after the answer, and counts them as known at
                once; "now" has them durable before it.
            digests: of the images, where the caller has them already.

        Raises:
            Overloaded: too much is waiting; nothing was done.
            EngineFailed: the backbone failed on some image; what else was computed is remembered.
            SpaceMismatch: the store is of another space.
            StoreDamaged, StoreUnavailable: the store could not be read, or written "now".
        """
        if digests is None:
            digests = [digest(data) for _, data in images]
        call = Call(images, digests)
        with self._attending():
            if store is None:
                call.underway = call.brought = self._submit(call.contents)
            else:
                self._look_up(call, store, store.get)
            return self._end(call, store, remember)

    def embed_soon(
        self,
        images: Sequence[Image],
        store: "FeatureStore",
        *,
        remember: bool,
        digests: Sequence[str],
    ) -> "Future[Results] | None":
        """Begin what `embed` does, and return its results to come, without waiting for anything.

        None where the store has to be waited for; nothing was done then. The arguments, and what
        is raised here or by the future, are those of `embed`; `remember` is "later" or "no". What
        was begun is finished even if nobody waits for it any more.
        """
        call = Call(images, digests)
        with ExitStack() as until_done:
            until_done.enter_context(self._attending())
            if not self._look_up(call, store, store.get_now, patient=False):
                return None
            leave = until_done.pop_all().close
        results = Future[Results]()
        results.set_running_or_notify_cancel()  # what was begun cannot be cancelled

        def end() -> None:
            try:
                remembering: Remember = "later" if remember else "no"
                results.set_result(self._end(call, store, remembering, patient=False))
            except Exception as error:  # noqa: BLE001  it is raised where the results are asked for
                results.set_exception(error)
            finally:
                call.forget()
                leave()

        call.when_done(end)
        return results

    def known(self, digests: Sequence[str], store: "FeatureStore") -> list[Embedded] | None:
        """Return what `embed` does, if every image is stored already; None where one is not.

        Waits for nothing, and looks at no image: None too where that takes the patience of `embed`.
        """
        with self._attending():
            found = store.get_now(digests)
        if found is None or len(found) < len(set(digests)):
            return None
        self._observer.count("cache_hits", len(digests))
        records = [found[key] for key in digests]
        return [Embedded(r.digest, r.embedding, r.stages, cached=True) for r in records]

    def maps(self, data: bytes, filename: str | None = None) -> Maps:
        """Return what each place of an image adds to its vectors; none of it is remembered.

        Raises:
            ImageRejected: as `embed` returns it.
            NoMaps: the backbone does not tell places apart.
        """
        return self._engine.maps(decode(data, self._space.preprocessing, self.limits, filename))

    def warm(self) -> None:
        """Make the backbone ready, so that the next image does not wait for it."""
        self._engine.warm()

    def flush(self) -> None:
        """Return once all that was to be remembered is durable.

        Raises:
            Exception: what a store raised that has refused vectors since the last flush.
        """
        self._writer.flush()

    def settle(self, store: "FeatureStore", digests: Iterable[str]) -> None:
        """Return once none of these images waits to be stored: a look there finds what is known."""
        self._writer.settle(store, digests)

    def close(self) -> None:
        """Finish what is under way, store what is to be remembered, and stop; raises as `flush`."""
        with self._lock:
            self._closed = True
            while self._attended:
                self._lock.wait()
        self._pipeline.close()
        self._writer.close()

    @contextmanager
    def _attending(self) -> Iterator[None]:
        """Keep the embedder open for the call that is made inside."""
        with self._lock:
            if self._closed:
                raise EngineFailed("it has been shut down", hint="Send the request again later.")
            self._attended += 1
        try:
            yield
        finally:
            with self._lock:
                self._attended -= 1
                if self._closed:
                    # Only `close` waits for this; the writer, woken each time, would take turns
                    # with every answer.
                    self._lock.notify_all()

    def _look_up(
        self,
        call: Call,
        store: "FeatureStore",
        get: "Callable[[list[str]], dict[str, Record] | None]",
        *,
        patient: bool = True,
    ) -> bool:
        """Find what is known, and have the rest computed, unless another call does that already.

        Returns:
            Whether that is done; not if `get` has not looked, or `call` would wait at its end.
        """
        if store.space != self._space:
            raise SpaceMismatch(expected=store.space.id, found=self._space.id)
        contents = call.contents
        missing = list(contents)
        while True:
            landed = self._writer.landed
            records = get(missing)
            if records is None:
                return False
            call.known.update((key, Row(r.embedding, r.stages)) for key, r in records.items())
            missing = [key for key in missing if key not in call.known]
            if not missing:
                return True
            with self._lock:
                if not patient and self._writer.is_full():
                    return False
                # Else vectors may have gone from pending to stored since the look-up.
                if self._writer.landed == landed:
                    waiting = self._writer.pending(store)
                    call.pending = {key: waiting[key] for key in missing if key in waiting}
                    call.known |= call.pending
                    self._claim(call, {k: contents[k] for k in missing if k not in waiting}, store)
                    return True

    def _claim(self, call: Call, contents: Mapping[str, bytes], store: "FeatureStore") -> None:
        places = {key: self._underway.get((store, key)) for key in contents}
        others = {key: future for key, future in places.items() if future is not None}
        mine = self._submit({key: data for key, data in contents.items() if key not in others})
        self._underway.update(((store, key), future) for key, future in mine.items())
        call.underway, call.brought = {**others, **mine}, mine

    def _end(
        self,
        call: Call,
        store: "FeatureStore | None",
        remember: Remember,
        *,
        patient: bool = True,
    ) -> Results:
        """Wait for what is under way, have it remembered, and put the answer together.

        Who is not patient may be the thread that all others wait for, and is not held up.
        """
        try:
            computed, rejected, failure = call.wait()
            if store is not None and remember == "later":
                self._writer.add(store, computed, patient=patient)
            elif store is not None and remember == "now":
                # Also what another call has left to be stored later.
                stored = self._store(computed | call.pending, store)
                computed = {key: stored[key] for key in computed}
        finally:
            self._release(call.brought, store)
        if failure is not None:
            raise failure
        self._observer.count("cache_hits", sum(key in call.known for key in call.digests))
        self._observer.count("images_rejected", sum(key in rejected for key in call.digests))
        return call.results(computed, rejected)

    def _submit(self, contents: Mapping[str, bytes]) -> Underway:
        futures = self._pipeline.submit(list(contents.values()))
        return dict(zip(contents, futures, strict=True))

    def _release(self, mine: Underway, store: "FeatureStore | None") -> None:
        if store is not None and mine:
            with self._lock:
                for key in mine:
                    del self._underway[store, key]
                self._writer.landed += 1

    def _store(self, rows: Found, store: "FeatureStore") -> Found:
        """Have vectors stored, and return those that count: the first that were."""
        if not rows:
            return rows
        start = perf_counter()
        added = store.put(list(rows), stacked(rows.values()))
        self._observer.time("write", perf_counter() - start)
        earlier = store.get([key for key, new in zip(rows, added, strict=True) if not new])
        return rows | {key: Row(r.embedding, r.stages) for key, r in earlier.items()}
