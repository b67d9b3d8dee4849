"""The chain of hashes through the lines of an audit: how a line is sealed, and where one is broken.

A server and whoever reads its answers use the same rules, so that nobody has to be believed. What
no chain can show by itself is that its newest lines are gone: compare with a seal that was written
down elsewhere (the log has each of them).
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

START = "0" * 64
"""What stands before the first line."""

SEALED = (
    "workspace",
    "number",
    "at",
    "actor",
    "action",
    "which",
    "result",
    "details",
    "previous",
)
"""What the hash of a line is made of."""


def seal(line: Mapping[str, Any]) -> str:
    """The hash of a line, in lower-case hex: SHA-256 of its canonical JSON."""
    content = {name: line[name] for name in SEALED}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def breaks(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where a chain is broken, in words; empty where it is whole.

    Args:
        lines: of one workspace, oldest first, from the first one.
    """
    found = []
    number, previous = 0, START
    for line in lines:
        number += 1
        if line["number"] != number:
            found.append(f"between line {number - 1} and line {line['number']} lines are missing")
            number = line["number"] if isinstance(line["number"], int) else number
        elif line["previous"] != previous:
            found.append(f"line {number} does not follow from the one before it")
        if line["hash"] != seal(line):
            found.append(f"line {number} is not what was written")
        previous = line["hash"]
    return found
