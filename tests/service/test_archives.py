"""Archives of labelled images: read whole or refused, whatever they hold."""

import io
import random
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import KINDS, MAKERS, Maker, add, read, refused, tarred, zipped

from service.archives import ArchiveLimits, Member
from service.errors import ArchiveRejected


@KINDS
def test_the_folder_is_the_label_and_the_bytes_are_those_put_in(make: Maker) -> None:
    files = {"cats/1.png": b"one", "dogs/deep/er/2.png": b"two" * 9_999, "loose.png": b"three"}
    assert read(make(files)) == [
        Member("cats/1.png", b"one", "cats", None, None),
        Member("dogs/deep/er/2.png", b"two" * 9_999, "dogs", None, None),
        Member("loose.png", b"three", None, None, None),
    ]


def test_a_tar_made_from_inside_a_folder_is_read() -> None:
    files = {"./cats/1.png": b"1", "./dogs/2.png": b"2"}
    assert [m.path for m in read(tarred(files))] == ["cats/1.png", "dogs/2.png"]


@KINDS
def test_a_large_file_is_read_one_byte_over_its_limit(make: Maker) -> None:
    limits = ArchiveLimits(members=100, total_bytes=10_000, member_bytes=100)
    assert [len(m.data) for m in read(make({"a/1": b"x" * 5_000, "a/2": b"y" * 100}), limits)] == [
        101,
        100,
    ]


def test_an_archive_in_an_archive_is_a_file_like_any_other() -> None:
    inner = zipped({"cats/1.png": b"1"})
    (member,) = read(zipped({"a/inner.zip": inner}))
    assert (member.path, member.data) == ("a/inner.zip", inner)


def test_a_tar_that_ends_in_a_zip_is_a_tar() -> None:
    inner = zipped({"cats/theirs.png": b"1"}, zipfile.ZIP_STORED)
    assert [m.path for m in read(tarred({"a/1.png": b"1", "a/inner.zip": inner}))] == [
        "a/1.png",
        "a/inner.zip",
    ]


@pytest.mark.parametrize("data", [b"", b"PK", b"not an archive", b"\x1f\x8b", bytes(2_000)])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    refused(data)


@KINDS
def test_a_truncated_archive_is_refused(make: Maker) -> None:
    noise = random.Random(0)
    whole = make({f"cats/{n}.png": noise.randbytes(3_000) for n in range(4)})
    for part in (0.1, 0.4, 0.7):
        with pytest.raises(ArchiveRejected):
            read(whole[: int(len(whole) * part)])


@pytest.mark.parametrize("cut", [0, 200])
def test_a_tar_cut_between_two_files_is_refused(cut: int) -> None:
    whole = tarred({"cats/1.png": b"1", "cats/2.png": b"2"})
    assert "too soon" in refused(whole[: 1_024 + cut]).detail


def test_a_tar_with_a_damaged_header_in_its_middle_is_refused() -> None:
    data = bytearray(tarred({"cats/1.png": b"1", "cats/2.png": b"2", "cats/3.png": b"3"}))
    data[1_024 + 150] ^= 1
    assert "damaged" in refused(bytes(data)).detail


@KINDS
def test_names_of_every_script_are_kept_and_can_be_answered_with(make: Maker) -> None:
    name = "肺炎/Größe.png"
    assert [(m.path, m.label) for m in read(make({name: b"1"}))] == [(name, "肺炎")]


def test_names_in_utf_8_that_a_zip_does_not_say_are_utf_8_are_read_so() -> None:
    """As Info-ZIP's own `zip -r` writes them."""
    name = "gr\u00f6\u00dfe/\u6f22.png"
    archive = bytearray(zipped({name: b"1"}))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.index(header) + flags + 1] &= ~0x08
    (member,) = read(bytes(archive))
    assert (member.path, member.label) == (name, "gr\u00f6\u00dfe")


def test_names_that_are_no_text_can_still_be_answered_with() -> None:
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1"
    ) as archive:
        add(archive, "caf\xe9/1.png", b"1")
    (member,) = read(buffer.getvalue())
    assert member.label is not None
    (member.path + member.label).encode()


SMALL = ArchiveLimits(members=20, total_bytes=200_000, member_bytes=50_000)


def survives(data: bytes) -> None:
    """Whatever is sent, it is read or refused, within the limits."""
    try:
        members = read(data, SMALL)
    except ArchiveRejected:
        return
    assert len(members) <= 20
    assert sum(len(m.data) for m in members) <= 200_000


@given(
    st.binary(max_size=2_000), st.sampled_from([b"", b"PK\x03\x04", b"\x1f\x8b\x08", b"\xfd7zXZ\0"])
)
@settings(max_examples=150)
def test_random_bytes_are_read_or_refused(data: bytes, magic: bytes) -> None:
    survives(magic + data)


SAMPLES = [
    make(
        {
            "cats/1.png": b"one" * 50,
            "dogs/2.png": bytes(600),
            "labels.csv": b"path,label\ncats/1.png,lion\n",
        }
    )
    for make in MAKERS.values()
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data) - 1))
        match draw(st.sampled_from(["set", "cut", "insert", "copy"])):
            case "set":
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at : at + draw(st.integers(1, 40))]
                data = data or bytearray(b"x")
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=20))
            case "copy":
                start = draw(st.integers(0, len(data) - 1))
                data[at : at + 32] = data[start : start + 32]
    return bytes(data)


@given(damaged())
@settings(max_examples=500)
def test_damaged_archives_are_read_or_refused(data: bytes) -> None:
    survives(data)


@given(st.dictionaries(st.text(max_size=30), st.binary(max_size=100), max_size=5))
@settings(max_examples=150)
def test_any_names_are_read_or_refused(files: dict[str, bytes]) -> None:
    for make in (zipped, tarred):
        try:
            data = make(files)
        except (ValueError, IndexError):  # a name that the library refuses to write
            continue
        survives(data)
