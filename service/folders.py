"""Folders of labelled images on disk: one folder for each class, and the CSVs beside them.

Reads names, not images; knows nothing of datasets, requests or heads.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from service.client_errors import FolderUnusable
from service.rows import VALIDATION, composed, stand_in_for_test
from service.tables import read_column, read_rows

LABELS_FILE = "labels.csv"
"""`path,label` and maybe `group` and `split`; its rows go before what the folders say."""

UNUSED_UNLESS_ASKED = {"groups.csv": "--groups", "split.csv": "--splits"}
"""Files that may lie in the folder, and what uses them."""

NO_IMAGES = {LABELS_FILE, *UNUSED_UNLESS_ASKED, "meta.csv", "Thumbs.db", "desktop.ini"}
"""Files that lie beside images and are none."""

SHOWN = 3
"""Names that a message gives as examples."""

LAYOUT = (
    "Make one folder for each class, as in FOLDER/healthy/1.png and FOLDER/ill/2.png, or give "
    "labels in a CSV `path,label`."
)

SPLIT_FOLDERS = VALIDATION | {"train", "training", "test", "testing"}
"""Names of folders that say when an image is used, and not what it shows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a folder, and what is said of it.

    Args:
        path: where it is.
        name: its path below the folder, with `/`.
        label, group, split: None where nothing is said.
    """

    path: Path
    name: str
    label: str | None = None
    group: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that was read.

    Args:
        root: where it is.
        entries: its files, by name; the labelled ones, unless it was read as unlabelled.
        notes: what its owner should know: files left out, names that match nothing.
    """

    root: Path
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> Counter[str]:
        """Files for each label."""
        return Counter(e.label for e in self.entries if e.label is not None)


def read_folder(
    root: str | os.PathLike[str],
    *,
    groups: str | os.PathLike[str] | None = None,
    splits: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    unlabelled: bool = False,
) -> Folder:
    """Lists the images of a folder with their labels, groups and splits.

    The class of a file is the first folder below `root`; whatever lies deeper belongs to it.

    Args:
        root: the folder.
        groups: CSV `path,group`; looked for here, then in the folder.
        splits: CSV `path,split`, likewise; a split is `train` or `test`.
        labels: CSV `path,label[,group][,split]`, likewise; `labels.csv` in the folder is used
            where none is given.
        unlabelled: the images have no labels yet but those of `labels`: no folder is a class.

    Raises:
        FolderUnusable: there is no such folder, it holds no classes, or a CSV cannot be read.
    """
    root = _existing(Path(root))
    others = NO_IMAGES | {Path(table).name for table in (labels, groups, splits) if table}
    files = {name: path for name, path in _walk(root) if path.name not in others}
    own = root / LABELS_FILE
    table = _find(root, labels) if labels is not None else own if own.is_file() else None
    rows = read_rows(table, ("label",), ("group", "split")) if table is not None else {}
    entries = [
        _entry(name, path, rows.get(composed(name), {}), by_folder=not unlabelled)
        for name, path in sorted(files.items())
    ]
    notes = _unused(root, {"groups.csv": groups, "split.csv": splits})
    if not unlabelled:
        notes += _left_out(entries)
        entries = [e for e in entries if e.label is not None]
    if table is not None:
        notes += _labelled(root, table, rows, files)
    if not entries:
        raise FolderUnusable(_why_empty(root, files), hint=LAYOUT)
    _refuse_splits(root, entries)
    if groups is not None:
        entries = _with_column(root, entries, "group", groups, notes)
    if splits is not None:
        entries = _with_column(root, entries, "split", splits, notes)
    return Folder(root, tuple(_with_sides(entries, notes)), tuple(notes))


def find_images(root: Path) -> Iterator[Path]:
    """Every file below a folder that may be an image, by name; hidden ones are left out."""
    return (path for _, path in sorted(_walk(root)) if path.name not in NO_IMAGES)


def _refuse_splits(root: Path, entries: list[Entry]) -> None:
    found = {e.label for e in entries if e.label is not None}
    if len(found) > 1 and {label.casefold() for label in found} <= SPLIT_FOLDERS:
        raise FolderUnusable(
            f"The folders of '{root}' look like splits, not classes: {', '.join(sorted(found))}.",
            hint="Name the folder inside, or say more in CSV files: --labels and --splits.",
        )


def _existing(root: Path) -> Path:
    if root.is_dir():
        return root
    if root.exists():
        raise FolderUnusable(f"'{root}' is a file, not a folder.", hint=LAYOUT)
    raise FolderUnusable(f"There is no folder '{root}'.", hint="Check its name.")


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of every file that is not hidden; links are followed, but never in a circle."""
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(root, followlinks=True, onerror=_refuse_unreadable):
        status = Path(place).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = [f for f in folders if not f.startswith(".") and f != "__MACOSX"]
        for file in files:
            if not file.startswith("."):
                path = Path(place, file)
                yield path.relative_to(root).as_posix(), path


def _refuse_unreadable(error: OSError) -> None:
    raise FolderUnusable(
        f"'{error.filename}' cannot be read: {error.strerror}.", hint="Check its permissions."
    ) from error


def _entry(name: str, path: Path, row: Mapping[str, str], *, by_folder: bool) -> Entry:
    folder = name.partition("/")[0] if "/" in name and by_folder else None
    label = row.get("label") or folder
    return Entry(path, name, label, row.get("group") or None, row.get("split") or None)


def _unused(root: Path, given: Mapping[str, object]) -> list[str]:
    return [
        f"{file} lies in the folder but is not used; {option} {file} uses it."
        for file, option in UNUSED_UNLESS_ASKED.items()
        if given[file] is None and (root / file).is_file()
    ]


def _left_out(entries: list[Entry]) -> list[str]:
    outside = [e.name for e in entries if e.label is None]
    if not outside:
        return []
    return [f"{_files(len(outside))} outside any class folder left out: {_few(outside)}."]


def _labelled(
    root: Path, table: Path, rows: Mapping[str, Mapping[str, str]], files: Mapping[str, Path]
) -> list[str]:
    named = [name for name in files if composed(name) in rows]
    if files and not named:
        raise FolderUnusable(
            f"{table} names none of the {_files(len(files))} in '{root}'; its first path is "
            f"'{next(iter(rows), '')}'.",
            hint=f"Its paths must be those below the folder, as in '{next(iter(files))}'.",
        )
    empty = sorted(name for name in named if not rows[composed(name)].get("label"))
    said = [f"{table.name} gives the labels of {_files(len(named) - len(empty))}."]
    if empty:
        said.append(f"{_files(len(empty))} without a label in {table.name}: {_few(empty)}.")
    return said + _unmatched(table, rows, files)


def _why_empty(root: Path, files: Mapping[str, Path]) -> str:
    if files:
        return f"'{root}' has {_files(len(files))}, but no class folders with images."
    return f"'{root}' has no images."


def _with_column(
    root: Path,
    entries: list[Entry],
    column: Literal["group", "split"],
    given: str | os.PathLike[str],
    notes: list[str],
) -> list[Entry]:
    table = _find(root, given)
    said = read_column(table, column)
    notes += _unmatched(table, said, {e.name: e.path for e in entries})
    told = [_told(e, column, said.get(composed(e.name))) for e in entries]
    without = [e.name for e in told if getattr(e, column) is None]
    if len(without) == len(told):
        raise FolderUnusable(
            f"{table} names none of the {_files(len(told))} in '{root}'.",
            hint=f"Its paths must be those below the folder, as in '{told[0].name}'.",
        )
    if without:
        notes.append(f"{_files(len(without))} without a {column} in {table.name}: {_few(without)}.")
    return told


def _told(entry: Entry, column: Literal["group", "split"], value: str | None) -> Entry:
    if value is None:
        return entry
    return replace(entry, group=value) if column == "group" else replace(entry, split=value)


def _unmatched(table: Path, rows: Mapping[str, object], files: Mapping[str, Path]) -> list[str]:
    known = {composed(name) for name in files}
    strangers = [name for name in rows if name not in known]
    if not strangers:
        return []
    return [
        f"{len(strangers)} of {len(rows)} paths in {table.name} match no file: {_few(strangers)}."
    ]


def _find(root: Path, given: str | os.PathLike[str]) -> Path:
    """The CSV as named, from here or from the folder."""
    for path in (Path(given), root / given):
        if path.is_file():
            return path
    raise FolderUnusable(
        f"There is no file '{os.fspath(given)}', neither here nor in '{root}'.",
        hint="Check its name.",
    )


def _with_sides(entries: list[Entry], notes: list[str]) -> list[Entry]:
    """Every split as train or test; a validation split is the test where there is no other."""
    found = {e.split for e in entries if e.split is not None}
    held_out = stand_in_for_test(found)
    if held_out is not None:
        notes.append(f"The split '{held_out}' is taken for the test split; there is no other.")
        return [replace(e, split="test") if e.split == held_out else e for e in entries]
    wrong = sorted(found - {"train", "test"})
    if wrong:
        raise FolderUnusable(
            f"A split is train or test, not {_few(wrong)}.",
            hint="Write train or test for each path.",
        )
    return entries


def _files(number: int) -> str:
    return f"{number} file" if number == 1 else f"{number} files"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more
