"""Predictions as a table for a spreadsheet: a row for each image and head. Asks nothing."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from service.cli.files import write_whole

PLAIN = ("file", "digest", "head", "version", "answer", "set", "abstains", "unlike", "usualness")
"""Columns before the probabilities; `low` and `high`, of numbers, and the error stand after."""

BETWEEN = "|"
"""Between the labels of a set, as between labels that an image has."""

FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that a spreadsheet would reckon out."""

PARTS = re.compile(r"([;\t\r\n])")
"""Where a cell is parted by a spreadsheet whose lists have no comma, or that minds no quotes."""


def write_table(file: Path, names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
    """Writes predictions as CSV, in UTF-8.

    Args:
        file: where to.
        names: what each image is called.
        results: of `POST /v1/predict`, in the same order.
    """
    said = [p for result in results for p in result["predictions"] if not p.get("error")]
    labels = list(dict.fromkeys(label for p in said for label in p["probabilities"]))
    rows: list[list[Any]] = [[*PLAIN, *(f"p({label})" for label in labels), "low", "high", "error"]]
    for name, result in zip(names, results, strict=True):
        rows += _rows(name, result, labels)
    # With a mark at its front, without which Excel takes UTF-8 for something else.
    table = csv.writer(out := StringIO(newline=""), quoting=csv.QUOTE_NONNUMERIC)
    table.writerows(map(_cell, row) for row in rows)
    write_whole(file, out.getvalue().encode("utf-8-sig"))


def _rows(name: str, result: Mapping[str, Any], labels: Sequence[str]) -> Iterator[list[Any]]:
    image = [name, result["image"]["digest"]]
    if result["error"]:
        yield [*image, *[None] * (len(PLAIN) - len(image) + len(labels) + 2), _why(result["error"])]
    for p in result["predictions"]:
        if p.get("error"):
            blank = [None] * (len(PLAIN) - len(image) - 2 + len(labels) + 2)
            yield [*image, p["head"], p["version"], *blank, _why(p["error"])]
            continue
        answer = [p["head"], p["version"], p["label"], BETWEEN.join(p["set"])]
        about = [p["abstains"], p["unlike"], p["usualness"]]
        chances = [p["probabilities"].get(label) for label in labels]
        yield [*image, *answer, *about, *chances, p.get("low"), p.get("high"), None]


def _why(error: Mapping[str, Any]) -> str:
    return f"{error['code']}: {error['detail']}"


def _cell(value: object) -> object:
    """A number as it is, anything else as text: a server may send it where a number is due."""
    return value if value is None or isinstance(value, int | float) else _safe(str(value))


def _safe(text: str) -> str:
    """The text, of which no spreadsheet takes any part for a formula."""
    safe = "".join(f"'{part}" if _is_formula(part) else part for part in PARTS.split(text))
    # What a spreadsheet leaves out at the front may bring a formula there.
    return f"'{safe}" if PARTS.match(safe) else safe


def _is_formula(part: str) -> bool:
    """Whether a text could be reckoned out; a number need not be, and a sign alone cannot."""
    bare = part.strip(' "')
    if not bare.startswith(FORMULAS) or bare in FORMULAS:
        return False
    try:
        float(bare)
    except ValueError:
        return True
    return False
