"""Archives made in memory, read and refused."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO

import pytest

from service.archives import ArchiveLimits, Member, read_archive
from service.errors import ArchiveRejected

LIMITS = ArchiveLimits(members=100, total_bytes=10_000_000, member_bytes=1_000_000)

Files = Mapping[str, bytes]
Maker = Callable[[Files], bytes]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files: Files, kind: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            add(archive, name, data)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(data))


MAKERS: dict[str, Maker] = {
    "zip": zipped,
    "zip stored": lambda files: zipped(files, zipfile.ZIP_STORED),
    "tar": tarred,
    "tar.gz": lambda files: tarred(files, "gz"),
    "tar.bz2": lambda files: tarred(files, "bz2"),
    "tar.xz": lambda files: tarred(files, "xz"),
}

KINDS = pytest.mark.parametrize("make", MAKERS.values(), ids=list(MAKERS))


def uploaded(data: bytes) -> IO[bytes]:
    """A file as a form has it: not the same as bytes in memory, nor as an opened file."""
    file: IO[bytes] = SpooledTemporaryFile(max_size=2**20)  # noqa: SIM115 - the test ends soon
    file.write(data)
    file.seek(0)
    return file


def read(data: bytes, limits: ArchiveLimits = LIMITS) -> list[Member]:
    return list(read_archive(uploaded(data), limits))


def refused(data: bytes, limits: ArchiveLimits = LIMITS) -> ArchiveRejected:
    """The refusal, which comes before anything of the archive is given."""
    with pytest.raises(ArchiveRejected) as error:
        next(read_archive(uploaded(data), limits))
    assert error.value.hint
    return error.value
