"""Connections, transactions and migrations of the catalog. Knows no table but Alembic's own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from service.catalog.same_file import SameFile
from service.catalog.urls import shown, sqlite_file, supported
from service.errors import CatalogUnavailable, InvalidRequest

PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 30_000}
"""How long PostgreSQL, in s, and the way to it, in ms, may be silent; a URL may say otherwise."""

MIGRATIONS = Path(__file__).parent.parent / "migrations"

REVISION = "0003"
"""The newest migration. A catalog at another revision is migrated, or refused if it is newer."""

BUSY_TIMEOUT_MS = 15_000
"""How long a writer waits for another one before it gives up."""

WRITER_LOCK = 7_305_812_911
"""PostgreSQL's advisory lock that lets one writer in at a time, as SQLite does by itself."""


def now() -> str:
    """The time as RFC 3339 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Database:
    """A SQLite file (WAL) or a PostgreSQL database, with short transactions.

    Args:
        place: SQLAlchemy URL, or a file of SQLite's.

    Raises:
        CatalogUnavailable: it cannot be opened, or was written by a newer release.
    """

    def __init__(self, place: str | Path) -> None:
        with _opening():
            parsed = supported(place)
        self.place = shown(parsed)
        self.file = sqlite_file(parsed)
        with _opening(), _translated(self.place):
            self._engine = _postgres(parsed) if self.file is None else _sqlite(parsed, self.file)
            self._reader = _snapshots(self._engine) if self.file is None else self._engine
            self._writer = self._engine.execution_options(penultimate_write=True)
            self._migrate()
            self._watch = None if self.file is None else _Watch(self.file)
            self._same = SameFile(self.file)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; never waits for a writer."""
        self._same.require()
        with _translated(self.place), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, or nothing is.

        One writer at a time: what it reads stays true until it ends.
        """
        with _translated(self.place), self._writer.begin() as connection:
            self._same.require()
            yield connection

    def changes(self) -> int | None:
        """A number that moves with every commit, whoever made it; None where there is no such one.

        A twentieth of the time of a query. PostgreSQL has none.
        """
        if self._watch is None:
            return None
        with _translated(self.place):
            return self._watch.changes()

    def check(self) -> list[str]:
        """What SQLite's own integrity check finds; empty where it is sound."""
        if self.file is None:
            return []
        try:
            with self.read() as connection:
                found = [row[0] for row in connection.execute(text("PRAGMA integrity_check"))]
        except CatalogUnavailable as error:
            return [error.detail]
        return [] if found == ["ok"] else found

    def copy_to(self, file: Path) -> None:
        """Writes the catalog as it is at this moment into an empty file, without deleted rows.

        Raises:
            CatalogUnavailable: it lies in PostgreSQL, which has a tool of its own for that, or it
                cannot be read or written.
        """
        if self.file is None:
            raise CatalogUnavailable(
                f"the catalog at {self.place} is not in the home folder",
                hint="Run `pg_dump --format=custom --file=catalog.dump URL`, and after it copy "
                "the folders images, zoo and records of the home.",
            )
        try:
            with closing(sqlite3.connect(self.file)) as source:
                # Not the pages as they lie: they still hold what was deleted.
                source.execute("VACUUM INTO ?", (str(file),))
        except sqlite3.Error as error:
            raise CatalogUnavailable(
                f"the catalog at {self.place} cannot be copied: {error}",
                hint="Check free space; if the catalog is damaged, restore a backup.",
            ) from error

    def empty_log(self) -> bool:
        """Moves what SQLite's log holds into the file, so that no deleted row lives on in it.

        Returns:
            Whether it could: not while somebody reads what was before.
        """
        if self.file is None:
            return True
        with _translated(self.place), self._engine.connect() as connection:
            # In no transaction: the driver knows of none that it has not been told to begin.
            cursor = connection.connection.cursor()
            # Where it cannot, it does not fail: it says so.
            ((busy, *_),) = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            cursor.close()
        return not busy

    def close(self) -> None:
        """Closes every connection."""
        if self._watch is not None:
            self._watch.close()
        self._engine.dispose()

    def _migrate(self) -> None:
        with self._engine.connect() as connection:
            if self._revision(connection) == REVISION:
                return
        with self._writer.begin() as connection:
            # Asked again: another process may have been first.
            found = self._revision(connection)
            if found is not None and found > REVISION:
                raise CatalogUnavailable(
                    f"the catalog is at revision {found}, this release knows up to {REVISION}",
                    hint="Start the newer release that wrote it, or restore a backup.",
                )
            if found != REVISION:
                _upgrade(connection)

    def _revision(self, connection: Connection) -> str | None:
        if not self._engine.dialect.has_table(connection, "alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


class _Watch:
    """A connection that never writes: SQLite does not tell a connection of its own commits."""

    def __init__(self, file: Path) -> None:
        self._lock = Lock()
        self._connection = sqlite3.connect(file, check_same_thread=False)
        self._cursor = self._connection.cursor()

    def changes(self) -> int:
        with self._lock:
            # To the last row, or it would hold on to the log as a reader does.
            ((number,),) = self._cursor.execute("PRAGMA data_version").fetchall()
            return int(number)

    def close(self) -> None:
        with self._lock:
            self._connection.close()


def _sqlite(url: URL, file: Path) -> Engine:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: object, _record: ConnectionPoolEntry) -> None:
    # The driver must leave transactions alone: it opens them late, which loses BEGIN IMMEDIATE.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        # A deleted row is overwritten: file names and groups of an erased image may name people.
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write takes the lock first: upgrading a read lock can deadlock.
    write = connection.get_execution_options().get("penultimate_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _postgres(url: URL) -> Engine:
    patience = {name: value for name, value in PATIENCE.items() if name not in url.query}
    engine = create_engine(url, pool_pre_ping=True, connect_args=patience)
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    if connection.get_execution_options().get("penultimate_write", False):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {BUSY_TIMEOUT_MS}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")


def _snapshots(engine: Engine) -> Engine:
    """The engine with transactions that see one moment, as SQLite's do."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


@contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except (ArgumentError, ImportError, OSError) as error:
        raise CatalogUnavailable(
            f"the catalog cannot be opened: {error}",
            hint="Check PENULTIMATE_CATALOG_URL and the permissions of the home folder; "
            "PostgreSQL needs the extra `postgres`.",
        ) from error


@contextmanager
def _translated(place: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidRequest(
            "A text or number in the request is one that no catalog can hold.",
            hint="Send text without control characters and numbers below two thousand million.",
        ) from error
    # The last: SQLite quotes what is damaged, and no text may come of it.
    except (DBAPIError, PoolTimeout, sqlite3.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "orig", None) or error
        raise CatalogUnavailable(
            f"the catalog at {place} cannot be used: {reason}",
            hint="Check free space and permissions; if the file is damaged, restore a backup.",
        ) from error
