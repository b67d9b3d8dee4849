"""Writer, through the embedder: what is stored behind the answer, and never lost unsaid."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from embedding import PATIENCE_S, Opener, Watched, cached, images, right, wait_for

from features import writer as writer_module
from features.call import Embedded
from features.embedder import Embedder
from features.errors import (
    EngineFailed,
    StoreUnavailable,
)
from features.keys import Vectors
from features.store import FeatureStore


def test_now_is_durable_also_where_another_call_has_said_later(
    embedder: Embedder, store: FeatureStore, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    embedder.embed(images(1), store)
    assert cached(embedder.embed(images(1, 2), store, remember="now")) == [True, False]
    assert len(opener()) == 2


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


def test_whoever_waits_to_write_is_not_woken_by_every_answer(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    looks = list[bool]()
    is_due = writer_module.Writer._is_due

    def watched(writer: writer_module.Writer) -> bool:
        looks.append(is_due(writer))
        return looks[-1]

    monkeypatch.setattr(writer_module.Writer, "_is_due", watched)
    for number in range(30):
        embedder.embed(images(number), store)
    assert len(looks) <= 2


def test_enough_to_append_is_not_kept_back(
    embedder: Embedder, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LINGER_S", 1000)
    monkeypatch.setattr(writer_module, "_APPEND", 5)
    for number in range(4):
        embedder.embed(images(number), store)
    time.sleep(0.1)
    assert len(store) == 0
    embedder.embed(images(4), store)
    wait_for(lambda: len(store) == 5)
