"""What the names and tables in an archive say of its images. Knows nothing of zip, tar or bytes.

The folder of an image is its label. `labels.csv` (`path,label,group`, optionally `split`) goes
before the folders; `groups.csv` (`path,group`) and `split.csv` (`path,split`) say the rest. A
validation split is the test split where there is no other.
"""

import csv
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from service.errors import ArchiveRejected
from service.rows import clean_path, composed, stand_in_for_test

LABELS_FILE = "labels.csv"

TABLES = ("groups.csv", "split.csv", LABELS_FILE)
"""Tables that are read; what a later one says goes before an earlier one."""

SIDECARS = {*TABLES, "meta.csv", "Thumbs.db", "desktop.ini"}
"""Files that lie beside images and are none."""

NOTES = {".csv", ".doc", ".docx", ".htm", ".html", ".json", ".md", ".pdf", ".rtf", ".tsv", ".txt"}
"""How names of files end that people put beside images, and that are none."""

COLUMNS = ("label", "group", "split")

Rows = dict[str, dict[str, str]]
"""Path → column → what a table says, empty cells left out."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of one image.

    Args:
        path: its name below the folder that holds the classes.
        label, group, split: None where nothing is said.
    """

    path: str
    label: str | None
    group: str | None
    split: str | None


def find_tables(names: Collection[str]) -> list[str]:
    """The tables of an archive, in the order in which they are to be read.

    Raises:
        ArchiveRejected: one occurs in several folders, so that none can be the right one.
    """
    found = []
    for table in TABLES:
        places = [n for n in names if PurePosixPath(n).name == table and not _hidden(n)]
        if len(places) > 1:
            raise ArchiveRejected(
                f"{table} occurs {len(places)} times.", hint="Put one beside the class folders."
            )
        found += places
    return found


def arrange(names: Sequence[str], tables: Mapping[str, Rows]) -> dict[str, Said]:
    """Name → what is said of it, for every file that may be an image, in order.

    Args:
        names: every file of the archive.
        tables: those that `find_tables` found, read.

    Raises:
        ArchiveRejected: there is none, or a table speaks of none of them.
    """
    candidates = _candidates(names)
    if not candidates:
        raise ArchiveRejected(
            "The archive holds no images.", hint="Put them in one folder for each class."
        )
    root = _root(candidates, tables)
    rows: dict[str, dict[str, str]] = {name: {} for name in candidates}
    for table, said in tables.items():
        beside = PurePosixPath(table).parent
        matched = 0
        for name in candidates:
            row = next((said[key] for key in _keys(name, beside, root) if key in said), None)
            matched += row is not None
            rows[name] |= row or {}
        if said and not matched:
            raise ArchiveRejected(
                f"{table} speaks of '{next(iter(said))[:100]}', but of no file in the archive.",
                hint=f"Its paths must be those below the classes' folder, as in "
                f"'{_below(candidates[0], root)}'.",
            )
    held_out = stand_in_for_test(row.get("split") for row in rows.values())
    for row in rows.values():
        if held_out is not None and row.get("split") == held_out:
            row["split"] = "test"
    return {name: _said(name, root, row) for name, row in rows.items()}


def unmatched(names: Sequence[str], tables: Mapping[str, Rows]) -> list[str]:
    """Paths that tables speak of and that are no file's: what they say is lost.

    Args:
        names: every file of the archive.
        tables: those that `find_tables` found, read.
    """
    candidates = _candidates(names)
    root = _root(candidates, tables)
    lost: dict[str, None] = {}
    for table, said in tables.items():
        beside = PurePosixPath(table).parent
        known = {key for name in candidates for key in _keys(name, beside, root)}
        lost |= dict.fromkeys(path for path in said if path not in known)
    return list(lost)


def parse_table(table: str, data: bytes) -> Rows:
    """Reads a table: its first line names the columns, `path` and at least one more.

    Raises:
        ArchiveRejected: it is not such a table, or says two things of one path.
    """
    try:
        text = data.decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [name.strip().lower() for name in next(lines, [])]
        rows: Rows = {}
        for cells in lines:
            if any(cells[len(header) :]):
                raise ArchiveRejected(
                    f"{table} has a row with more cells than columns: '{','.join(cells)[:100]}'.",
                    hint="Put text that holds a comma between quotation marks.",
                )
            cell = dict(zip(header, map(str.strip, cells), strict=False))
            path = clean_path(cell.get("path", ""))
            row = {name: cell[name] for name in COLUMNS if cell.get(name)}
            if path and rows.setdefault(path, row) != row:
                raise ArchiveRejected(
                    f"{table} says two things of '{path[:100]}'.", hint="Leave one row for each."
                )
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArchiveRejected(f"{table} is no CSV: {error}.", hint="Save it as UTF-8.") from error
    if "path" not in header or not set(COLUMNS) & set(header):
        raise ArchiveRejected(
            f"{table} has the columns '{', '.join(header)[:100]}'.",
            hint="Its first line must be path,label,group (any but path may be absent).",
        )
    return rows


def _candidates(names: Sequence[str]) -> list[str]:
    """The files that may be images."""
    return [n for n in names if not _hidden(n) and PurePosixPath(n).name not in SIDECARS]


def _root(names: Sequence[str], tables: Iterable[str]) -> PurePosixPath:
    """The folder that holds the class folders: archives are often made of one folder outside."""
    for folder in {PurePosixPath(table).parent for table in tables} - {PurePosixPath()}:
        if all(folder in PurePosixPath(n).parents for n in names):
            return folder
    # A note beside the class folders says nothing of what is a class.
    parts = [PurePosixPath(n).parts for n in names if PurePosixPath(n).suffix.lower() not in NOTES]
    nested = all(len(p) > 2 for p in parts)  # noqa: PLR2004 - root, class, file
    if nested and len({p[0] for p in parts}) == 1:
        return PurePosixPath(parts[0][0])
    return PurePosixPath()


def _keys(name: str, *folders: PurePosixPath) -> list[str]:
    """How a table may call a file: by its whole name, or from a folder above it."""
    path = PurePosixPath(name)
    keys = [name, *(str(path.relative_to(f)) for f in folders if f in path.parents)]
    return [composed(key) for key in keys]


def _said(name: str, root: PurePosixPath, row: Mapping[str, str]) -> Said:
    inside = _below(name, root)
    folder = inside.parts[0] if len(inside.parts) > 1 else None
    return Said(str(inside), row.get("label") or folder, row.get("group"), row.get("split"))


def _below(name: str, root: PurePosixPath) -> PurePosixPath:
    """A name from the classes' folder on; whole where it lies outside, as a note may."""
    path = PurePosixPath(name)
    return path.relative_to(root) if root in path.parents else path


def _hidden(name: str) -> bool:
    return any(p.startswith(".") or p == "__MACOSX" for p in PurePosixPath(name).parts)
