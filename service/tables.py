"""CSVs that say something of files: found columns, clean paths. Knows nothing of folders or images.

Spreadsheets write them in many ways: commas, semicolons or tabs, with or without a byte order mark,
with backslashes on Windows. All of these are read; anything unclear is refused, never guessed.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from service.client_errors import FolderUnusable
from service.rows import clean_path

DELIMITERS = ",;\t"

PATH = "path"


def read_rows(
    table: Path, required: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """The rows of a CSV by the path that they are about.

    Args:
        table: its first line names the columns, `path` first of all.
        required: columns that must be there.
        optional: columns that are read where they are there; any other is passed over.

    Returns:
        Path with `/`, composed, relative as written → column → text.

    Raises:
        FolderUnusable: it cannot be read, lacks a column, or says two things of one path.
    """
    text = _text(table)
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: dict[str, dict[str, str]] = {}
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in (PATH, *required) if name not in header]
        if missing:
            raise FolderUnusable(
                f"{table} has no column '{missing[0]}'; it has: {', '.join(header) or 'nothing'}.",
                hint=_expected(required),
            )
        wanted = (*required, *optional)
        for cells in reader:
            if any(cells[len(header) :]):
                raise FolderUnusable(
                    f"{table} has a row with more cells than columns: '{','.join(cells)[:100]}'.",
                    hint="Put text that holds a comma between quotation marks.",
                )
            said = dict(zip(header, map(str.strip, cells), strict=False))
            row = {name: said[name] for name in wanted if said.get(name)}
            path = clean_path(said.get(PATH, ""))
            if path and rows.setdefault(path, row) != row:
                raise FolderUnusable(
                    f"{table} says two things of '{path}'.", hint="Leave one row for each path."
                )
    except csv.Error as error:
        raise FolderUnusable(f"{table} is no CSV: {error}.", hint=_expected(required)) from error
    return rows


def read_column(table: Path, column: str) -> dict[str, str]:
    """One column of a CSV by path; paths for which it is empty are left out."""
    return {p: row[column] for p, row in read_rows(table, (column,)).items() if column in row}


def _text(table: Path) -> str:
    try:
        return table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8; in a spreadsheet program, as `CSV UTF-8`."
        raise FolderUnusable(f"{table} is not UTF-8 text.", hint=hint) from error
    except OSError as error:
        raise FolderUnusable(
            f"{table} cannot be read: {error.strerror}.", hint="Check its permissions."
        ) from error


def _expected(columns: Sequence[str]) -> str:
    return f"Its first line must be {','.join((PATH, *columns))}."
