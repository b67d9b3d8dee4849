"""What names may look like, and how heads and trainers are referred to. Knows nothing else."""

import hashlib
import re
import socket
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from service.errors import InvalidRequest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Datasets, heads and aliases: what is safe in a URL, a file name and a shell."""

WORKSPACE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Workspaces are folders: where a file system takes A for a, two of them would be one."""

PROBES = ("/livez", "/readyz", "/metrics")
"""Paths that are answered without a key, and whose requests are not counted."""

PRIVATE = 0o077
"""The permissions that no file of ours gives: those of everybody but its owner."""

DEFAULT_WORKSPACE = "default"
"""Whose things are meant where nobody says."""

MAX_LABEL = 200
"""Characters in a label or a group."""

COMPOSED = 4
"""Characters that become one when a text is composed, at most."""

MAX_FILENAME = 1024
"""Characters of a file name that are kept."""


@dataclass(frozen=True, slots=True)
class HeadReference:
    """`name`, `name@3` or `name@alias`.

    Args:
        name: the head.
        version: the number, where one was given.
        alias: the alias, where one was given.
    """

    name: str
    version: int | None = None
    alias: str | None = None


def check_name(what: str, name: str) -> str:
    """The name, if it may be one.

    Raises:
        InvalidRequest: it may not.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"'{name[:80]}' cannot be the name of {'an' if what[0] in 'aeiou' else 'a'} {what}.",
            hint="Use 1 to 64 letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit.",
        )
    return name


def check_workspace(name: str) -> str:
    """The name, if it may be a workspace's.

    Raises:
        InvalidRequest: it may not.
    """
    if not WORKSPACE.fullmatch(name):
        raise InvalidRequest(
            f"'{name[:80]}' cannot be the name of a workspace.",
            hint="Use 1 to 64 lower-case letters, digits, dots, dashes and underscores, "
            "starting with a letter or digit.",
        )
    return name


def check_alias(alias: str) -> str:
    """The alias, if it may be one: a name that cannot be taken for a version."""
    if alias.isdigit():
        raise InvalidRequest(
            f"'{alias}' cannot be an alias: it reads as a version.", hint="Add a letter."
        )
    return check_name("alias", alias)


def check_text(what: str, text: str | None) -> str | None:
    """A label, group or the like: stripped, composed (NFC), printable; None where it is empty.

    Raises:
        InvalidRequest: it is too long or has control characters.
    """
    stripped = (text or "").strip()
    if not stripped:
        return None
    # Only what may be short enough: composing takes as long as the square of the length.
    if len(stripped) <= COMPOSED * MAX_LABEL:
        # A Mac takes accents apart in file names: both spellings must be one label.
        stripped = unicodedata.normalize("NFC", stripped)
    if len(stripped) > MAX_LABEL or not stripped.isprintable():
        raise InvalidRequest(
            f"'{stripped[:40]}' cannot be a {what}.",
            hint=f"Use at most {MAX_LABEL} printable characters on one line.",
        )
    return stripped


def clean_filename(filename: str | None) -> str | None:
    """The last part of a client's file name, printable and short; for people, never a path."""
    if not filename:
        return None
    last = filename.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:MAX_FILENAME] or None


def parse_reference(text: str) -> HeadReference:
    """Reads `name`, `name@3` or `name@alias`.

    Raises:
        InvalidRequest: it is none of them.
    """
    name, at, rest = text.partition("@")
    check_name("head", name)
    if not at:
        return HeadReference(name)
    if rest.isascii() and rest.isdigit() and len(rest) <= 9:  # noqa: PLR2004 - fits any database
        return HeadReference(name, version=int(rest))
    return HeadReference(name, alias=check_alias(rest))


def trainer_prefix(home: Path) -> str:
    """What every trainer of one home on one host signs with: only one of them lives at a time."""
    place = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    return f"{socket.gethostname()[:64]}:{place}:"
