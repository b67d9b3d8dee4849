"""Records and index in step: whatever happens to the index, the answers stay the same."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, made, name, names, one

from features import records as records_module
from features.errors import SpaceMismatch, StoreDamaged, StoreUnavailable
from features.keys import Float32
from features.mirror import Mirror
from features.records import Records
from features.store import FeatureStore
from features.table import Commit, Table
from features.view import STATE

Opener = Callable[..., FeatureStore]


def test_all_is_there_after_opening_again(store: FeatureStore, opener: Opener) -> None:
    vectors = made(20)
    store.put(names(20), vectors)
    store.delete([name(3)])
    before = store.search(vectors.embeddings[7], 10)
    store.close()
    later = opener()
    kept = [i for i in range(20) if i != 3]
    assert np.array_equal(later.rows([name(i) for i in kept]).matrix(), vectors.matrix()[kept])
    assert later.search(vectors.embeddings[7], 10) == before
    assert later.check() == []


def test_opening_does_not_read_the_records_again(
    store: FeatureStore, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(names(5), made(5))
    store.close()
    monkeypatch.setattr(records_module, "read", lambda *_: pytest.fail("the records were read"))
    assert len(opener().get(names(5))) == 5


def remove_all(index: Path) -> None:
    shutil.rmtree(index)


def remove_state(index: Path) -> None:
    (index / STATE).unlink()


def tear_state(index: Path) -> None:
    (index / STATE).write_bytes((index / STATE).read_bytes()[:-7])


def empty_state(index: Path) -> None:
    (index / STATE).write_bytes(b"")


def change(kind: str, edit: Callable[[bytearray], object]) -> Callable[[Path], None]:
    def damage(index: Path) -> None:
        (path,) = index.glob(f"*.{kind}")
        data = bytearray(path.read_bytes())
        edit(data)
        path.write_bytes(data)

    damage.__name__ = f"{kind}-{edit.__name__}"
    return damage


def cut(data: bytearray) -> None:
    del data[len(data) // 300 :]


def flip(data: bytearray) -> None:
    data[11] ^= 4


def turn(data: bytearray) -> None:
    """Negate the first vector: nothing near it finds it any more."""
    for sign in range(3, 4 * SPACE.dim, 4):
        data[sign] ^= 0x80


def wipe(data: bytearray) -> None:
    data[:] = bytes(len(data))


def other_table(index: Path) -> None:
    text = (index / STATE).read_text()
    (index / STATE).write_text(text.replace('"table": "', '"table": "not-'))


DAMAGES = [
    remove_all,
    remove_state,
    tear_state,
    empty_state,
    other_table,
    *(change(kind, edit) for kind in ("keys", "rows", "units") for edit in (cut, flip, wipe)),
]


HIDES_A_RECORD = change("units", turn)
"""Found when a process first searches, not again by one that has checked the file already."""


@pytest.mark.parametrize("damage", [*DAMAGES, HIDES_A_RECORD], ids=lambda damage: damage.__name__)
def test_a_damaged_index_is_made_again_and_answers_the_same(
    store: FeatureStore, opener: Opener, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    vectors = made(60)
    store.put(names(30), vectors[:30])
    store.put(names(30, start=30), vectors[30:])
    store.delete([name(9)])
    kept = [i for i in range(60) if i != 9]
    before = [store.search(vectors.embeddings[i], 7) for i in range(5)]
    store.close()
    damage(tmp_path / "index")
    later = opener()
    found = [later.search(vectors.embeddings[i], 7) for i in range(5)]
    assert found == before
    assert np.array_equal(later.rows([name(i) for i in kept]).matrix(), vectors.matrix()[kept])
    assert later.check() == []


@pytest.mark.parametrize(
    "damage",
    [damage for damage in DAMAGES if damage is not other_table],
    ids=lambda damage: damage.__name__,
)
def test_an_index_that_is_damaged_while_in_use_gives_no_wrong_answer(
    store: FeatureStore, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    vectors = made(60)
    store.put(names(60), vectors)
    expected = store.search(vectors.embeddings[3], 7)
    store.put([name(60)], one([0, 0, 0, 1e-30]))
    damage(tmp_path / "index")
    assert np.array_equal(store.rows(names(60)).matrix(), vectors.matrix())
    assert store.search(vectors.embeddings[3], 7) == expected
    assert store.put([name(61)], made(1, 9)) == [True]
    assert len(store.rows(names(62))) == 62


def test_an_index_that_is_behind_catches_up(
    store: FeatureStore, opener: Opener, tmp_path: Path
) -> None:
    vectors = made(9)
    store.put(names(3), vectors[:3])
    store.close()
    shutil.copytree(tmp_path / "index", tmp_path / "earlier")
    later = opener()
    later.put(names(6, start=3), vectors[3:])
    later.close()
    shutil.rmtree(tmp_path / "index")
    shutil.move(tmp_path / "earlier", tmp_path / "index")
    assert np.array_equal(opener().rows(names(9)).matrix(), vectors.matrix())


@pytest.mark.parametrize("change_records", ["erased", "merged", "both, and stored again"])
def test_an_index_from_before_files_were_replaced_is_not_believed(
    store: FeatureStore, opener: Opener, tmp_path: Path, change_records: str
) -> None:
    vectors = made(3)
    for i in range(3):
        store.put([name(i)], vectors[i : i + 1])
    store.close()
    shutil.copytree(tmp_path / "index", tmp_path / "earlier")
    later = opener()
    if change_records != "merged":
        later.delete([name(1)])
    if change_records != "erased":
        later.compact()
    if change_records == "both, and stored again":
        later.put([name(1)], made(1, 5))
    expected = {digest: record.embedding for digest, record in later.get(names(3)).items()}
    later.close()
    shutil.rmtree(tmp_path / "index")
    shutil.move(tmp_path / "earlier", tmp_path / "index")
    found = opener().get(names(3))
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[d].embedding, expected[d]) for d in expected)


def test_another_space_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(SpaceMismatch):
        FeatureStore(str(tmp_path / "records"), tmp_path / "index", replace(SPACE, layer="other"))


def test_records_that_are_not_mounted_are_not_taken_for_an_empty_store(
    store: FeatureStore, opener: Opener, tmp_path: Path
) -> None:
    store.put(names(3), made(3))
    store.close()
    (tmp_path / "records").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreDamaged) as caught:
        opener()
    assert "index of 3" in caught.value.detail
    shutil.rmtree(tmp_path / "records")
    (tmp_path / "elsewhere").rename(tmp_path / "records")
    assert len(opener()) == 3


def test_a_log_that_has_lost_its_end_is_damage(
    store: FeatureStore, opener: Opener, tmp_path: Path
) -> None:
    store.put(names(1), made(1))
    store.put(names(1, start=1), made(1))
    store.close()
    (tmp_path / "records" / "_delta_log" / f"{2:020d}.json").unlink()
    with pytest.raises(StoreDamaged):
        opener()


def test_a_lost_file_of_records_is_damage_at_once(
    store: FeatureStore, opener: Opener, tmp_path: Path
) -> None:
    store.put(names(1), made(1))
    store.close()
    (path,) = (tmp_path / "records").glob("*.parquet")
    path.unlink()
    with pytest.raises(StoreDamaged):
        opener()


def test_the_same_with_another_index_folder_is_the_same_store(
    store: FeatureStore, tmp_path: Path
) -> None:
    vectors = made(4)
    store.put(names(2), vectors[:2])
    other = FeatureStore(str(tmp_path / "records"), tmp_path / "other", SPACE)
    assert other.put(names(4), vectors) == [False, False, True, True]
    assert store.put(names(4), vectors) == [False] * 4
    assert np.array_equal(store.rows(names(4)).matrix(), vectors.matrix())
    assert other.delete([name(0)]) == 1
    store.put([name(9)], made(1))
    assert name(0) not in store
    other.close()


def test_check_finds_what_differs(store: FeatureStore, tmp_path: Path) -> None:
    store.put(names(3), made(3))
    assert store.check() == []
    (rows,) = (tmp_path / "index").glob("*.rows")
    with rows.open("r+b") as file:
        file.seek(4 * SPACE.width + 8)
        file.write(b"\xff")
    (problem,) = store.check()
    assert problem.startswith("index: a row is not what was written")


def test_check_finds_damaged_records(store: FeatureStore, tmp_path: Path) -> None:
    store.put(names(3), made(3))
    (path,) = (tmp_path / "records").glob("*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any(problem.startswith("records:") for problem in store.check())
    assert len(store.get(names(3))) == 3, "what the index has is good and is served"


def test_what_another_machine_commits_in_between_is_taken_into_account(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine keeps its own lock; it has a table in an object store in common with us."""
    theirs, ours = made(1, 1), made(2, 2)
    append, calls = Records.append, []

    def late(self: Records, digests: list[str], matrix: Float32) -> Commit:
        calls.append(digests)
        if len(calls) == 1:
            append(Records(self.table.uri, SPACE), [name(0)], theirs.matrix())
        return append(self, digests, matrix)

    monkeypatch.setattr(Records, "append", late)
    assert store.put(names(2), ours) == [False, True]
    assert calls == [names(2), [name(1)]]
    assert np.array_equal(store.rows([name(0)]).matrix(), theirs.matrix())
    assert np.array_equal(store.rows([name(1)]).matrix(), ours.matrix()[1:])
    assert store.check() == []


def test_what_another_machine_merges_or_erases_in_between_is_taken_into_account(
    store: FeatureStore,
) -> None:
    vectors = made(4)
    for i in range(3):
        store.put([name(i)], vectors[i : i + 1])
    other = Records(str(store._synced.records.table.uri), SPACE)
    other.erase([name(1)])
    other.merge(other.small_files())
    other.table.sweep()
    assert store.put([name(3)], vectors[3:]) == [True]
    assert store.digests() == {name(0), name(2), name(3)}
    assert store.check() == []


@pytest.mark.parametrize("ours", ["put", "erased", "merged"])
def test_a_commit_seen_together_with_our_own_is_not_passed_over(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: str
) -> None:
    """Another machine commits right behind us, before we look again."""
    store, vectors, calls = opener(compact_after_files=2), made(5), [0]
    store.put(names(1), vectors[:1])
    store.put([name(1)], vectors[1:2])
    refresh = Table.refresh

    def late(self: Table) -> None:
        # The first look of a call is at what to start from, the second at its own commit.
        calls[0] += 1
        if calls[0] == 2:
            Records(self.uri, SPACE).append([name(4)], vectors[4:].matrix())
        refresh(self)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "refresh", late)
        if ours == "erased":
            assert store.delete([name(0)]) == 1
        else:
            assert store.put([name(2)], vectors[2:3]) == [True]
    if ours == "merged":
        store.compact()
    assert store.put([name(4)], made(1, 9)) == [False]
    assert np.array_equal(store.rows([name(4)]).matrix(), vectors[4:].matrix())
    assert store.check() == []


def test_a_digest_that_another_program_wrote_again_changes_nothing(store: FeatureStore) -> None:
    first = made(2, 1)
    store.put(names(2), first)
    Records(str(store._synced.records.table.uri), SPACE).append(names(3), made(3, 2).matrix())
    assert store.put(names(3), made(3, 3)) == [False, False, False]
    assert np.array_equal(store.rows(names(2)).matrix(), first.matrix())
    assert [problem for problem in store.check() if "repeat" not in problem] == []
    store.compact()
    assert store.check() == []


def test_a_full_disk_under_the_index_loses_nothing(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    vectors = made(3)
    store.put(names(1), vectors[:1])
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_publish", refuse)
        with pytest.raises(StoreUnavailable):
            store.put(names(2), vectors[:2])
        assert store.digests() == {name(0)}
    assert store.put(names(3), vectors) == [False, False, True]
    assert np.array_equal(store.rows(names(3)).matrix(), vectors.matrix())
    assert store.check() == []


def test_an_index_that_cannot_be_made_leaves_no_half_of_it(
    store: FeatureStore, opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    store.put(names(3), made(3))
    store.close()
    shutil.rmtree(tmp_path / "index")
    with monkeypatch.context() as patch:
        patch.setattr(Mirror, "_publish", refuse)
        with pytest.raises(StoreUnavailable):
            opener()
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["lock"]
    assert len(opener()) == 3
