"""Embedder: every image once, in order, whatever happens to its neighbours."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from embedding import PATIENCE_S, Notes, Opener, Watched, cached, images, right
from made_up import SPACE, made

from features import writer as writer_module
from features.call import Embedded
from features.embedder import Embedder
from features.errors import (
    EngineFailed,
    ImageRejected,
    SpaceMismatch,
)
from features.keys import UInt8, Vectors, digest
from features.store import FeatureStore, Record


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
    digests = [digest(data) for _, data in sent]
    assert embedder.known(digests, store) is None
    embedder.embed(sent[:1], store, remember="now")
    assert embedder.known(digests, store) is None, "only all of them or none"
    embedder.embed(sent, store, remember="now")
    engine.hold()
    with store._synced._lock:  # a writer is at work
        found = embedder.known(digests, store)
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
    one = digest(sent[0][1])
    other.delete([one])
    assert embedder.known([one], store) is None
    assert cached(embedder.embed(sent, store, remember="now")) == [False]
    assert embedder.known([one], store) is not None


def test_now_is_durable_before_the_answer(
    embedder: Embedder, store: FeatureStore, opener: Opener
) -> None:
    embedder.embed(images(1, 2), store, remember="now")
    assert len(opener()) == 2


def test_no_keeps_nothing(embedder: Embedder, engine: Watched, store: FeatureStore) -> None:
    for _ in range(2):
        assert cached(embedder.embed(images(1), store, remember="no")) == [False]
    embedder.flush()
    assert len(store) == 0
    assert engine.images == 2


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
    ((_, data),) = images(1)
    for ask in (
        partial(embedder.embed, images(1), store),
        partial(embedder.embed_soon, images(1), store, remember=False, digests=[digest(data)]),
    ):
        with pytest.raises(SpaceMismatch) as caught:
            ask()
        assert (caught.value.expected, caught.value.found) == (other.id, SPACE.id)
    store.close()


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
