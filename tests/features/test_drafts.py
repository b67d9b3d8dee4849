"""Bytes written while something else goes on: kept ones whole and durable, others gone."""

from pathlib import Path

import pytest

from features import drafts as drafts_module
from features.blobs import Blobs
from features.errors import StoreUnavailable
from features.keys import digest

CONTENTS = {digest(data): data for data in (b"one", b"two", b"three")}
KEPT, OTHER, THIRD = CONTENTS


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_only_what_is_kept_is_there_after_the_block(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.putting(CONTENTS) as keep:
        keep([KEPT, THIRD])
        assert blobs.get(KEPT) == b"one"
    assert files_under(tmp_path) == sorted([KEPT, THIRD])


def test_nothing_is_left_where_the_block_fails(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), blobs.putting(CONTENTS):
        raise ZeroDivisionError
    assert files_under(tmp_path) == []


def test_nobody_else_may_look(blobs: Blobs, tmp_path: Path) -> None:
    with blobs.putting(CONTENTS) as keep:
        keep([KEPT])
    for path in (tmp_path / "blobs").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_what_an_erasure_took_away_half_written_is_written_again(blobs: Blobs) -> None:
    with blobs.putting(CONTENTS) as keep:
        while not any(blobs.path(KEPT).parent.glob(f".{KEPT}.*")):
            pass
        blobs.delete(KEPT)
        keep([KEPT])
        assert blobs.get(KEPT) == b"one"


def test_damage_is_healed_and_what_is_sound_is_left_alone(blobs: Blobs) -> None:
    for data in CONTENTS.values():
        blobs.put(data)
    blobs.path(KEPT).write_bytes(b"ONE")
    before = blobs.path(OTHER).stat().st_ino
    with blobs.putting(CONTENTS) as keep:
        keep(list(CONTENTS))
    assert blobs.get(KEPT) == b"one"
    assert blobs.path(OTHER).stat().st_ino == before


def test_every_folder_is_flushed_after_the_names_are_in_it(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: dict[Path, bool] = {}
    place = blobs.path(KEPT)
    with blobs.putting(CONTENTS) as keep:
        monkeypatch.setattr(
            drafts_module, "flush", lambda folder: flushed.update({folder: place.exists()})
        )
        keep([KEPT])
    assert flushed == dict.fromkeys([place.parent, tmp_path / "blobs"], True)


def test_a_disk_that_refuses_is_told_before_anything_has_its_name(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    monkeypatch.setattr(drafts_module, "make_folder", lambda *_, **__: None)
    for name in CONTENTS:
        blobs.path(name).parent.mkdir(parents=True)
    with pytest.raises(StoreUnavailable), blobs.putting(CONTENTS) as keep:
        keep(list(CONTENTS))
    assert files_under(tmp_path) == []
