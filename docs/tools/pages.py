"""Reads pages of the documentation: commands, links and anchors. Knows no code of ours."""  # noqa: INP001 - used by scripts, not a package

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

SHELL = re.compile(r"^```(?:sh|bash|console|shell)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def name_of(page: Path) -> str:
    """A page's path from the root of the repository."""
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """A page's text."""
    return page.read_text("utf-8")


def anchor(heading: str) -> str:
    """What GitHub makes of a heading for links to it."""
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Every place of a page that a link can point to."""
    text = FENCED.sub("", text_of(page))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", h) for h in headings]
    named: list[str] = re.findall(r'<a id="([^"]+)"', text)
    return frozenset([anchor(h) for h in plain] + named)


def links(page: Path) -> list[str]:
    """The targets of a page's links and pictures, those in code left out."""
    found: list[str] = LINK.findall(FENCED.sub("", text_of(page)))
    return found


def shell_lines(page: Path) -> Iterator[str]:
    """The commands in a page's shell blocks, prompts and output left out."""
    for block in SHELL.findall(text_of(page)):
        lines = block.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line.startswith("$ ")]
        yield from (line.strip() for line in prompted or lines if line.strip())


def words_of(page: Path, program: str) -> Iterator[list[str]]:
    """The words after each use of a program in a page's shell blocks."""
    for line in shell_lines(page):
        for part in re.split(r"\s(?:&&|\|\||[|;])\s", line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0].rpartition("/")[2] == program:
                yield words[1:]
