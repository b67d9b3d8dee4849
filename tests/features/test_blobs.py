"""The bytes of images: kept whole, found by digest, private, and really gone when erased."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features import blobs as blobs_module
from features.blobs import Blobs
from features.errors import StoreDamaged, StoreUnavailable, UnknownDigest
from features.keys import digest

PICTURE = b"a picture"


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def everything_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=st.lists(st.binary(max_size=200), max_size=5))
def test_what_is_put_comes_back_under_its_digest(blobs: Blobs, contents: list[bytes]) -> None:
    names = [blobs.put(data) for data in contents]
    assert [digest(data) for data in contents] == names
    assert contents == [blobs.get(name) for name in names]
    assert all(map(blobs.has, names))


def test_putting_twice_keeps_one_file(blobs: Blobs, tmp_path: Path) -> None:
    assert blobs.put(PICTURE) == blobs.put(PICTURE)
    assert [digest(PICTURE)] == list(blobs.digests())
    assert sum(path.is_file() for path in tmp_path.rglob("*")) == 1


def test_digests_come_in_order_and_without_what_is_half_written(
    blobs: Blobs, tmp_path: Path
) -> None:
    names = sorted(blobs.put(bytes([i])) for i in range(20))
    shard = tmp_path / "blobs" / names[0][:2]
    (shard / f".{names[0]}.0123456789abcdef").write_bytes(PICTURE)
    assert names == list(blobs.digests())


def test_a_store_that_was_never_written_to_is_empty(blobs: Blobs) -> None:
    assert list(blobs.digests()) == []
    assert not blobs.has(digest(PICTURE))
    assert not blobs.delete(digest(PICTURE))


@pytest.mark.parametrize("name", [digest(b"unknown"), "../../etc/passwd", "", "AB" * 32])
def test_what_is_no_known_digest_is_unknown(blobs: Blobs, name: str) -> None:
    blobs.put(PICTURE)
    assert not blobs.has(name)
    assert not blobs.delete(name)
    with pytest.raises(UnknownDigest) as caught:
        blobs.get(name)
    assert caught.value.digests == (name,)


def test_deleted_bytes_are_nowhere_on_the_disk(blobs: Blobs, tmp_path: Path) -> None:
    name = blobs.put(PICTURE)
    other = blobs.put(b"another")
    path = tmp_path / "blobs" / name[:2] / name
    path.with_name(f".{name}.0123456789abcdef").write_bytes(PICTURE)
    assert blobs.delete(name)
    assert PICTURE not in everything_under(tmp_path)
    assert not blobs.delete(name)
    assert blobs.get(other) == b"another"


def test_changed_bytes_are_damage_and_not_an_answer(blobs: Blobs, tmp_path: Path) -> None:
    name = blobs.put(PICTURE)
    path = tmp_path / "blobs" / name[:2] / name
    path.write_bytes(b"A picture")
    with pytest.raises(StoreDamaged) as caught:
        blobs.get(name)
    assert caught.value.place == str(path)


def test_putting_again_heals_damage(blobs: Blobs, tmp_path: Path) -> None:
    name = blobs.put(PICTURE)
    (tmp_path / "blobs" / name[:2] / name).write_bytes(b"A picture")
    blobs.put(PICTURE)
    assert blobs.get(name) == PICTURE


def test_nobody_else_may_look(blobs: Blobs, tmp_path: Path) -> None:
    blobs.put(PICTURE)
    for path in (tmp_path / "blobs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_root_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        Blobs(tmp_path / "file" / "blobs").put(PICTURE)


def test_the_name_is_flushed_after_the_bytes_and_before_the_answer(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    path = tmp_path / "blobs" / digest(PICTURE)[:2] / digest(PICTURE)
    monkeypatch.setattr(
        blobs_module, "flush", lambda folder: flushed.append((folder.name, path.exists()))
    )
    blobs.put(PICTURE)
    assert flushed == [(path.parent.name, True)]


def test_a_write_that_fails_leaves_nothing(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    blobs.put(b"first")
    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(StoreUnavailable):
        blobs.put(PICTURE)
    assert not blobs.has(digest(PICTURE))
    assert PICTURE not in everything_under(tmp_path)


def test_an_addition_that_ends_well_is_forgotten(blobs: Blobs) -> None:
    with blobs.adding([digest(PICTURE)]):
        blobs.put(PICTURE)
        with blobs.abandoned() as names:
            assert names == set()
    with blobs.abandoned() as names:
        assert names == set()


def test_an_addition_that_fails_is_named_until_somebody_has_dealt_with_it(blobs: Blobs) -> None:
    kept_before = blobs.put(b"another")
    with pytest.raises(ZeroDivisionError), blobs.adding([digest(PICTURE), kept_before]):
        raise ZeroDivisionError

    for _ in range(2):
        with suppress(KeyError), blobs.abandoned() as names:
            assert names == {digest(PICTURE)}
            raise KeyError
    with blobs.abandoned() as names:
        assert names == {digest(PICTURE)}
    with blobs.abandoned() as names:
        assert names == set()
    assert list(blobs.digests()) == [kept_before]
