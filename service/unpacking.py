"""Zip and tar archives listed and read within limits. Knows nothing of images or labels.

Nothing is ever unpacked to disk: members are read one at a time, so a name cannot become a path.
Whatever a hostile archive may hold (traversal, links, devices, bombs, names twice) refuses it
whole, while it is listed.
"""

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from service.errors import ArchiveRejected

MAX_RATIO = 200
"""An archive that unpacks to more than this many times its size is taken for a bomb."""

SMALL_BYTES = 2**20
"""Archives below this size may hold as much as one of this size: black pictures pack well."""

MAX_DEPTH = 16
"""Folders in a member's path."""

MAX_NAME = 1_024
"""Characters in a member's path."""

HEADER_BYTES = 2**16
"""Most bytes that a tar may spend on one header."""

DIGITS = re.compile(rb"[0-9]{65}")
"""More digits in a row than any header needs. Python before 3.11.10 and 3.12.6 reads headers in a
time that grows with the square of a run of them (CVE-2024-6232), and lets nobody else work."""

HINT = "Send a zip or tar of plain files, one folder for each class."

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
ZIP_ENTRY = b"PK\x01\x02"
UTF_8 = 0x800
"""The flag of a member whose name is said to be UTF-8."""

WINDOWS = (0, 10, 11)
"""Systems on which `\\` is no part of a name: what MS-DOS, NTFS and VFAT are called in zips."""

PLAIN_FILE = 8
"""What zip calls a plain file, where it says so at all."""

UNREADABLE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, RuntimeError, struct.error, OverflowError, ValueError, LookupError),
    MemoryError,
)
"""What the standard library raises for archives that are damaged or made to hurt."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may hold.

    Args:
        members: most files and folders.
        total_bytes: most bytes that all files unpack to.
        member_bytes: most bytes of one file; larger ones are read this far plus one byte, so
            that the image check can say so.
    """

    members: int
    total_bytes: int
    member_bytes: int


class Archive(ABC):
    """A listed archive: checked names, and the bytes of each."""

    files: dict[str, Any]

    @abstractmethod
    def read(self, name: str, at_most: int) -> bytes:
        """The first bytes of a file."""

    @abstractmethod
    def close(self) -> None:
        """Closes it, but not the file that it is read from."""


def open_archive(file: IO[bytes], limits: ArchiveLimits) -> Archive:
    """A zip or tar, every member of it checked.

    Raises:
        ArchiveRejected: it holds what it must not.
        Exception: one of UNREADABLE where it is damaged, or no archive at all.
    """
    file.seek(0)
    magic = file.read(6)
    packed = file.seek(0, 2)
    file.seek(0)
    admitted = _Admitted(limits, packed)
    return _Zip(file, admitted) if magic.startswith(ZIP_MAGIC) else _Tar(file, magic, admitted)


class _Admitted:
    """Counts what an archive holds as it is listed, and refuses what goes too far."""

    def __init__(self, limits: ArchiveLimits, packed: int) -> None:
        self.limits = limits
        self.files: dict[str, Any] = {}
        self._unpacked_most = min(limits.total_bytes, MAX_RATIO * max(packed, SMALL_BYTES))
        self._entries = 0
        self._bytes = 0

    def entry(self) -> None:
        """One more file, folder or whatever."""
        self._entries += 1
        if self._entries > self.limits.members:
            raise ArchiveRejected(f"More than {self.limits.members} files.", hint=HINT)

    def file(self, name: str, size: int, info: object) -> None:
        """One more plain file."""
        clean = _checked(name)
        if size < 0:
            raise ArchiveRejected(f"'{clean[:100]}' has a negative size.", hint=HINT)
        if clean in self.files:
            raise ArchiveRejected(f"The name '{clean[:100]}' occurs twice.", hint=HINT)
        self._bytes += size
        if self._bytes > self._unpacked_most:
            raise ArchiveRejected(
                f"It unpacks to more than {self._unpacked_most} bytes.", hint="Send it in parts."
            )
        self.files[clean] = info


class _Zip(Archive):
    def __init__(self, file: IO[bytes], admitted: _Admitted) -> None:
        for _ in range(_occurrences(file, ZIP_ENTRY)):  # before they are all read into memory
            admitted.entry()
        self._zip = zipfile.ZipFile(file)
        for info in self._zip.infolist():
            name = _name(info)
            if not name.endswith("/"):
                _check_zip_member(info)
                admitted.file(name, info.file_size, info)
        self.files = admitted.files

    def read(self, name: str, at_most: int) -> bytes:
        with self._zip.open(self.files[name]) as member:
            return member.read(at_most)

    def close(self) -> None:
        self._zip.close()


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a member; many programs write UTF-8 without saying so."""
    name = info.filename
    if not info.flag_bits & UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/") if info.create_system in WINDOWS else name


class _Tar(Archive):
    def __init__(self, file: IO[bytes], magic: bytes, admitted: _Admitted) -> None:
        limits = admitted.limits
        passes = 4 * (limits.total_bytes + limits.members * 8 * tarfile.BLOCKSIZE)
        self._stream = _Bounded(_decompressed(file, magic), passes)
        # A name that is not text must stay one that can be answered with.
        self._tar = tarfile.open(fileobj=self._stream, mode="r:", errors="replace")  # noqa: SIM115 - closed by close()
        for info in self._tar:
            admitted.entry()
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise ArchiveRejected(f"'{info.name[:100]}' is not a plain file.", hint=HINT)
            admitted.file(info.name, info.size, info)
        self._check_end()
        self.files = admitted.files

    def _check_end(self) -> None:
        """The library takes a damaged header in the middle for the end, and says nothing."""
        self._stream.seek(self._tar.offset)
        if self._stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise ArchiveRejected(
                "The tar is damaged or ends too soon.", hint="Make it again, or send a zip."
            )

    def read(self, name: str, at_most: int) -> bytes:
        member = self._tar.extractfile(self.files[name])
        assert member is not None  # noqa: S101 - only plain files were listed
        self._stream.at_once = at_most + HEADER_BYTES
        return bytes(member.read(at_most))

    def close(self) -> None:
        self._tar.close()


class _Bounded(io.RawIOBase):
    """A stream that gives no more than it may, at once and in all: headers can lie about sizes."""

    def __init__(self, stream: IO[bytes], in_all: int) -> None:
        self.at_once = HEADER_BYTES
        self._stream = stream
        self._left = in_all

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= self.at_once:
            raise ArchiveRejected("A header of the archive is too long.", hint=HINT)
        data = self._stream.read(size)
        self._spend(len(data))
        is_header = size > tarfile.BLOCKSIZE and self.at_once == HEADER_BYTES
        if is_header and DIGITS.search(data):
            raise ArchiveRejected("A header of the archive makes no sense.", hint=HINT)
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        # Going back in a packed stream means unpacking it from its start.
        position = self._stream.tell()
        self._spend(offset - position if offset >= position else offset)
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ArchiveRejected("It unpacks too far.", hint=HINT)


def _decompressed(file: IO[bytes], magic: bytes) -> IO[bytes]:
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    if magic.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if magic.startswith((b"\xfd7zXZ", b"]\x00\x00")):
        return lzma.LZMAFile(file)
    return file


def _check_zip_member(info: zipfile.ZipInfo) -> None:
    name = info.filename[:100]
    if info.external_attr >> 28 not in (0, PLAIN_FILE):  # links, devices, pipes
        raise ArchiveRejected(f"'{name}' is not a plain file.", hint=HINT)
    if info.flag_bits & 1:
        raise ArchiveRejected(f"'{name}' is encrypted.", hint="Send it without a password.")
    # The library unpacks the other methods without a limit.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveRejected(f"'{name}' is packed in an unusual way.", hint="Use deflate.")


def _occurrences(file: IO[bytes], signature: bytes) -> int:
    count, tail = 0, b""
    while chunk := file.read(2**20):
        count += (tail + chunk).count(signature)
        tail = chunk[1 - len(signature) :]
    file.seek(0)
    return count


def _checked(name: str) -> str:
    path = PurePosixPath(name)
    hostile = (
        name.startswith("/")
        or not path.parts
        or ".." in path.parts
        or len(path.parts) > MAX_DEPTH
        or len(name) > MAX_NAME
        or any(c in "\\\x00\ufffe" or "\ud800" <= c <= "\udfff" for c in name)
        or path.parts[0][1:2] == ":"
    )
    if hostile:
        raise ArchiveRejected(f"The name {name[:100]!a} is not allowed.", hint=HINT)
    return str(path)
