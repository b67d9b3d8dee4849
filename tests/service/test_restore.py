"""Restores: into an empty home, alone, and all of it or nothing."""

from pathlib import Path
from typing import Any

import pytest
from in_process import settings_of
from made_up import everything_under

from features.errors import StoreUnavailable
from service.backup import RESTORING, restore, restoring
from service.errors import InvalidRequest
from service.wiring import build


def test_a_home_with_anything_in_it_is_left_alone(home: Path, backup: Path) -> None:
    before = everything_under(home)

    with pytest.raises(InvalidRequest):
        restore(settings_of(home), backup)

    assert everything_under(home) == before


@pytest.mark.parametrize("renames", range(5))
def test_an_interrupted_restore_opens_for_nobody_and_begins_again(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    empty, left = settings_of(tmp_path / "empty"), renames
    rename, rmdir = Path.rename, Path.rmdir

    def killed(path: Path, *target: Any) -> Any:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return rename(path, *target) if target else rmdir(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        patched.setattr(Path, "rmdir", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(empty, backup)

    assert (empty.home / RESTORING).is_dir()
    with pytest.raises(StoreUnavailable):
        build(empty)
    restore(empty, backup)
    build(empty).close()
    assert not (empty.home / RESTORING).exists()


def test_one_restore_at_a_time(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the first has put in place is no leftover for a second to remove."""
    empty = settings_of(tmp_path / "empty")
    put_in_place, refusals = restoring._put_in_place, list[str]()

    def interrupted(home: Path) -> None:
        with pytest.raises(InvalidRequest) as refused:
            restore(empty, backup)
        refusals.append(str(refused.value))
        put_in_place(home)

    monkeypatch.setattr(restoring, "_put_in_place", interrupted)
    manifest = restore(empty, backup)
    assert refusals
    assert "is at work" in refusals[0]
    assert {f for f in manifest.files if not (empty.home / f).is_file()} == set()


def test_a_home_that_is_opened_while_it_is_restored_is_left_alone(
    backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = settings_of(tmp_path / "empty")
    damage = restoring.refusing_damage

    def opened(backup: Path) -> Any:
        (empty.home / "catalog.sqlite").write_bytes(b"of somebody else")
        return damage(backup)

    monkeypatch.setattr(restoring, "refusing_damage", opened)
    with pytest.raises(InvalidRequest, match="is not empty"):
        restore(empty, backup)
    assert [(p.name, p.read_bytes()) for p in empty.home.iterdir()] == [
        ("catalog.sqlite", b"of somebody else")
    ]
