"""The one road to a person's terminal: lines that cannot move its cursor. Knows no verb.

Names of files, and whatever a server answers, may hold escapes that hide, forge or type text.
"""

import re
from unicodedata import category

import typer

BREAKS = re.compile(r"\s*[\r\n]\s*")

SPACES = "Zs"
"""Other spaces than the plain one: Python calls them unprintable, and names of files have them."""


def printable(text: str) -> str:
    """Text that cannot move the cursor: a file name may hold anything."""
    return "".join(c if c.isprintable() or category(c) == SPACES else "�" for c in text)


def say(text: str = "") -> None:
    """A line on standard output; breaks before and after it are kept, those within it are not."""
    typer.echo(_safe(text))


def note(text: str) -> None:
    """A line for a person, on standard error, as `say` prints it."""
    typer.echo(_safe(text), err=True)


def _safe(text: str) -> str:
    line = text.strip("\n")
    before, after = text[: len(text) - len(text.lstrip("\n"))], text[len(text.rstrip("\n")) :]
    return f"{before}{printable(BREAKS.sub(' ', line))}{after}" if line else text
