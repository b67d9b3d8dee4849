"""Files that grow before they have a name: whole under it, or not there."""

import errno
import os
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.storage import Folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@given(parts=st.lists(st.binary(max_size=50)))
def test_what_is_kept_is_what_was_written(
    parts: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, whole = tmp_path_factory.mktemp("table"), b"".join(parts)
    with Folder(folder).begin("draft") as sink:
        assert [sink.write(part) for part in parts] == list(map(len, parts))
        sink.keep("name")
    assert files(folder) == {"name": whole}
    assert (sink.size, sink.crc) == (len(whole), zlib.crc32(whole))


def test_what_is_not_kept_is_not_there(tmp_path: Path) -> None:
    with Folder(tmp_path).begin("draft") as sink:
        sink.write(b"half")
        assert files(tmp_path) == {"draft": b"half"}
    assert files(tmp_path) == {}


def test_it_is_private_and_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(list(files(tmp_path))))
    with Folder(tmp_path).begin("draft") as sink:
        sink.write(b"bytes")
        sink.keep("name")
    assert seen == [["draft"]]
    assert (tmp_path / "name").stat().st_mode & 0o777 == 0o600


def test_no_draft_takes_the_place_of_another(tmp_path: Path) -> None:
    storage = Folder(tmp_path)
    with storage.begin("draft") as first:
        first.write(b"first")
        with pytest.raises(FileExistsError):
            storage.begin("draft")
        first.keep("name")
    assert files(tmp_path) == {"name": b"first"}


def refused(_: Any) -> None:
    raise OSError(errno.EIO, "broken")


def test_a_file_that_cannot_be_flushed_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refused)
    with Folder(tmp_path).begin("draft") as sink:
        sink.write(b"bytes")
        with pytest.raises(OSError, match="broken"):
            sink.keep("name")
    assert files(tmp_path) == {}


def test_its_descriptor_is_given_back_once(tmp_path: Path) -> None:
    sink = Folder(tmp_path).begin("draft")
    sink.close()
    with (tmp_path / "other").open("wb") as other:
        sink.close()
        other.write(b"still open")
    assert files(tmp_path) == {"other": b"still open"}
