"""Names in a catalog that become paths and headers, and whether they may. Knows no path itself.

A catalog may come from elsewhere, in a backup or as a database of others: whoever made it may have
written names that no request could have brought in.
"""

import re
import sqlite3
from itertools import islice
from pathlib import Path

from sqlalchemy import Column, create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from service.catalog.tables import (
    erasures,
    heads,
    labels,
    metadata,
    training_images,
    versions,
    workspaces,
)
from service.errors import MAX_NAMED, CatalogUnavailable
from service.names import NAME, WORKSPACE

HASH = re.compile(r"[0-9a-f]{64}")
"""Images and artefacts: files and folders are named by them."""

SHOWN = 100
"""Characters that are told of a name."""

RULES: tuple[tuple[str, re.Pattern[str], tuple[Column[str], ...]], ...] = (
    (
        "workspace",
        WORKSPACE,
        (workspaces.c.name, *(t.c.workspace for t in metadata.sorted_tables if "workspace" in t.c)),
    ),
    ("image", HASH, (labels.c.digest, training_images.c.digest, erasures.c.digest)),
    ("artefact", HASH, (versions.c.artefact,)),
    ("head", NAME, (heads.c.name,)),
)
"""What is named, how it may be, and the columns that name it; all are there since revision 0001."""


def known_workspace(name: str) -> str:
    """The name of a workspace out of a catalog, if it may be one.

    Raises:
        CatalogUnavailable: it may not.
    """
    if not _fits(name, WORKSPACE):
        raise CatalogUnavailable(
            f"the catalog names {_told('workspace', name)}, and no workspace can be called so",
            hint="Somebody changed the catalog by hand: restore a backup that you trust.",
        )
    return name


def strange_names(file: Path) -> list[str]:
    """What a SQLite file names that could lead out of a home: a few words for each.

    The file is only read, nothing is written beside it, and it may be of an older release.

    Raises:
        CatalogUnavailable: it cannot be read.
    """
    place = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    engine = create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(place, uri=True), poolclass=NullPool
    )
    found = dict[str, None]()
    try:
        with engine.connect() as connection:
            for what, rule, columns in RULES:
                for column in columns:
                    names = connection.execute(select(column).distinct()).scalars()
                    strange = (_told(what, name) for name in names if not _fits(name, rule))
                    found |= dict.fromkeys(islice(strange, MAX_NAMED))
    except (DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "orig", None) or error
        raise CatalogUnavailable(f"{file} cannot be read: {reason}") from error
    finally:
        engine.dispose()
    return list(found)


def _fits(name: object, rule: re.Pattern[str]) -> bool:
    # SQLite keeps bytes in a column of text, too.
    return isinstance(name, str) and rule.fullmatch(name) is not None


def _told(what: str, name: object) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what} '{str(name)[:SHOWN]}'"
