"""Predictions as a table for a spreadsheet: a row for each image and head. Asks nothing."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from service.cli.files import write_whole

PLAIN = ("file", "digest", "head", "version", "answer", "set", "abstains", "unlike", "usualness")
"""Columns before the probabilities; `low` and `high`, of numbers, and the error stand after."""

BETWEEN = "|"
"""Between the labels of a set, as between labels that an image has."""

FORMULAS = ("=", "+", "-", "@", "\t", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a text begins that a spreadsheet would reckon out."""


def write_table(file: Path, names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
    """Writes predictions as CSV, in UTF-8.

    Args:
        file: where to.
        names: what each image is called.
        results: of `POST /v1/predict`, in the same order.
    """
    said = [p for result in results for p in result["predictions"] if not p.get("error")]
    labels = list(dict.fromkeys(label for p in said for label in p["probabilities"]))
    # With a mark at its front, without which Excel takes UTF-8 for something else.
    table = csv.writer(out := StringIO(newline=""), quoting=csv.QUOTE_NONNUMERIC)
    table.writerow([*PLAIN, *(_safe(f"p({label})") for label in labels), "low", "high", "error"])
    for name, result in zip(names, results, strict=True):
        table.writerows(_rows(name, result, labels))
    write_whole(file, out.getvalue().encode("utf-8-sig"))


def _rows(name: str, result: Mapping[str, Any], labels: Sequence[str]) -> Iterator[list[Any]]:
    image = [_safe(name), result["image"]["digest"]]
    if result["error"]:
        yield [*image, *[None] * (len(PLAIN) - len(image) + len(labels) + 2), _why(result["error"])]
    for p in result["predictions"]:
        if p.get("error"):
            blank = [None] * (len(PLAIN) - len(image) - 2 + len(labels) + 2)
            yield [*image, p["head"], p["version"], *blank, _why(p["error"])]
            continue
        answer = [p["head"], p["version"], _safe(p["label"]), _safe(BETWEEN.join(p["set"]))]
        about = [p["abstains"], p["unlike"], p["usualness"]]
        chances = [p["probabilities"].get(label) for label in labels]
        yield [*image, *answer, *about, *chances, p.get("low"), p.get("high"), None]


def _why(error: Mapping[str, Any]) -> str:
    return f"{error['code']}: {error['detail']}"


def _safe(text: str) -> str:
    """The text, which no spreadsheet takes for a formula; a number is none."""
    if not text.startswith(FORMULAS):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
