"""Where a catalog is, as SQLAlchemy writes it. Opens nothing."""

from contextlib import suppress
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from service.errors import CatalogUnavailable


def supported(place: str | Path) -> URL:
    """The URL of a catalog that this release can use.

    Args:
        place: a URL, or a file of SQLite's, whose name is taken as it is.

    Raises:
        CatalogUnavailable: it is none, and no word of it that may be secret is repeated.
    """
    if isinstance(place, Path):
        return URL.create("sqlite", database=str(place))
    url = _parsed(place)
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        return url
    raise CatalogUnavailable(
        f"'{shown(url)}' is no place for a catalog",
        hint="Use sqlite:///path/to/file or postgresql://user:password@host/database.",
    )


def _parsed(text_of_url: str) -> URL:
    with suppress(ArgumentError, ValueError):  # its words repeat what may be the password
        url = make_url(text_of_url)
        if "@" not in (url.host or ""):
            return url
    raise CatalogUnavailable(
        "PENULTIMATE_CATALOG_URL cannot be read",
        hint="In a user's name and password write %40 for @, %3A for : and %2F for /.",
    )


def shown(url: URL) -> str:
    """A URL for messages. What follows the `?` may be a password, too."""
    return url.set(query={}).render_as_string(hide_password=True)


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite catalog."""
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None
