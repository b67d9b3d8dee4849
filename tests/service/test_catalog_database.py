"""How a catalog is opened, migrated and refused."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from service.catalog import Catalog, Labelled
from service.catalog.database import MIGRATIONS, REVISION
from service.catalog.tables import metadata
from service.errors import CatalogUnavailable

W = "default"


def test_a_migrated_catalog_has_exactly_the_tables_of_the_code(new_catalog_url: str) -> None:
    catalog = Catalog(new_catalog_url)
    with catalog.database.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    catalog.close()


def test_the_newest_migration_is_the_revision_that_the_code_names() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_a_new_catalog_has_the_default_workspace_and_nothing_else(new_catalog_url: str) -> None:
    catalog = Catalog(new_catalog_url)
    assert catalog.workspaces() == ["default"]
    assert catalog.heads.generation() == 0
    assert catalog.datasets.names(W) == []
    assert catalog.jobs.all(W) == []
    assert catalog.database.check() == []
    catalog.close()


def test_what_was_written_is_there_after_opening_again(new_catalog_url: str) -> None:
    first = Catalog(new_catalog_url)
    first.datasets.add(W, "d", [Labelled("a" * 64, "x")])
    first.close()
    second = Catalog(new_catalog_url)
    assert second.datasets.images(W, "d") == [Labelled("a" * 64, "x")]
    second.close()


def test_a_catalog_of_a_newer_release_is_refused_and_left_alone(new_catalog_url: str) -> None:
    catalog = Catalog(new_catalog_url)
    catalog.datasets.add(W, "d", [])
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(CatalogUnavailable) as refused:
        Catalog(new_catalog_url)
    assert "9999" in refused.value.detail
    assert "newer" in refused.value.hint
    assert catalog.datasets.names(W) == ["d"]
    catalog.close()


def test_an_older_catalog_forgets_whom_its_failed_jobs_named(new_catalog_url: str) -> None:
    catalog = Catalog(new_catalog_url)
    job = catalog.jobs.submit(W, "learn", {"name": "h"})
    catalog.jobs.claim("me")
    wrong = {"code": "conflicting_groups", "detail": "1 image.", "items": ["PATIENT-4711"]}
    catalog.jobs.fail(job.id, "me", {"code": "labels_not_ready", "problems": [wrong]})
    with catalog.database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    catalog.close()
    catalog = Catalog(new_catalog_url)
    error = catalog.jobs.get(W, job.id).error
    assert error == {"code": "labels_not_ready", "problems": [{**wrong, "items": []}]}
    catalog.close()


OPEN = """
import sys
from service.catalog import Catalog
sys.stdin.readline()
catalog = Catalog(sys.argv[1])
catalog.datasets.add("default", f"d{sys.argv[2]}", [])
catalog.close()
"""


def test_processes_that_open_a_new_catalog_at_once_all_work(new_catalog_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, new_catalog_url, str(n)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for n in range(3)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [p.returncode for p in processes] == [0, 0, 0], b"\n".join(errors).decode()
    catalog = Catalog(new_catalog_url)
    assert catalog.datasets.names(W) == ["d0", "d1", "d2"]
    catalog.close()


def test_one_writer_at_a_time_and_readers_never_wait(
    open_catalog: Callable[[], Catalog],
) -> None:
    one, two = open_catalog(), open_catalog()
    done = threading.Event()

    def write() -> None:
        two.datasets.add(W, "second", [])
        done.set()

    with one.database.write() as connection:
        connection.execute(text("UPDATE registry SET generation = 7"))
        writer = threading.Thread(target=write)
        writer.start()
        assert two.heads.generation() == 0  # a reader sees what was before, at once
        assert not done.wait(0.3)
    writer.join(10)
    assert done.is_set()
    assert two.heads.generation() == 7


def test_a_reader_sees_one_moment(open_catalog: Callable[[], Catalog]) -> None:
    one, two = open_catalog(), open_catalog()
    query = text("SELECT generation FROM registry")
    with one.database.read() as connection:
        before = connection.execute(query).scalar_one()
        with two.database.write() as other:
            other.execute(text("UPDATE registry SET generation = 7"))
        assert connection.execute(query).scalar_one() == before
    assert one.heads.generation() == 7


def test_a_writer_that_waits_too_long_is_told_so(
    open_catalog: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.catalog.database.BUSY_TIMEOUT_MS", 50)
    one, two = open_catalog(), open_catalog()
    with one.database.write(), pytest.raises(CatalogUnavailable):
        two.datasets.add(W, "d", [])
    assert two.datasets.add(W, "d", []) == ([], [])


def test_sqlite_is_durable_and_lets_readers_read(sqlite_catalog: Catalog) -> None:
    with sqlite_catalog.database.read() as connection:
        said = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def fill(file: Path) -> None:
    catalog = Catalog(f"sqlite:///{file}")
    images = [Labelled(f"{n:064x}", f"label {n}") for n in range(2_000)]
    catalog.datasets.add(W, "d", images)
    catalog.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"no database at all" * 1_000)
    with pytest.raises(CatalogUnavailable) as refused:
        Catalog(f"sqlite:///{file}")
    assert str(file) in refused.value.detail
    assert "backup" in refused.value.hint


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    fill(file)
    file.write_bytes(file.read_bytes()[:9_000])
    with pytest.raises(CatalogUnavailable):
        Catalog(f"sqlite:///{file}").datasets.images(W, "d")


def test_a_damaged_page_is_refused_when_it_is_read_and_found_by_the_check(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    fill(file)
    data = bytearray(file.read_bytes())
    data[-100_000:] = b"\xff" * 100_000  # rows, not the tables' definitions
    file.write_bytes(data)
    catalog = Catalog(f"sqlite:///{file}")
    with pytest.raises(CatalogUnavailable):
        catalog.datasets.images(W, "d")
    assert catalog.database.check() != []
    catalog.close()


def test_a_catalog_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    fill(file)
    catalog = Catalog(f"sqlite:///{file}")
    with catalog.database.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")  # also root may not write then
    with pytest.raises(CatalogUnavailable):
        catalog.datasets.add(W, "other", [])
    catalog.close()


def test_a_full_disk_is_said_and_leaves_what_was(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    catalog = Catalog(f"sqlite:///{file}")
    with catalog.database.read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CatalogUnavailable):
        catalog.datasets.add(W, "d", [Labelled(f"{n:064x}", "x") for n in range(1_000)])
    assert catalog.datasets.names(W) == []
    catalog.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "rubbish",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root@localhost/x",
        "nosuch://x/y",
        "postgresql://user:secret@127.0.0.1:1/none",
        "postgresql://user:secret@127.0.0.1:port/none",
        "postgresql://user:not@secret@127.0.0.1:1/none",
    ],
)
def test_an_url_that_is_no_catalog_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(CatalogUnavailable) as refused:
        Catalog(url)
    assert refused.value.hint
    assert "secret" not in refused.value.detail
    assert "secret" not in refused.value.hint


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CatalogUnavailable):
        Catalog(f"sqlite:///{tmp_path / 'file' / 'catalog.sqlite'}")


def test_a_catalog_is_for_its_owners_eyes(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    Catalog(f"sqlite:///{folder / 'catalog.sqlite'}").close()
    assert folder.stat().st_mode & 0o077 == 0


def test_a_catalog_killed_in_the_middle_of_a_write_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    script = f"""
import os
from service.catalog import Catalog, Labelled
catalog = Catalog("sqlite:///{file}")
catalog.datasets.add("default", "before", [Labelled("{"a" * 64}", "x")])
with catalog.database.write() as connection:
    connection.exec_driver_sql("DELETE FROM labels")
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    catalog = Catalog(f"sqlite:///{file}")
    assert catalog.datasets.images(W, "before") == [Labelled("a" * 64, "x")]
    assert catalog.database.check() == []
    catalog.close()


def test_another_program_that_holds_the_file_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    catalog = Catalog(f"sqlite:///{file}")
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.3, other.rollback).start()
    catalog.datasets.add(W, "d", [])
    assert catalog.datasets.names(W) == ["d"]
    other.close()
    catalog.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_catalog_that_is_taken_away_under_a_process_takes_no_more_writes(
    tmp_path: Path, *, replaced: bool
) -> None:
    """SQLite would go on writing to a file without a name, and all of it would be lost."""
    url = f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    catalog = Catalog(url)
    catalog.datasets.add(W, "d", [Labelled("a" * 64, "x")])
    for file in tmp_path.glob("catalog.sqlite*"):
        file.rename(tmp_path / f"away-{file.name}")
    if replaced:
        Catalog(url).close()
    with pytest.raises(CatalogUnavailable, match="replaced"):
        catalog.datasets.add(W, "d", [Labelled("b" * 64, "x")])
    with pytest.raises(CatalogUnavailable, match="replaced"):
        catalog.heads.generation_anew()  # what /readyz asks
    catalog.close()


@pytest.mark.parametrize("scheme", ["postgresql", "mysql"])
def test_a_password_behind_the_question_mark_is_not_said_either(scheme: str) -> None:
    if scheme == "postgresql":
        pytest.importorskip("psycopg")
    with pytest.raises(CatalogUnavailable) as refused:
        Catalog(f"{scheme}://ana@127.0.0.1:1/x?password=s3cret&sslpassword=s3cret")
    assert "s3cret" not in f"{refused.value.detail} {refused.value.hint}"
