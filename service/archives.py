"""Archives of labelled images: each file with what its folder and the tables say of it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO

from service.errors import ArchiveRejected
from service.layout import Rows, arrange, find_tables, parse_table, unmatched
from service.unpacking import HINT, UNREADABLE, Archive, ArchiveLimits, open_archive

__all__ = ["ArchiveLimits", "Member", "read_archive"]

MAX_TABLE_BYTES = 32 * 2**20
"""Bytes of a table such as labels.csv."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive with what the archive says of it."""

    path: str
    data: bytes
    label: str | None
    group: str | None
    split: str | None


def read_archive(
    file: IO[bytes], limits: ArchiveLimits, lost: list[str] | None = None
) -> Iterator[Member]:
    """The files of an archive with their labels, in the archive's order.

    Every name is checked before the first file is given.

    Args:
        file: a seekable zip or tar (plain, gzip, bzip2 or xz).
        limits: what it may hold.
        lost: is given the paths that its tables speak of and that are no file's.

    Raises:
        ArchiveRejected: it is no archive, or holds what it must not.
    """
    with _refusing("It is neither a zip nor a tar archive, or damaged"):
        archive = open_archive(file, limits)
    with closing(archive):
        tables = {name: _table(archive, name) for name in find_tables(archive.files)}
        names = list(archive.files)
        arranged = arrange(names, tables)
        if lost is not None:
            lost += unmatched(names, tables)
        for name, said in arranged.items():
            with _refusing("The archive cannot be read"):
                data = archive.read(name, limits.member_bytes + 1)
            yield Member(said.path, data, said.label, said.group, said.split)


def _table(archive: Archive, name: str) -> Rows:
    with _refusing(f"{name} cannot be read"):
        data = archive.read(name, MAX_TABLE_BYTES + 1)
    if len(data) > MAX_TABLE_BYTES:
        raise ArchiveRejected(f"{name} is larger than {MAX_TABLE_BYTES} bytes.", hint=HINT)
    return parse_table(name, data)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        raise ArchiveRejected(f"{what}: {error}.", hint=HINT) from error
