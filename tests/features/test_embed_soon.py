"""Embedder.embed_soon: what `embed` answers, for callers who may not wait for it."""

import gc
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from embedding import PATIENCE_S, Image, Opener, Watched, cached, images, right, wait_for

from features import writer as writer_module
from features.call import Call, Results
from features.embedder import Embedder
from features.errors import EngineFailed, ImageRejected, Overloaded
from features.keys import digest
from features.store import FeatureStore


def begun(
    embedder: Embedder, sent: list[Image], store: FeatureStore, *, remember: bool = True
) -> Future[Results]:
    """What is to come; that it is begun is not in question."""
    found = soon(embedder, sent, store, remember=remember)
    assert found is not None
    return found


def soon(
    embedder: Embedder, sent: list[Image], store: FeatureStore, *, remember: bool = True
) -> Future[Results] | None:
    digests = [digest(data) for _, data in sent]
    return embedder.embed_soon(sent, store, remember=remember, digests=digests)


def test_it_answers_what_embed_answers(embedder: Embedder, store: FeatureStore) -> None:
    embedder.embed(images(1), store, remember="now")
    embedder.embed(images(2), store)
    sent = [*images(1, 2, 3), ("no.png", b"not an image"), *images(3)]
    results = begun(embedder, sent, store).result(PATIENCE_S)
    assert right([*results[:3], results[4]], [*sent[:3], sent[4]])
    assert cached(results) == [True, True, False, False, False]
    assert isinstance(results[3], ImageRejected)
    assert (results[3].code, results[3].filename) == ("not_an_image", "no.png")
    assert begun(embedder, [], store).result(0) == []


def test_it_waits_neither_for_the_backbone_nor_for_who_writes(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    embedder.embed(images(1), store, remember="now")
    engine.hold()
    with store._synced._lock:  # a writer is at work
        known, other = begun(embedder, images(1), store), begun(embedder, images(2), store)
        engine.wait_until_held()
    assert right(known.result(0), images(1))
    assert not other.done()
    engine.open.set()
    assert right(other.result(PATIENCE_S), images(2))


def test_who_would_have_to_wait_for_the_store_is_told_so_and_nothing_is_done(
    embedder: Embedder, engine: Watched, store: FeatureStore, opener: Opener
) -> None:
    embedder.embed(images(1, 2), store, remember="now")
    other = opener()
    other.compact()
    other.delete([digest(images(2)[0][1])])
    before = engine.images
    assert soon(embedder, images(3), store) is None
    assert engine.images == before
    embedder.embed(images(1), store)  # who may wait has looked
    assert right(begun(embedder, images(3), store).result(PATIENCE_S), images(3))


def test_who_would_be_held_up_by_what_waits_to_be_stored_is_told_so(
    embedder: Embedder, engine: Watched, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MOST_PENDING", 2)
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder.embed(images(1, 2), store)
    assert soon(embedder, images(3), store) is None
    assert engine.images == 2
    embedder.flush()
    assert right(begun(embedder, images(3), store).result(PATIENCE_S), images(3))


def test_a_store_that_has_come_to_a_stop_keeps_nobody_waiting_who_was_let_in(
    embedder: Embedder, engine: Watched, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder.embed(images(9), store, remember="now")
    monkeypatch.setattr(writer_module, "MOST_PENDING", 2)
    go_on, put = threading.Event(), FeatureStore.put

    def stuck(self: FeatureStore, *args: Any) -> list[bool]:
        assert go_on.wait(PATIENCE_S)
        return put(self, *args)

    monkeypatch.setattr(FeatureStore, "put", stuck)
    engine.hold()
    coming = [begun(embedder, images(number), store) for number in range(6)]
    engine.open.set()
    for number, results in enumerate(coming):
        assert right(results.result(PATIENCE_S), images(number))
    assert right(embedder.embed(images(7), None), images(7)), "the backbone goes on"
    assert soon(embedder, images(8), store) is None
    go_on.set()
    embedder.flush()
    assert len(store) == 7


def test_calls_do_not_outlive_their_ends(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    """Images may be large, and a circle would keep them until somebody looks for circles."""
    gc.collect()
    gc.disable()
    try:
        for number in range(20):
            engine.hold()
            coming = [begun(embedder, images(number, n), store, remember=False) for n in (30, 31)]
            engine.open.set()
            assert right(coming[1].result(PATIENCE_S), images(number, 31))
        # A thread may still have the last that it worked at in its hands.
        wait_for(lambda: sum(type(thing) is Call for thing in gc.get_objects()) < 5)
    finally:
        gc.enable()


@pytest.mark.parametrize("waiting", [False, True])
def test_what_is_under_way_for_one_store_is_not_for_another(
    embedder: Embedder, engine: Watched, store: FeatureStore, tmp_path: Path, *, waiting: bool
) -> None:
    other = FeatureStore(str(tmp_path / "other"), tmp_path / "other index", store.space)
    engine.hold()
    first = begun(embedder, images(1), store)
    engine.wait_until_held()
    if waiting:
        engine.open.set()
        assert right(first.result(PATIENCE_S), images(1))
    second = begun(embedder, images(1), other)
    engine.open.set()
    assert cached(second.result(PATIENCE_S)) == [False]
    assert right(first.result(PATIENCE_S), images(1))
    assert engine.images == 2
    embedder.flush()
    assert (len(store), len(other)) == (1, 1)


def test_new_vectors_are_remembered_if_they_may_be(embedder: Embedder, store: FeatureStore) -> None:
    for remember, then_there in ((False, 0), (True, 1)):
        begun(embedder, images(1), store, remember=remember).result(PATIENCE_S)
        embedder.flush()
        assert len(store) == then_there


def test_what_nobody_waits_for_is_finished_and_remembered(
    make: Callable[..., Embedder], engine: Watched, store: FeatureStore
) -> None:
    embedder = make()
    engine.hold()
    assert not begun(embedder, images(1, 2), store).cancel(), "what was begun cannot be taken back"
    engine.wait_until_held()
    closing = threading.Thread(target=embedder.close)
    closing.start()
    time.sleep(0.05)
    assert closing.is_alive(), "an embedder is not closed before that"
    engine.open.set()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert len(store) == 2


def test_after_the_end_it_is_refused(make: Callable[..., Embedder], store: FeatureStore) -> None:
    embedder = make()
    embedder.close()
    with pytest.raises(EngineFailed, match="shut down"):
        soon(embedder, images(1), store)


def test_a_failure_of_the_engine_reaches_who_asked_and_passes(
    embedder: Embedder, engine: Watched, store: FeatureStore
) -> None:
    engine.failure = RuntimeError("out of memory")
    with pytest.raises(EngineFailed, match="out of memory"):
        begun(embedder, images(1), store).result(PATIENCE_S)
    engine.failure = None
    assert right(begun(embedder, images(1), store).result(PATIENCE_S), images(1))


def test_too_much_is_refused_at_once_and_leaves_nothing_behind(
    make: Callable[..., Embedder], engine: Watched, store: FeatureStore
) -> None:
    embedder = make(queue_images=2)
    engine.hold()
    first = begun(embedder, images(1, 2), store)
    with pytest.raises(Overloaded):
        soon(embedder, images(3), store)
    joined = begun(embedder, images(2), store)
    engine.open.set()
    assert right(first.result(PATIENCE_S), images(1, 2))
    assert right(joined.result(PATIENCE_S), images(2))
    assert engine.images == 2
    embedder.close()


def test_an_image_is_computed_once_whichever_way_it_is_asked_for(
    embedder: Embedder,
    engine: Watched,
    store: FeatureStore,
    elsewhere: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 0.0)

    at_once = list[int]()

    def ask(some: list[Image], number: int) -> Results:
        coming = soon(embedder, some, store) if number % 2 else None
        if coming is None:  # among others, where a view is just being replaced
            return embedder.embed(some, store, remember="now" if number % 4 else "later")
        at_once.append(number)
        return coming.result(PATIENCE_S)

    def call(number: int) -> bool:
        some = images(number // 8, number // 8 + 1)
        return right(ask(some, number), some)

    embedder.embed(images(0), store, remember="now")
    assert all(elsewhere.map(call, range(240)))
    assert engine.images == 31
    assert at_once
    wait_for(lambda: not embedder._underway)


def test_a_store_that_refuses_vectors_does_not_keep_the_answer_back(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(FeatureStore, "put", refuse)
    assert right(begun(embedder, images(1), store).result(PATIENCE_S), images(1))
    with pytest.raises(OSError, match="no space"):
        embedder.flush()
