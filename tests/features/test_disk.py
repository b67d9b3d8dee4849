"""Files that are whole or not there, and refusals of the system in our own words."""

import errno
import os
from pathlib import Path

import pytest

from features.disk import make_folder, reaching, write_new
from features.errors import StoreUnavailable


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "Free some space"), (errno.EROFS, "Let the user"), (errno.EIO, "Check")],
)
def test_a_refusal_says_where_why_and_what_to_do(number: int, advice: str) -> None:
    with pytest.raises(StoreUnavailable) as caught, reaching(Path("folder")):
        raise OSError(number, "as the system says it")
    assert caught.value.place == "folder"
    assert caught.value.detail == os.strerror(number)
    assert caught.value.hint.startswith(advice)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), reaching("folder"):
        raise KeyError


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    write_new(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"


def test_a_file_that_cannot_be_flushed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="broken"):
        write_new(tmp_path / "file", b"bytes")
    assert not (tmp_path / "file").exists()


def test_new_folders_are_private_and_old_ones_stay_as_they_are(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
