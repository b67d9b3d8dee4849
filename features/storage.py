"""Where the files of a table lie: a folder of this machine, or an object store.

Of the log it knows only which of its files belong to a version.
"""

import io
import os
import re
import zlib
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.fs import DeltaStorageHandler

from features.disk import append, create, flush, reaching
from features.errors import StoreDamaged

LOG = "_delta_log"

_LOG_ENTRY = re.compile(r"(\d{20})\.(json|checkpoint.*\.parquet)")


class Sink(io.RawIOBase):
    """A file that grows from front to back, and goes again when it is closed before it is kept.

    `crc` is the CRC-32 of the bytes so far, `size` their number. Raises OSError when it cannot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crc, self.size = 0, 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401  the standard library's own type of a buffer
        """Write all of these bytes behind those that are there."""
        view = memoryview(data)
        self.crc = zlib.crc32(view, self.crc)
        self.size += view.nbytes
        self._append(view)
        return view.nbytes

    @abstractmethod
    def keep(self, name: str) -> None:
        """Give the file its name, which no other has; `settle` makes it durable, the bytes are."""

    @abstractmethod
    def _append(self, data: memoryview) -> None: ...


class Storage(Protocol):
    """Files by name. Raises OSError when it cannot."""

    def open(self, name: str) -> pa.NativeFile:
        """Open a file for reading; FileNotFoundError if there is none."""

    def begin(self, draft: str) -> Sink:
        """Begin a file, under a name that no other has until it is kept."""

    def settle(self) -> None:
        """Return once all files written or deleted so far have reached the disk, names too."""

    def delete(self, names: Iterable[str]) -> None:
        """Delete files; those that do not exist are deleted already."""


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, name: str) -> pa.NativeFile:
        """See `Storage`."""
        return pa.OSFile(str(self._path / name))

    def begin(self, draft: str) -> Sink:
        """See `Storage`."""
        return _InFolder(self._path, draft)

    def settle(self) -> None:
        """See `Storage`."""
        flush(self._path)

    def delete(self, names: Iterable[str]) -> None:
        """See `Storage`."""
        for name in names:
            (self._path / name).unlink(missing_ok=True)


class ObjectStore:
    """The object store of a Delta table, reached as its library reaches it."""

    def __init__(self, table: DeltaTable) -> None:
        # The one way to the library's own storage and its credentials. Its streams are used
        # without Arrow's wrapper, which hands them buffers that they refuse.
        handler = DeltaStorageHandler.from_table(table._table)  # noqa: SLF001
        self._handler = handler._handler  # noqa: SLF001

    def open(self, name: str) -> pa.NativeFile:
        """See `Storage`."""
        return pa.PythonFile(self._handler.open_input_file(name), "r")

    def begin(self, draft: str) -> Sink:  # noqa: ARG002  what is kept in memory needs no name
        """See `Storage`."""
        return _InStore(self._handler)

    def settle(self) -> None:
        """Do nothing: what an object store has accepted is durable."""

    def delete(self, names: Iterable[str]) -> None:
        """See `Storage`."""
        for name in names:
            self._handler.delete_file(name)


class _InFolder(Sink):
    """A file of this machine."""

    def __init__(self, folder: Path, draft: str) -> None:
        super().__init__()
        self._folder, self._draft = folder, folder / draft
        self._descriptor = create(self._draft, b"")

    def keep(self, name: str) -> None:
        os.fsync(self._descriptor)
        self._draft.rename(self._folder / name)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
            self._draft.unlink(missing_ok=True)
        super().close()

    def _append(self, data: memoryview) -> None:
        append(self._descriptor, data)


class _InStore(Sink):
    """A file of an object store. Held in memory: there nothing gets another name later."""

    def __init__(self, handler: Any) -> None:  # noqa: ANN401  the Delta library publishes no type
        super().__init__()
        self._handler, self._held = handler, bytearray()

    def keep(self, name: str) -> None:
        stream = self._handler.open_output_stream(name, None)
        stream.write(bytes(self._held))
        stream.close()

    def _append(self, data: memoryview) -> None:
        self._held += data


def local_folder(uri: str) -> Path | None:
    """Return the absolute folder a URI names, or None if it names an object store."""
    if uri.startswith("file://"):
        return Path(unquote(urlsplit(uri).path))
    return None if "://" in uri else Path(uri).absolute()


def newest_version(folder: Path) -> set[str]:
    """Name the files that are the table in a local folder at its newest version, log and data.

    None of them ever changes: copies of all of them are that version, whatever is written
    meanwhile. One that is gone by then was removed by a newer version: ask again.

    Raises:
        StoreDamaged: the folder holds no table that can be read.
    """
    with reaching(folder):
        try:
            if not DeltaTable.is_deltatable(str(folder)):
                return set()  # it is only just being made
            table = DeltaTable(str(folder))
            data = table.get_add_actions().column("path").to_pylist()
        except DeltaError as error:
            hint = "`penultimate doctor` examines it; vectors can be made again from the images."
            raise StoreDamaged(str(folder), first_line(str(error)), hint=hint) from error
        names = [path.name for path in (folder / LOG).iterdir()]
    found = ((name, _LOG_ENTRY.fullmatch(name)) for name in names)
    entries = {
        f"{LOG}/{name}" for name, entry in found if entry and int(entry[1]) <= table.version()
    }
    return entries.union(named(path, str(folder)) for path in data)


def named(path: str, uri: str) -> str:
    """Return the file that a path of the log means: one in the table's own folder.

    Raises:
        StoreDamaged: it lies elsewhere. What is named there is read, and one day deleted.
    """
    name = unquote(path)
    if "://" in name or name.startswith("/") or ".." in name.split("/"):
        hint = "Restore it from a backup; vectors can also be made again from the images."
        raise StoreDamaged(
            uri, f"the log names {name[:100]}, which is not in its folder", hint=hint
        )
    return name


def first_line(text: str) -> str:
    """Return the first line of what a library says."""
    return text.strip().partition("\n")[0]
