"""Everything hostile in an archive refuses it whole, before it costs time or memory."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import pytest
from packed import KINDS, Maker, add, read, refused, tarred, zipped

from service.archives import ArchiveLimits
from service.errors import ArchiveRejected

LARGE = ArchiveLimits(members=20_000, total_bytes=4 * 2**30, member_bytes=32 * 2**20)


@pytest.mark.parametrize(
    "name",
    [
        "../1.png",
        "cats/../../1.png",
        "cats/..",
        "/etc/1.png",
        "//host/1.png",
        "C:/1.png",
        "c:1.png",
        "cats\\1.png",
        "/".join("abcdefghijklmnopq") + ".png",
        "cats/" + "x" * 2_000,
    ],
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_name_that_leaves_its_place_refuses_the_archive(make: Maker, name: str) -> None:
    assert "name" in refused(make({"cats/ok.png": b"1", name: b"2"})).detail


def _of_windows(*names: str) -> bytes:
    """A zip as old programs on Windows write it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.create_system = 0
            archive.writestr(info, b"" if name.endswith("\\") else b"1")
    return buffer.getvalue()


def test_a_zip_may_write_its_folders_as_windows_does() -> None:
    made = _of_windows("cats\\", "cats\\1.png", "dogs\\old\\2.png")
    assert [(m.path, m.label) for m in read(made)] == [
        ("cats/1.png", "cats"),
        ("dogs/old/2.png", "dogs"),
    ]
    for name in ("..\\1.png", "cats\\..\\..\\1.png", "C:\\1.png", "\\1.png"):
        assert "name" in refused(_of_windows("cats\\2.png", name)).detail


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [["a/1", "a/1"], ["a/1", "./a/1"], ["a/1", "a//1"]])
def test_a_name_that_occurs_twice_refuses_the_archive(names: list[str]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, b"1")
    assert "twice" in refused(buffer.getvalue()).detail
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            add(archive, name, b"1")
    assert "twice" in refused(buffer.getvalue()).detail


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.GNUTYPE_SPARSE,
    ],
)
def test_a_tar_with_links_devices_or_holes_is_refused(kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add(archive, "cats/1.png", b"1")
        add(archive, "cats/2.png", type=kind, linkname="/etc/passwd")
    assert "plain file" in refused(buffer.getvalue()).detail


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_with_links_or_devices_is_refused(kind: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("cats/1.png")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert "plain file" in refused(buffer.getvalue()).detail


def test_an_encrypted_zip_is_refused() -> None:
    data = bytearray(zipped({"cats/1.png": b"1"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "without a password" in refused(bytes(data)).hint


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_in_a_way_that_has_no_limit_is_refused(method: int) -> None:
    assert "unusual" in refused(zipped({"cats/1.png": b"0" * 9_999_999}, method)).detail


@KINDS
def test_too_many_files_are_refused(make: Maker) -> None:
    files = {f"cats/{n}.png": b"1" for n in range(101)}
    assert "100 files" in refused(make(files)).detail
    assert len(read(make(dict(list(files.items())[:100])))) == 100


def test_folders_count_as_files_do() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for n in range(101):
            add(archive, f"{n}", type=tarfile.DIRTYPE)
    assert "100 files" in refused(buffer.getvalue()).detail
    assert "100 files" in refused(zipped({f"{n}/": b"" for n in range(101)})).detail


@KINDS
def test_too_many_bytes_in_all_are_refused(make: Maker) -> None:
    limits = ArchiveLimits(members=100, total_bytes=3_000, member_bytes=3_000)
    assert "3000 bytes" in refused(make({"a/1": b"x" * 2_000, "a/2": b"y" * 2_000}), limits).detail


@dataclass
class Cost:
    seconds: float
    peak_bytes: int


def cost(call: Callable[[], object]) -> Cost:
    tracemalloc.start()
    start = perf_counter()
    try:
        call()
    finally:
        seconds = perf_counter() - start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return Cost(seconds, peak)


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_bomb_is_refused_by_its_ratio_without_unpacking_it(kind: str) -> None:
    """300 MB of zeros in one member, behind a compressed stream of a few kilobytes."""
    header = tarfile.TarInfo("cats/1.png")
    header.size = 300_000_000
    packers: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    data = packers[kind](header.tobuf() + bytes(2_000_000))
    spent = cost(lambda: refused(data, LARGE))
    assert spent.seconds < 2
    assert spent.peak_bytes < 20 * 2**20


def test_a_zip_bomb_is_refused_by_its_ratio() -> None:
    data = zipped({f"a/{n}": bytes(30_000_000) for n in range(8)})
    assert len(data) < 300_000
    assert "unpacks" in refused(data, LARGE).detail


def test_a_black_picture_is_no_bomb() -> None:
    assert len(read(zipped({"a/black.bmp": bytes(3_000_000)}), LARGE)) == 1


def test_a_zip_that_lies_about_its_sizes_gives_no_more_than_it_said() -> None:
    data = bytearray(zipped({"cats/1.png": b"0" * 500_000}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 10)
    with pytest.raises(ArchiveRejected):
        read(bytes(data))


def test_a_header_that_is_a_bomb_is_refused_without_reading_it() -> None:
    """A pax header may be as long as it says, and is read whole by the library."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 3 * 2**30
    data = gzip.compress(header.tobuf() + bytes(50_000_000))
    spent = cost(lambda: refused(data, LARGE))
    assert spent.seconds < 2
    assert spent.peak_bytes < 20 * 2**20


def test_a_header_that_takes_the_library_for_ever_is_refused_before_it_is_read() -> None:
    """Python's tarfile looks for a word behind each digit of a run anew (CVE-2024-6232)."""
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 60_000
    image = tarfile.TarInfo("cats/1.png")
    padding = bytes(-header.size % 512 + 1024)
    data = header.tobuf() + b"1" * header.size + padding[:-1024] + image.tobuf() + bytes(1024)
    spent = cost(lambda: refused(gzip.compress(data), LARGE))
    assert spent.seconds < 0.5


def test_a_long_name_in_a_header_is_read() -> None:
    name = "cats/" + "ein langer Name " * 50 + "1.png"
    assert [m.path for m in read(tarred({name: b"1", "dogs/2.png": b"2"}))] == [name, "dogs/2.png"]


def test_headers_that_never_end_are_refused() -> None:
    header = tarfile.TarInfo("long")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 512
    refused(gzip.compress((header.tobuf() + b"n" * 512) * 20_000), LARGE)


def test_a_member_of_negative_size_is_refused() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        add(archive, "cats/1.png", b"1" * 1_000, pax_headers={"size": "-1024"})
        add(archive, "cats/2.png", b"1")
    assert "negative" in refused(buffer.getvalue()).detail


def test_a_zip_with_a_million_entries_is_refused_before_they_are_read() -> None:
    entry = zipped({"cats/1.png": b""})
    directory = entry[entry.index(b"PK\x01\x02") : entry.index(b"PK\x05\x06")]
    many = directory * 200_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(many), 40, 0)
    data = entry[:40] + many + end
    spent = cost(lambda: refused(data, LARGE))
    assert spent.seconds < 2
    assert spent.peak_bytes < 40 * 2**20
