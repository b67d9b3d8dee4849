"""Pipeline, through the embedder: what waits for what, what is too much, and what breaks."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
from embedding import PATIENCE_S, Notes, Watched, cached, images, right, wait_for
from made_up import made

from features.call import Embedded
from features.embedder import Embedder
from features.errors import (
    EngineFailed,
    FeatureError,
    ImageRejected,
    Overloaded,
)
from features.keys import UInt8, Vectors
from features.store import FeatureStore
from features.stream import Alone, Take


def test_a_large_call_can_follow_at_once_on_another(make: Callable[..., Embedder]) -> None:
    embedder = make(queue_images=2)
    for _ in range(30):
        assert right(embedder.embed(images(1, 2, 3), None), images(1, 2, 3))


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


def test_no_thread_is_woken_for_an_image_that_is_not_there(
    make: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = make(decode_threads=1)
    condition, waits = embedder._pipeline._may_decode, Counter[str]()
    wait = condition.wait

    def counted(timeout: float | None = None) -> bool:
        waits["decoder"] += 1
        return wait(timeout)

    monkeypatch.setattr(condition, "wait", counted)
    for number in range(20):
        embedder.embed(images(number), None)
    assert waits["decoder"] <= 20


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
    def stream(self: Watched, take: Take, alone: Alone) -> Iterator[Vectors]:
        while take() is not None:
            yield made(given)

    with monkeypatch.context() as patch:
        patch.setattr(Watched, "stream", stream)
        with pytest.raises(EngineFailed, match="vectors for"):
            embedder.embed(images(1), None)
    assert right(embedder.embed(images(1), None), images(1))


@pytest.mark.parametrize("failure", [RuntimeError("no device"), None])
def test_an_engine_that_takes_no_image_has_failed(
    embedder: Embedder,
    store: FeatureStore,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception | None,
) -> None:
    def stream(self: Watched, take: Take, alone: Alone) -> Iterator[Vectors]:
        if failure is not None:
            raise failure
        return iter(())

    with monkeypatch.context() as patch:
        patch.setattr(Watched, "stream", stream)
        with pytest.raises(EngineFailed, match="no device" if failure else "no vectors"):
            embedder.embed(images(1, 2, 3), store)
    assert right(embedder.embed(images(1, 2, 3), store), images(1, 2, 3))


def test_an_image_is_alone_where_no_other_waits_or_is_being_decoded(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = list[bool]()

    def stream(self: Watched, take: Take, alone: Alone) -> Iterator[Vectors]:
        while (image := take()) is not None:
            said.append(alone())
            yield self.run(image[np.newaxis])

    monkeypatch.setattr(Watched, "stream", stream)
    for n in range(3):
        embedder.embed(images(n), None)
    assert said == [True] * 3
    assert right(embedder.embed(images(3, 4, 5), None), images(3, 4, 5))
    assert said[3:] == [False, False, True]


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
