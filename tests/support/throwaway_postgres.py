"""A PostgreSQL cluster that lives as long as one test session, on a socket in its own folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, MetaData, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

READY_WITHIN_S = 30.0
NO_DURABILITY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
BINARIES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt")


@cache
def reason_to_skip() -> str | None:
    """Why there can be no PostgreSQL here; None where there can."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "the extra `postgres` (psycopg) is not installed"
    if "PENULTIMATE_TEST_POSTGRES" in os.environ or binaries():
        return None
    return "no PostgreSQL: set PENULTIMATE_TEST_POSTGRES to a URL, or install the server"


@cache
def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`, where there is one."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    places = [p for root in BINARIES for p in Path(root).glob("**/bin/initdb")]
    return max(places).parent if places else None


@contextmanager
def server() -> Iterator[URL]:
    """The URL of a server: the one that the environment names, or a new one."""
    given = os.environ.get("PENULTIMATE_TEST_POSTGRES")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg")
        return
    folder = Path(tempfile.mkdtemp(prefix="penultimate-postgres-"))
    try:
        user = _unprivileged(folder)
        with _running(folder, user) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(admin: URL) -> Iterator[str]:
    """The URL of an empty database, dropped at the end."""
    name = f"penultimate_{uuid4().hex[:12]}"
    engine = create_engine(admin, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        yield admin.set(database=name).render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    finally:
        engine.dispose()


def empty(url: str, tables: MetaData) -> None:
    """Makes a catalog as a migration leaves it: no rows but those that every catalog has."""
    names = ", ".join(table.name for table in tables.sorted_tables)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        connection.execute(text("INSERT INTO workspaces VALUES ('default', 'long ago')"))
        connection.execute(text("INSERT INTO registry VALUES (1, 0)"))
    engine.dispose()


def _unprivileged(folder: Path) -> str | None:
    """Who runs the server: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    name = next(e.pw_name for e in pwd.getpwall() if e.pw_name in ("postgres", "nobody"))
    os.chown(folder, pwd.getpwnam(name).pw_uid, -1)
    return name


@contextmanager
def _running(folder: Path, user: str | None) -> Iterator[URL]:
    place = binaries()
    assert place is not None
    common = ["--pgdata", str(folder / "data")]
    quiet = {"user": user, "cwd": folder, "stdout": subprocess.DEVNULL}
    made = [*common, "--username=tester", "--auth=trust", "--no-sync", "--encoding=UTF8"]
    subprocess.run([place / "initdb", *made, "--locale=C"], check=True, **quiet)  # type: ignore[call-overload]
    options = [f"unix_socket_directories={folder}", "listen_addresses=", *NO_DURABILITY]
    flags = [part for option in options for part in ("-c", option)]
    log = (folder / "log").open("wb")
    command = [place / "postgres", "-D", folder / "data", *flags]
    process = subprocess.Popen(command, stderr=log, **quiet)  # type: ignore[call-overload]
    url = URL.create(
        "postgresql+psycopg", "tester", database="postgres", query={"host": str(folder)}
    )
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)
        log.close()


def _wait(url: URL) -> None:
    engine = create_engine(url)
    end = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            break
    engine.dispose()
