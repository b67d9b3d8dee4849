"""FeatureStore: what it keeps, finds and erases."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, everything_under, made, name, names, one

from features import records as records_module
from features import store as store_module
from features.errors import StoreUnavailable, UnknownDigest
from features.index import unit
from features.keys import Float32, Vectors
from features.store import FeatureStore, Hit

Opener = Callable[..., FeatureStore]


def test_what_is_put_is_got_bit_by_bit(store: FeatureStore) -> None:
    vectors = made(5)
    assert store.put(names(5), vectors) == [True] * 5
    found = store.get([name(3), name(99), name(0), name(3)])
    assert set(found) == {name(3), name(0)}
    assert np.array_equal(found[name(3)].embedding, vectors.embeddings[3])
    assert np.array_equal(found[name(3)].stages, vectors.stages[3])
    assert found[name(0)].digest == name(0)
    assert len(store) == 5
    assert store.digests() == set(names(5))
    assert name(4) in store
    assert name(5) not in store


def test_rows_come_in_the_order_asked_for_and_as_often(store: FeatureStore) -> None:
    vectors = made(6)
    store.put(names(6), vectors)
    order = [5, 0, 3, 0]
    found = store.rows([name(i) for i in order])
    assert np.array_equal(found.matrix(), vectors.matrix()[order])
    assert len(store.rows([])) == 0


def test_rows_name_every_digest_that_is_unknown(store: FeatureStore) -> None:
    store.put(names(2), made(2))
    with pytest.raises(UnknownDigest) as caught:
        store.rows([name(7), name(1), name(8), name(7)])
    assert caught.value.digests == (name(7), name(8))


def test_the_first_stored_vector_wins(store: FeatureStore) -> None:
    first, second = made(2, 1), made(3, 2)
    store.put(names(2), first)
    assert store.put(names(3), second) == [False, False, True]
    assert np.array_equal(store.rows(names(2)).matrix(), first.matrix())


def test_a_digest_twice_in_one_call_is_added_once(store: FeatureStore) -> None:
    vectors = made(3)
    assert store.put([name(0), name(1), name(0)], vectors) == [True, True, False]
    assert np.array_equal(store.get([name(0)])[name(0)].embedding, vectors.embeddings[0])
    assert len(store) == 2


def test_arrays_from_the_store_cannot_be_changed(store: FeatureStore) -> None:
    store.put(names(1), made(1))
    record = store.get(names(1))[name(0)]
    for array in (record.embedding, record.stages, store.rows(names(1)).embeddings):
        with pytest.raises(ValueError, match="read-only"):
            array[..., 0] = 1


def test_putting_nothing_adds_nothing(store: FeatureStore) -> None:
    assert store.put([], made(0)) == []
    assert store.get([]) == {}


@pytest.mark.parametrize(
    ("digests", "vectors"),
    [
        (["abc"], made(1)),
        (names(2), made(1)),
        (names(1), Vectors(np.ones((1, 3), np.float32), made(1).stages)),
        (names(1), one([float("nan")])),
        (names(1), one([float("inf")])),
    ],
    ids=["no digest", "other count", "other width", "NaN", "infinite"],
)
def test_what_cannot_be_a_record_is_refused(
    store: FeatureStore, digests: list[str], vectors: Vectors
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  five different messages
        store.put(digests, vectors)
    assert len(store) == 0


def test_a_closed_store_is_not_used(store: FeatureStore) -> None:
    store.close()
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.get(names(1))
    with pytest.raises(ValueError, match="closed"):
        store.put(names(1), made(1))


def test_search_in_an_empty_store_finds_nothing(store: FeatureStore) -> None:
    assert store.search(made(1).embeddings[0], 5) == []


def test_hits_are_best_first_and_scores_are_cosines(store: FeatureStore) -> None:
    store.put(names(4), Vectors.concat([one([2, 0]), one([3, 4]), one([-5, 0]), one([0, 0])]))
    hits = store.search(one([10, 0]).embeddings[0], 10)
    assert hits == [Hit(name(0), 1.0), Hit(name(1), 0.6), Hit(name(3), 0.0), Hit(name(2), -1.0)]


def test_among_and_exclude_choose_before_the_search_and_not_after(store: FeatureStore) -> None:
    vectors = made(200)
    store.put(names(200), vectors)
    query = vectors.embeddings[0]
    worst = [hit.digest for hit in store.search(query, 200)][-3:]
    assert [hit.digest for hit in store.search(query, 3, among=worst)] == worst
    assert [h.digest for h in store.search(query, 3, among={*worst, name(999)})] == worst
    assert [hit.digest for hit in store.search(query, 3, among=worst, exclude=worst[:1])] == worst[
        1:
    ]
    assert store.search(query, 3, among=()) == []
    assert store.search(query, 1)[0].digest == name(0)
    assert store.search(query, 1, exclude=[name(0), name(999)])[0].digest != name(0)


def test_equal_scores_are_ordered_by_digest(store: FeatureStore) -> None:
    store.put(names(40), Vectors.concat([one([1, 1])] * 40))
    store.put(names(10, start=40), made(10))
    expected = sorted(names(40))[:5]
    assert [hit.digest for hit in store.search(one([1, 1]).embeddings[0], 5)] == expected


@pytest.mark.parametrize("query", [np.ones(3, np.float32), np.full(SPACE.dim, np.nan, np.float32)])
def test_a_query_that_is_no_vector_is_refused(store: FeatureStore, query: Float32) -> None:
    with pytest.raises(ValueError, match="query"):
        store.search(query, 1)


@pytest.mark.parametrize("reopened", [False, True])
def test_erased_records_are_in_no_byte_of_either_folder(
    store: FeatureStore, opener: Opener, tmp_path: Path, *, reopened: bool
) -> None:
    vectors = made(30)
    store.put(names(30), vectors)
    doomed = [name(4), name(21)]
    held = b"".join(path.read_bytes() for path in (tmp_path / "index").iterdir())
    assert vectors.matrix()[4].tobytes() in held, "the test looks for the wrong bytes"
    assert unit(vectors.embeddings)[4].tobytes() in held, "the test looks for the wrong bytes"
    store = opener() if reopened else store
    assert store.delete([*doomed, name(999), "nonsense"]) == 2
    left = everything_under(tmp_path)
    units = unit(vectors.embeddings)
    for number in (4, 21):
        assert name(number).encode() not in left
        assert bytes.fromhex(name(number)) not in left
        for vector in (vectors.embeddings[number], vectors.stages[number], units[number]):
            assert vector.tobytes()[:24] not in left
    assert store.get(doomed) == {}
    assert len(store) == 28
    assert store.check() == []
    assert not {hit.digest for hit in store.search(vectors.embeddings[4], 30)} & set(doomed)


def test_erased_records_can_be_stored_again_with_other_vectors(store: FeatureStore) -> None:
    first, second = made(3, 1), made(1, 2)
    store.put(names(3), first)
    store.delete([name(1)])
    assert store.put([name(1)], second) == [True]
    assert np.array_equal(store.rows([name(1)]).matrix(), second.matrix())
    assert store.delete([name(1)]) == 1
    assert store.delete([name(1)]) == 0


def test_a_mirror_of_mostly_erased_rows_is_renumbered(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_MANY_ERASED", 4)
    store.put(names(12), made(12))
    store.delete(names(8))
    (rows,) = (tmp_path / "index").glob("*.rows")
    assert rows.stat().st_size == 4 * 4 * SPACE.width
    assert store.digests() == set(names(4, start=8))
    assert store.check() == []


def test_what_a_killed_put_left_behind_goes_with_the_next_erasure(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.put(names(2), made(2))
    (tmp_path / "records" / "records-half-12345678.parquet").write_bytes(b"vectors of nobody")
    (tmp_path / "index" / "0123456789abcdef.rows").write_bytes(b"vectors of nobody")
    assert store.delete([name(5)]) == 0
    assert b"vectors of nobody" not in everything_under(tmp_path)
    assert len(store) == 2


def test_small_files_are_merged_as_they_come(opener: Opener, tmp_path: Path) -> None:
    store, vectors = opener(compact_after_files=4), made(23)
    for i in range(23):
        store.put([name(i)], vectors[i : i + 1])
        assert len(list((tmp_path / "records").glob("*.parquet"))) <= 5
    assert np.array_equal(store.rows(names(23)).matrix(), vectors.matrix())
    assert store.check() == []
    assert len(opener()) == 23


def test_files_grow_with_the_records_and_not_with_the_calls(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, small = 8, 3
    monkeypatch.setattr(records_module, "FILE_BYTES", full * 4 * SPACE.width)
    store, vectors, put = opener(compact_after_files=small), made(120), 0
    for some in (1, 1, 2, 3, 5, 1, 7, 4, 1, 1, 1, 2, 9, 3, 3, 3, 20, 1, 1, 5, 6, 7, 8, 1, 3, 3, 2):
        store.put(names(put + some)[put:], vectors[put : put + some])
        put += some
        files = len(list((tmp_path / "records").glob("*.parquet")))
        assert files <= put / (full / 2) + small
    assert store.check() == []


def test_small_files_that_fill_a_large_one_are_merged_however_few(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "FILE_BYTES", 8 * 4 * SPACE.width)
    store, vectors = opener(compact_after_files=64), made(24)
    for i in range(0, 24, 3):
        store.put(names(i + 3)[i:], vectors[i : i + 3])
    assert len(list((tmp_path / "records").glob("*.parquet"))) == 2 + 2  # of nine and of three
    assert store.check() == []


def test_a_merge_that_fails_does_not_fail_the_put(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise StoreUnavailable("disk", "full", hint="")

    store = opener(compact_after_files=2)
    monkeypatch.setattr(records_module.Records, "merge", refuse)
    for i in range(4):
        assert store.put([name(i)], made(1, i)) == [True]
    assert len(store) == 4


def test_compacting_leaves_one_file_and_no_erased_rows(store: FeatureStore, tmp_path: Path) -> None:
    vectors = made(6)
    for i in range(6):
        store.put([name(i)], vectors[i : i + 1])
    store.delete([name(2)])
    for _ in range(2):
        store.compact()
        assert len(list((tmp_path / "records").glob("*.parquet"))) == 1
        (rows,) = (tmp_path / "index").glob("*.rows")
        assert rows.stat().st_size == 5 * 4 * SPACE.width
        assert store.digests() == {name(i) for i in (0, 1, 3, 4, 5)}
        assert store.check() == []
