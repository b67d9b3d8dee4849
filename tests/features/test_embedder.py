"""Embedder: every image once, in order, whatever happens to its neighbours."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, made, picture

from features import writer as writer_module
from features.embedder import Embedded, Embedder
from features.errors import (
    EngineFailed,
    FeatureError,
    ImageRejected,
    Overloaded,
    SpaceMismatch,
    StoreUnavailable,
)
from features.images import decode
from features.keys import UInt8, Vectors, digest
from features.store import FeatureStore, Record
from features.stream import Take
from features.testing import ToyBackbone

Opener = Callable[..., FeatureStore]

Image = tuple[str | None, bytes]

PATIENCE_S = 20
"""How long a test waits for what should happen at once, before it fails."""


class Watched(ToyBackbone):
    """The toy backbone; counts, and can be held up or made to fail."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Semaphore(0)
        self.failure: Exception | None = None

    @property
    def images(self) -> int:
        return sum(self.batches)

    def run(self, pixels: UInt8) -> Vectors:
        self.batches.append(len(pixels))
        self.entered.release()
        assert self.open.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return super().run(pixels)

    def hold(self) -> None:
        self.open.clear()

    def wait_until_held(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE_S)


class Notes:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.times: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, name: str, value: int = 1) -> None:
        with self._lock:
            self.counts[name] += value

    def time(self, stage: str, seconds: float, calls: Sequence[Context] = ()) -> None:
        assert seconds >= 0
        assert bool(calls) == (stage != "write")
        with self._lock:
            self.times[stage] += 1


@pytest.fixture
def engine() -> Watched:
    return Watched()


@pytest.fixture
def make(engine: Watched, opener: Opener) -> Iterator[Callable[..., Embedder]]:
    # The opener is asked for so that stores are closed after the embedders.
    made_here: list[Embedder] = []

    def build(**options: int | Notes) -> Embedder:
        embedder = Embedder(engine, **options)  # type: ignore[arg-type]
        made_here.append(embedder)
        return embedder

    yield build
    engine.open.set()
    for embedder in made_here:
        embedder.close()


@pytest.fixture
def embedder(make: Callable[..., Embedder]) -> Embedder:
    return make()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Threads to call from."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


def images(*numbers: int) -> list[Image]:
    return [(f"{number}.png", picture(number)) for number in numbers]


def expected(data: bytes) -> Vectors:
    return ToyBackbone().run(decode(data, SPACE.preprocessing)[np.newaxis])


def right(results: Sequence[Embedded | ImageRejected], sent: Sequence[Image]) -> bool:
    """Say whether these are the vectors of these images, in order."""
    assert len(results) == len(sent)
    for result, (_, data) in zip(results, sent, strict=True):
        assert isinstance(result, Embedded)
        assert result.digest == digest(data)
        assert np.array_equal(result.embedding, expected(data).embeddings[0])
        assert np.array_equal(result.stages, expected(data).stages[0])
    return True


def cached(results: Sequence[Embedded | ImageRejected]) -> list[bool]:
    return [isinstance(result, Embedded) and result.cached for result in results]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)


# --- the answer --------------------------------------------------------------------------------


def test_the_answer_has_the_order_of_the_question(embedder: Embedder, store: FeatureStore) -> None:
    sent = images(*range(40))
    assert right(embedder.embed(sent, store), sent)
    assert right(embedder.embed(sent[::-1], store), sent[::-1])
    assert embedder.space == SPACE


def test_without_a_store_all_is_computed_and_nothing_kept(
    embedder: Embedder, engine: Watched
) -> None:
    for _ in range(2):
        results = embedder.embed(images(1, 2), None)
        assert right(results, images(1, 2))
        assert cached(results) == [False, False]
    assert engine.images == 4


def test_no_images_are_no_work(embedder: Embedder, engine: Watched, store: FeatureStore) -> None:
    assert embedder.embed([], store) == []
    assert engine.batches == []


def test_an_image_twice_in_one_call_is_computed_once(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    sent = images(1, 2, 1, 1)
    results = embedder.embed(sent, store)
    assert right(results, sent)
    assert cached(results) == [False] * 4
    assert engine.images == 2


def test_vectors_cannot_be_changed_by_who_gets_them(
    embedder: Embedder, store: FeatureStore
) -> None:
    (result,) = embedder.embed(images(1), store)
    assert isinstance(result, Embedded)
    with pytest.raises(ValueError, match="read-only"):
        result.embedding[0] = 1


def test_a_bad_image_is_answered_in_its_place_and_hurts_no_neighbour(
    embedder: Embedder, store: FeatureStore
) -> None:
    sent = [images(1)[0], ("no.png", b"not an image"), (None, b""), images(2)[0]]
    results = embedder.embed(sent, store, remember="now")
    assert right([results[0], results[3]], [sent[0], sent[3]])
    for result, code, filename in (
        (results[1], "not_an_image", "no.png"),
        (results[2], "empty_image", None),
    ):
        assert isinstance(result, ImageRejected)
        assert (result.code, result.filename) == (code, filename)
        assert result.hint
    assert len(store) == 2


def test_each_caller_reads_of_the_file_as_he_named_it(
    embedder: Embedder, store: FeatureStore
) -> None:
    results = embedder.embed([("mine.png", b"bad"), ("copy.png", b"bad")], store)
    assert [getattr(result, "filename", "") for result in results] == ["mine.png", "copy.png"]
    assert "copy.png" in str(results[1])


# --- remembering -------------------------------------------------------------------------------


def test_what_is_known_is_neither_decoded_nor_computed(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    sent = images(1, 2)
    stored = made(2, seed=8)
    store.put([digest(data) for _, data in sent], stored)
    results = embedder.embed([*sent, *images(3)], store)
    assert cached(results) == [True, True, False]
    for i, result in enumerate(results[:2]):
        assert isinstance(result, Embedded)
        assert np.array_equal(result.embedding, stored.embeddings[i])
        assert np.array_equal(result.stages, stored.stages[i])
    assert engine.images == 1


def test_what_is_stored_is_there_without_waiting_for_anything(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    sent = images(1, 2, 1)
    assert embedder.known(sent, store) is None
    embedder.embed(sent[:1], store, remember="now")
    assert embedder.known(sent, store) is None, "only all of them or none"
    embedder.embed(sent, store, remember="now")
    engine.hold()
    with store._synced._lock:  # a writer is at work
        found = embedder.known(sent, store)
    assert found is not None
    assert right(found, sent)
    assert cached(found) == [True] * 3


def test_what_another_has_stored_or_erased_is_known_once_somebody_has_looked(
    embedder: Embedder, store: FeatureStore, opener: Opener
) -> None:
    sent, other = images(1), opener()
    embedder.embed(images(1, 2), store, remember="now")
    other.delete([digest(images(2)[0][1])])
    other.compact()  # from here on the files are others, and those from before are not touched
    other.delete([digest(sent[0][1])])
    assert embedder.known(sent, store) is None
    assert cached(embedder.embed(sent, store, remember="now")) == [False]
    assert embedder.known(sent, store) is not None


def test_now_is_durable_before_the_answer(
    embedder: Embedder, store: FeatureStore, opener: Opener
) -> None:
    embedder.embed(images(1, 2), store, remember="now")
    assert len(opener()) == 2


def test_now_is_durable_also_where_another_call_has_said_later(
    embedder: Embedder, store: FeatureStore, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder.embed(images(1), store)
    assert cached(embedder.embed(images(1, 2), store, remember="now")) == [True, False]
    assert len(opener()) == 2


def test_no_keeps_nothing(embedder: Embedder, engine: Watched, store: FeatureStore) -> None:
    for _ in range(2):
        assert cached(embedder.embed(images(1), store, remember="no")) == [False]
    embedder.flush()
    assert len(store) == 0
    assert engine.images == 2


def test_later_is_known_at_once_and_durable_after_a_flush(
    embedder: Embedder, engine: Watched, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder.embed(images(1, 2), store)
    assert len(store) == 0
    results = embedder.embed(images(2, 1), store)
    assert right(results, images(2, 1))
    assert cached(results) == [True, True]
    embedder.flush()
    assert len(store) == 2
    assert engine.images == 2


def test_what_is_settled_is_found_and_nothing_is_written_for_what_does_not_wait(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    (embedded,) = embedder.embed(images(1), store)
    assert isinstance(embedded, Embedded)
    embedder.settle(store, ["0" * 64])
    assert len(store) == 0
    embedder.settle(store, [embedded.digest, "0" * 64])
    assert list(store.get([embedded.digest])) == [embedded.digest]


def test_settling_leaves_a_failure_to_whoever_flushes(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)

    def refuse(*_: object) -> list[bool]:
        raise ValueError("no room")

    monkeypatch.setattr(store, "put", refuse)
    (embedded,) = embedder.embed(images(1), store)
    assert isinstance(embedded, Embedded)
    embedder.settle(store, [embedded.digest])
    assert len(store) == 0
    with pytest.raises(ValueError, match="no room"):
        embedder.flush()


def test_later_needs_no_flush(embedder: Embedder, store: FeatureStore) -> None:
    embedder.embed(images(1), store)
    wait_for(lambda: len(store) == 1)
    assert store.check() == []


def test_closing_stores_what_was_to_be_remembered(
    make: Callable[..., Embedder], store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder = make()
    embedder.embed(images(1), store)
    embedder.close()
    assert len(store) == 1
    with pytest.raises(EngineFailed):
        embedder.embed(images(2), store)


def test_closing_waits_for_calls_that_are_under_way(
    make: Callable[..., Embedder],
    engine: Watched,
    store: FeatureStore,
    elsewhere: ThreadPoolExecutor,
) -> None:
    embedder = make()
    engine.hold()
    answer = elsewhere.submit(embedder.embed, images(1, 2), store)
    engine.wait_until_held()
    closing = elsewhere.submit(embedder.close)
    time.sleep(0.05)
    assert not closing.done()
    engine.open.set()
    closing.result(PATIENCE_S)
    assert right(answer.result(PATIENCE_S), images(1, 2))
    assert len(store) == 2


def test_a_store_of_another_space_is_refused(embedder: Embedder, tmp_path: Path) -> None:
    other = replace(SPACE, layer="other")
    store = FeatureStore(str(tmp_path / "other"), tmp_path / "other-index", other)
    with pytest.raises(SpaceMismatch) as caught:
        embedder.embed(images(1), store)
    assert (caught.value.expected, caught.value.found) == (other.id, SPACE.id)
    store.close()


def test_many_calls_share_few_appends(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    appends = []
    put = FeatureStore.put

    def counting(self: FeatureStore, digests: Sequence[str], vectors: Vectors) -> list[bool]:
        appends.append(len(digests))
        return put(self, digests, vectors)

    monkeypatch.setattr(FeatureStore, "put", counting)
    for number in range(30):
        embedder.embed(images(number), store)
    embedder.flush()
    assert len(store) == 30
    assert len(appends) <= 5


def test_a_store_that_refuses_is_told_at_the_flush_and_the_images_stay_unknown(
    embedder: Embedder, engine: Watched, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> list[bool]:
        raise StoreUnavailable("disk", "it is full", hint="Make room.")

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "put", refuse)
        embedder.embed(images(1), store)
        with pytest.raises(StoreUnavailable):
            embedder.flush()
        with pytest.raises(StoreUnavailable):
            embedder.embed(images(2), store, remember="now")
    embedder.flush()
    assert cached(embedder.embed(images(1, 2), store)) == [False, False]
    embedder.flush()
    assert len(store) == 2


def test_who_brings_too_much_is_held_up_until_there_is_room(
    embedder: Embedder,
    store: FeatureStore,
    monkeypatch: pytest.MonkeyPatch,
    elsewhere: ThreadPoolExecutor,
) -> None:
    monkeypatch.setattr(writer_module, "MOST_PENDING", 2)
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder.embed(images(1, 2), store)
    held = elsewhere.submit(embedder.embed, images(3), store)
    time.sleep(0.1)
    assert not held.done()
    embedder.flush()
    assert right(held.result(PATIENCE_S), images(3))


def test_the_vector_that_was_stored_first_is_the_answer(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch, engine: Watched
) -> None:
    """As when another process embeds the same image at the same time, in another batch."""
    ((_, data),) = images(1)
    engine.hold()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(embedder.embed, images(1), store, remember="now")
        engine.wait_until_held()
        theirs = made(1, seed=3)
        store.put([digest(data)], theirs)
        engine.open.set()
        (result,) = answer.result(PATIENCE_S)
    assert isinstance(result, Embedded)
    assert np.array_equal(result.embedding, theirs.embeddings[0])
    assert np.array_equal(result.stages, theirs.stages[0])


# --- several callers ---------------------------------------------------------------------------


def test_callers_of_one_store_share_each_forward_pass(
    embedder: Embedder, engine: Watched, store: FeatureStore, elsewhere: ThreadPoolExecutor
) -> None:
    sent = [images(*range(start, start + 12)) for start in range(16)]
    answers = list(elsewhere.map(lambda some: embedder.embed(some, store), sent))
    for results, some in zip(answers, sent, strict=True):
        assert right(results, some)
    assert engine.images == 27
    embedder.flush()
    assert len(store) == 27


@pytest.mark.parametrize("remember", ["later", "now"])
def test_an_image_is_computed_once_however_calls_and_writes_interleave(
    embedder: Embedder,
    engine: Watched,
    store: FeatureStore,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    remember: str,
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 0.0)

    def call(number: int) -> bool:
        some = images(number // 8)
        return right(embedder.embed(some, store, remember=remember), some)  # type: ignore[arg-type]

    assert all(elsewhere.map(call, range(240)))
    assert engine.images == 30


def test_a_look_up_that_came_too_early_is_made_again(
    embedder: Embedder, engine: Watched, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another call stores the image between our look into the store and our claim to compute it."""
    get, looks = FeatureStore.get, []

    def slow(self: FeatureStore, digests: Sequence[str]) -> dict[str, Record]:
        found = get(self, digests)
        looks.append(len(found))
        if len(looks) == 1:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(embedder.embed, images(1), store, remember="now").result(PATIENCE_S)
        return found

    monkeypatch.setattr(FeatureStore, "get", slow)
    assert cached(embedder.embed(images(1), store)) == [True]
    assert engine.images == 1


def test_a_large_call_can_follow_at_once_on_another(make: Callable[..., Embedder]) -> None:
    embedder = make(queue_images=2)
    for _ in range(30):
        assert right(embedder.embed(images(1, 2, 3), None), images(1, 2, 3))


def test_two_stores_know_nothing_of_each_other(
    embedder: Embedder, engine: Watched, store: FeatureStore, tmp_path: Path
) -> None:
    other = FeatureStore(str(tmp_path / "other"), tmp_path / "other-index", SPACE)
    embedder.embed(images(1), store)
    assert cached(embedder.embed(images(1), other)) == [False]
    embedder.flush()
    assert cached(embedder.embed(images(1), other)) == [True]
    assert engine.images == 2
    other.close()


def test_a_lone_image_is_not_kept_back_and_those_that_wait_go_together(
    make: Callable[..., Embedder], engine: Watched, elsewhere: ThreadPoolExecutor
) -> None:
    embedder = make(max_batch=4, observer=(notes := Notes()))
    engine.hold()
    first = elsewhere.submit(embedder.embed, images(0), None)
    engine.wait_until_held()
    assert engine.batches == [1]
    rest = elsewhere.submit(embedder.embed, images(*range(1, 7)), None)
    # While the first is in the engine, the next are decoded.
    wait_for(lambda: notes.times["decode"] == 7)
    engine.open.set()
    assert right(first.result(PATIENCE_S), images(0))
    assert right(rest.result(PATIENCE_S), images(*range(1, 7)))
    assert engine.batches == [1, 4, 2]


def test_not_more_is_decoded_ahead_than_two_batches(
    make: Callable[..., Embedder], engine: Watched, elsewhere: ThreadPoolExecutor
) -> None:
    embedder = make(max_batch=2, observer=(notes := Notes()))
    engine.hold()
    answer = elsewhere.submit(embedder.embed, images(*range(20)), None)
    engine.wait_until_held()
    time.sleep(0.2)
    assert notes.times["decode"] <= 2 + 4
    engine.open.set()
    assert right(answer.result(PATIENCE_S), images(*range(20)))


def test_a_small_call_does_not_wait_for_a_large_one(
    make: Callable[..., Embedder], engine: Watched, elsewhere: ThreadPoolExecutor
) -> None:
    embedder = make(max_batch=2, decode_threads=1)
    engine.hold()
    large = elsewhere.submit(embedder.embed, images(*range(60)), None)
    engine.wait_until_held()
    small = elsewhere.submit(embedder.embed, images(99), None)
    time.sleep(0.05)
    engine.open.set()
    assert right(small.result(PATIENCE_S), images(99))
    done_before = engine.images
    assert right(large.result(PATIENCE_S), images(*range(60)))
    assert done_before < 40


# --- too much, and failures --------------------------------------------------------------------


def held_call(
    embedder: Embedder, engine: Watched, pool: ThreadPoolExecutor, count: int
) -> "Future[list[Embedded | ImageRejected]]":
    engine.hold()
    answer = pool.submit(embedder.embed, images(*range(count)), None)
    engine.wait_until_held()
    return answer


def test_a_call_that_does_not_fit_is_refused_before_any_work(
    make: Callable[..., Embedder],
    engine: Watched,
    store: FeatureStore,
    elsewhere: ThreadPoolExecutor,
) -> None:
    embedder = make(queue_images=4)
    answer = held_call(embedder, engine, elsewhere, 3)
    with pytest.raises(Overloaded) as caught:
        embedder.embed(images(10, 11), store)
    assert caught.value.retry_after_s > 0
    fits = elsewhere.submit(embedder.embed, images(12), store)
    engine.open.set()
    assert right(answer.result(PATIENCE_S), images(0, 1, 2))
    assert right(fits.result(PATIENCE_S), images(12))
    assert engine.images == 4
    assert right(embedder.embed(images(10, 11), store), images(10, 11))


def test_a_call_larger_than_the_queue_is_served_when_it_comes_alone(
    make: Callable[..., Embedder],
) -> None:
    embedder = make(queue_images=4)
    sent = images(*range(9))
    assert right(embedder.embed(sent, None), sent)


def test_known_images_are_answered_even_when_the_queue_is_full(
    make: Callable[..., Embedder],
    engine: Watched,
    store: FeatureStore,
    elsewhere: ThreadPoolExecutor,
) -> None:
    embedder = make(queue_images=1)
    embedder.embed(images(50), store, remember="now")
    engine.entered.acquire()
    answer = held_call(embedder, engine, elsewhere, 1)
    assert cached(embedder.embed(images(50), store)) == [True]
    engine.open.set()
    answer.result(PATIENCE_S)


def test_a_failure_of_the_engine_reaches_those_it_concerns_and_passes(
    embedder: Embedder, engine: Watched, store: FeatureStore, elsewhere: ThreadPoolExecutor
) -> None:
    engine.hold()
    first = elsewhere.submit(embedder.embed, images(1), store)
    engine.wait_until_held()
    also = elsewhere.submit(embedder.embed, images(1), store)
    time.sleep(0.05)
    engine.failure = RuntimeError("out of memory")
    engine.open.set()
    for answer in (first, also):
        with pytest.raises(EngineFailed) as caught:
            answer.result(PATIENCE_S)
        assert "out of memory" in caught.value.detail
    engine.failure = None
    assert right(embedder.embed(images(1), store), images(1))


def test_what_was_computed_beside_a_failure_is_remembered(
    make: Callable[..., Embedder], engine: Watched, store: FeatureStore
) -> None:
    embedder = make(max_batch=1, decode_threads=1)
    run = Watched.run

    def fail_on_the_second(self: Watched, pixels: UInt8) -> Vectors:
        self.failure = RuntimeError("once") if len(self.batches) == 1 else None
        return run(self, pixels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Watched, "run", fail_on_the_second)
        with pytest.raises(EngineFailed):
            embedder.embed(images(1, 2, 3), store, remember="now")
    assert cached(embedder.embed(images(1, 2, 3), store)) == [True, False, True]


def test_an_engine_that_returns_too_few_vectors_has_failed(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watched, "run", lambda self, pixels: made(len(pixels) - 1))
    with pytest.raises(EngineFailed):
        embedder.embed(images(1, 2), None)


@pytest.mark.parametrize("given", [0, 3])
def test_an_engine_that_gives_vectors_of_nothing_or_of_too_many_has_failed(
    embedder: Embedder, engine: Watched, monkeypatch: pytest.MonkeyPatch, given: int
) -> None:
    def stream(self: Watched, take: Take) -> Iterator[Vectors]:
        while take() is not None:
            yield made(given)

    with monkeypatch.context() as patch:
        patch.setattr(Watched, "stream", stream)
        with pytest.raises(EngineFailed, match="vectors for"):
            embedder.embed(images(1), None)
    assert right(embedder.embed(images(1), None), images(1))


def test_a_decoder_that_breaks_is_a_failure_and_not_silence(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*args: object) -> UInt8:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("features.pipeline.decode", burst)
        with pytest.raises(FeatureError):
            embedder.embed(images(1), None)
    assert right(embedder.embed(images(1), None), images(1))


def test_the_observer_is_told(make: Callable[..., Embedder], store: FeatureStore) -> None:
    embedder = make(observer=(notes := Notes()), max_batch=2)
    embedder.embed([*images(1, 2, 3), ("bad", b"bad")], store, remember="now")
    embedder.embed(images(1, 1, 4), store, remember="later")
    embedder.flush()
    assert notes.counts["forward_images"] == 4
    assert notes.counts["forward_batches"] >= 3
    assert notes.counts["cache_hits"] == 2
    assert notes.counts["images_rejected"] == 1
    assert notes.times["decode"] == 4
    assert notes.times["wait"] == 5
    assert notes.times["forward"] == notes.counts["forward_batches"]
    assert notes.times["write"] == 2
