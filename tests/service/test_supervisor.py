"""The trainer as a process: killed, restarted, stopped, and never two of them on one home."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from in_process import settings_of

from service.catalog import Catalog, Job
from service.names import trainer_prefix
from service.product import Product
from service.schemas import LearnOptions
from service.supervisor import Supervisor, spawn_trainer
from service.workflows.learn import request_learning

pytestmark = pytest.mark.slow

W = "default"
PATIENCE_S = 60.0


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


@pytest.fixture
def asked(product: Product) -> Job:
    """A job; a trainer that has just started needs seconds for it, enough to be killed."""
    return request_learning(
        product, W, name="new", dataset="colour", task="auto", options=LearnOptions()
    )


@pytest.fixture
def supervise(product: Product) -> Iterator[Callable[[], Supervisor]]:
    with ExitStack() as stack:

        def make() -> Supervisor:
            supervisor = Supervisor(product.settings, product.catalog)
            stack.callback(supervisor.stop)
            supervisor.start()
            return supervisor

        yield make


def alive(supervisor: Supervisor) -> bool:
    return supervisor._process is not None and supervisor._process.poll() is None


def state(product: Product, job: Job) -> str:
    return product.catalog.jobs.get(W, job.id).state


def test_a_killed_trainer_is_replaced_and_its_job_done(
    product: Product, asked: Job, supervise: Callable[[], Supervisor]
) -> None:
    supervisor = supervise()
    until(lambda: state(product, asked) == "running")
    assert supervisor._process is not None
    killed = supervisor._process.pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: state(product, asked) == "succeeded")
    assert supervisor._process.pid != killed
    assert product.catalog.jobs.get(W, asked.id).attempts == 2
    assert [v.version for v in product.catalog.heads.entry(W, "new").versions] == [1]


def test_of_two_supervisors_one_has_the_trainer_and_the_other_takes_over(
    supervise: Callable[[], Supervisor],
) -> None:
    one, two = supervise(), supervise()
    until(lambda: alive(one) or alive(two))
    time.sleep(1)
    assert alive(one) != alive(two)
    first, second = (one, two) if alive(one) else (two, one)
    first.stop()
    assert not alive(first)
    until(lambda: alive(second))


def test_a_trainer_told_to_terminate_gives_its_job_back_and_ends_well(
    product: Product, asked: Job
) -> None:
    trainer = spawn_trainer(product.settings)
    until(lambda: state(product, asked) == "running")
    trainer.terminate()
    assert trainer.wait(PATIENCE_S) == 0
    back = product.catalog.jobs.get(W, asked.id)
    assert (back.state, back.attempts) == ("queued", 0)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3])
def test_ctrl_c_is_not_for_the_trainer_even_while_it_starts(
    product: Product, asked: Job, after_s: float
) -> None:
    """A terminal sends it to every process of the group; a shell's background job ignores it."""
    minding = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        trainer = spawn_trainer(product.settings)
    finally:
        signal.signal(signal.SIGINT, minding)
    time.sleep(after_s)
    trainer.send_signal(signal.SIGINT)
    until(lambda: trainer.poll() is not None or state(product, asked) == "running")
    assert trainer.poll() is None
    trainer.terminate()
    assert trainer.wait(PATIENCE_S) == 0


def test_a_supervisor_survives_a_catalog_that_is_away(
    product: Product, supervise: Callable[[], Supervisor]
) -> None:
    supervisor = supervise()
    until(lambda: alive(supervisor))
    with product.catalog.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO lost")
    until(lambda: not alive(supervisor))
    with product.catalog.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE lost RENAME TO jobs")
    until(lambda: alive(supervisor))
    assert supervisor._thread.is_alive()


START = """
import sys, time
from pathlib import Path
from in_process import settings_of
from service.supervisor import spawn_trainer
print(spawn_trainer(settings_of(Path(sys.argv[1]))).pid, flush=True)
time.sleep(600)
"""


def test_a_trainer_does_not_outlive_the_process_that_started_it(tmp_path: Path) -> None:
    support = Path(__file__).parents[1] / "support"
    here = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", START, str(tmp_path / "home")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{support}:{here}"},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    until((tmp_path / "home" / "catalog.sqlite").exists)
    parent.kill()
    parent.wait()
    until(lambda: not running(pid))


def running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_cancelled_job_that_does_not_stop_loses_its_trainer(
    product: Product,
    asked: Job,
    home: Path,
    supervise: Callable[[], Supervisor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stopped process is as deaf as one that is stuck in a long computation."""
    monkeypatch.setattr("service.supervisor.CANCEL_WITHIN_S", 1.0)
    supervisor = supervise()
    until(lambda: state(product, asked) == "running")
    assert supervisor._process is not None
    until(lambda: stopped(supervisor._process, home / "catalog.sqlite"))
    product.catalog.jobs.cancel(W, asked.id)
    until(lambda: state(product, asked) == "cancelled")
    until(lambda: alive(supervisor))


def stopped(process: subprocess.Popen[bytes] | None, catalog: Path) -> bool:
    """Stops a process, but not while it holds the catalog."""
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    probe = sqlite3.connect(catalog, timeout=0, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE")
        probe.execute("ROLLBACK")
    except sqlite3.OperationalError:
        process.send_signal(signal.SIGCONT)
        return False
    finally:
        probe.close()
    return True


@pytest.fixture
def become(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Puts a script in the place of the trainer."""
    package = tmp_path / "other" / "service"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr("service.supervisor.PACKAGES", package.parent)
    monkeypatch.setattr("service.supervisor.RESTART_AFTER_S", (0.0,))
    monkeypatch.setattr("service.supervisor.LOOK_EVERY_S", 0.05)
    return lambda script: (package / "trainer.py").write_text(script) and None


DIES_OF_POISON = """
import os, sqlite3, sys, time
catalog = sqlite3.connect(os.environ["PENULTIMATE_HOME"] + "/catalog.sqlite", isolation_level=None)
while True:
    time.sleep(0.05)
    query = "SELECT id, request FROM jobs WHERE state = 'queued' ORDER BY created LIMIT 1"
    for job, request in catalog.execute(query).fetchall():
        taken = "state = 'running', owner = ?, heartbeat = ?, attempts = attempts + 1"
        values = ("OWNER", time.time(), job)
        catalog.execute("UPDATE jobs SET " + taken + " WHERE id = ?", values)
        if "poison" in request:
            sys.exit(1)
        catalog.execute("UPDATE jobs SET state = 'succeeded' WHERE id = ?", (job,))
"""


def test_a_job_is_done_whatever_the_trainer_died_of_before(
    product: Product, supervise: Callable[[], Supervisor], become: Callable[[str], None]
) -> None:
    def ask(name: str) -> Job:
        return product.catalog.jobs.submit(W, "learn", {"name": name})

    poison, sound = [ask(f"poison-{number}") for number in range(4)], ask("sound")
    become(DIES_OF_POISON.replace("OWNER", f"{trainer_prefix(product.settings.home)}7"))
    supervise()
    until(lambda: state(product, sound) not in ("queued", "running"))
    assert state(product, sound) == "succeeded"
    for one in poison:
        error = product.catalog.jobs.get(W, one.id).error
        assert error is not None
        assert error["detail"] == "The process that worked on this job died 2 times."


@pytest.mark.parametrize("claimed", [False, True])
def test_jobs_that_no_trainer_lives_to_do_are_told_so(
    product: Product,
    asked: Job,
    supervise: Callable[[], Supervisor],
    become: Callable[[str], None],
    claimed: bool,  # noqa: FBT001 - a case
) -> None:
    become("raise SystemExit(1)")
    if claimed:
        product.catalog.jobs.claim(f"{trainer_prefix(product.settings.home)}7")
    supervise()
    until(lambda: state(product, asked) == "failed")
    error = product.catalog.jobs.get(W, asked.id).error
    assert error is not None
    assert error["code"] == "trainer_died"


def test_settings_of_another_home_do_not_meet(tmp_path: Path) -> None:
    """Two homes have a trainer each."""
    homes = [tmp_path / "a", tmp_path / "b"]
    with ExitStack() as stack:
        supervisors = []
        for home in homes:
            (home / "run").mkdir(parents=True)
            catalog = Catalog(f"sqlite:///{home / 'catalog.sqlite'}")
            stack.callback(catalog.close)
            supervisor = Supervisor(settings_of(home), catalog)
            stack.callback(supervisor.stop)
            supervisor.start()
            supervisors.append(supervisor)
        until(lambda: all(alive(s) for s in supervisors))
