"""The job table: asked for once, claimed once, ended once, and never running for ever."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from service.catalog import FINISHED, Catalog, Job
from service.catalog.endings import MAX_ATTEMPTS
from service.errors import Conflict, NotFound

W = "default"
ME = "host:home:1:me"
STALE_S = 15.0


@pytest.fixture
def running(catalog: Catalog) -> Job:
    catalog.jobs.submit(W, "learn", {"n": 1})
    job = catalog.jobs.claim(ME)
    assert job is not None
    return job


def state(catalog: Catalog, job: Job) -> str:
    return catalog.jobs.get(W, job.id).state


def age(catalog: Catalog, job: Job, seconds: float) -> None:
    """Makes a job's last sign of life older."""
    with catalog.database.write() as connection:
        connection.exec_driver_sql(
            f"UPDATE jobs SET heartbeat = heartbeat - {seconds} WHERE id = '{job.id}'"
        )


def test_a_job_is_what_was_asked_for(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {"name": "h", "options": {"seed": 1}})
    assert (job.kind, job.state, job.stage, job.progress) == ("learn", "queued", "waiting", 0.0)
    assert job.request == {"name": "h", "options": {"seed": 1}}
    assert (job.result, job.error, job.started, job.finished) == (None, None, None, None)
    assert (job.attempts, job.cancel_requested) == (0, False)
    assert catalog.jobs.get(W, job.id) == job


def test_a_job_that_is_not_there_is_named(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {})
    for workspace, which in ((W, "nope"), ("other", job.id)):
        with pytest.raises(NotFound) as refused:
            catalog.jobs.get(workspace, which)
        assert (refused.value.what, refused.value.which) == ("job", which)
        with pytest.raises(NotFound):
            catalog.jobs.cancel(workspace, which)
    assert state(catalog, job) == "queued"


def test_jobs_are_listed_newest_first(catalog: Catalog) -> None:
    ids = []
    for n in range(4):
        ids.append(catalog.jobs.submit(W, "learn", {"n": n}).id)
        time.sleep(0.002)
    assert [j.id for j in catalog.jobs.all(W)] == ids[::-1]
    assert [j.id for j in catalog.jobs.all(W, limit=2)] == ids[:1:-1]
    assert catalog.jobs.all("other") == []


def test_an_unknown_workspace_gets_no_job(catalog: Catalog) -> None:
    with pytest.raises(IntegrityError):
        catalog.jobs.submit("nope", "learn", {})


def test_the_same_key_with_the_same_request_is_the_same_job(catalog: Catalog) -> None:
    request: dict[str, Any] = {"name": "h", "mean": (0.5, 0.5)}
    first = catalog.jobs.submit(W, "learn", request, "key")
    assert catalog.jobs.submit(W, "learn", request, "key") == first
    assert catalog.jobs.repeated(W, request, "key") == first
    assert len(catalog.jobs.all(W)) == 1
    assert catalog.jobs.submit(W, "learn", request, "other key").id != first.id
    assert catalog.jobs.repeated(W, request, "third key") is None


def test_a_key_answers_with_the_job_as_it_is_now(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {}, "key")
    catalog.jobs.cancel(W, job.id)
    assert catalog.jobs.submit(W, "learn", {}, "key").state == "cancelled"


def test_the_same_key_with_another_request_is_refused(catalog: Catalog) -> None:
    catalog.jobs.submit(W, "learn", {"name": "h"}, "key")
    with pytest.raises(Conflict):
        catalog.jobs.submit(W, "learn", {"name": "g"}, "key")
    with pytest.raises(Conflict):
        catalog.jobs.repeated(W, {"name": "g"}, "key")
    assert len(catalog.jobs.all(W)) == 1


def test_without_a_key_every_request_is_a_job_of_its_own(catalog: Catalog) -> None:
    assert catalog.jobs.submit(W, "learn", {}).id != catalog.jobs.submit(W, "learn", {}).id
    assert catalog.jobs.repeated(W, {}, None) is None


def test_the_same_key_sent_many_times_at_once_is_one_job(
    open_catalog: Callable[[], Catalog],
) -> None:
    catalogs = [open_catalog() for _ in range(4)]
    ids: list[str] = []
    barrier = threading.Barrier(len(catalogs))

    def work(catalog: Catalog) -> None:
        barrier.wait()
        ids.append(catalog.jobs.submit(W, "learn", {"name": "h"}, "key").id)

    run_all([threading.Thread(target=work, args=(c,)) for c in catalogs])
    assert len(ids) == 4
    assert len(set(ids)) == 1


def test_the_oldest_job_is_claimed_first(catalog: Catalog) -> None:
    ids = []
    for _ in range(3):
        ids.append(catalog.jobs.submit(W, "learn", {}).id)
        time.sleep(0.002)
    claimed = [catalog.jobs.claim(ME) for _ in range(4)]
    assert [j and j.id for j in claimed] == [*ids, None]


def test_a_claimed_job_runs(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {"n": 1})
    claimed = catalog.jobs.claim(ME)
    assert claimed is not None
    assert (claimed.id, claimed.state, claimed.attempts) == (job.id, "running", 1)
    assert claimed.started is not None
    assert claimed.request == {"n": 1}


def test_many_threads_claim_every_job_exactly_once(open_catalog: Callable[[], Catalog]) -> None:
    catalogs = [open_catalog() for _ in range(5)]
    asked = {catalogs[0].jobs.submit(W, "learn", {"n": n}).id for n in range(25)}
    claimed: list[str] = []

    def work(catalog: Catalog, owner: str) -> None:
        while job := catalog.jobs.claim(owner):
            claimed.append(job.id)

    run_all([threading.Thread(target=work, args=(c, f"t{n}")) for n, c in enumerate(catalogs)])
    assert len(claimed) == 25
    assert set(claimed) == asked


CLAIM = """
import sys
from service.catalog import Catalog
catalog = Catalog(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
while job := catalog.jobs.claim(sys.argv[2]):
    print(job.id)
catalog.close()
"""


def test_two_processes_claim_every_job_exactly_once(catalog: Catalog, catalog_url: str) -> None:
    asked = {catalog.jobs.submit(W, "learn", {"n": n}).id for n in range(30)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, catalog_url, f"p{n}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    claimed = [line for p in processes for line in p.communicate("go\n", timeout=60)[0].split()]
    assert [p.returncode for p in processes] == [0, 0]
    assert len(claimed) == 30
    assert set(claimed) == asked


def test_progress_is_reported_with_its_stage(catalog: Catalog, running: Job) -> None:
    assert catalog.jobs.report(running.id, ME, stage="fitting", progress=0.5)
    now = catalog.jobs.get(W, running.id)
    assert (now.stage, now.progress) == ("fitting", 0.5)


def test_only_the_owner_speaks_for_a_job(catalog: Catalog, running: Job) -> None:
    other = "host:home:2:other"
    assert not catalog.jobs.report(running.id, other, stage="x", progress=0.9)
    catalog.jobs.fail(running.id, other, {"code": "x"})
    catalog.jobs.cancelled(running.id, other)
    catalog.jobs.give_back(running.id, other)
    with catalog.database.write() as connection:
        assert not catalog.jobs.succeed(connection, running.id, other, {})
    assert catalog.jobs.get(W, running.id) == running


def test_success_is_written_with_what_made_it_true(catalog: Catalog, running: Job) -> None:
    def finish(result: dict[str, Any], *, then: Exception | None = None) -> bool:
        with catalog.database.write() as connection:
            version = catalog.heads.register(
                connection,
                W,
                "h",
                artefact="a" * 64,
                space_id="s",
                dataset="d",
                training={},
                actor="trainer",
            )
            done = catalog.jobs.succeed(connection, running.id, ME, {**result, "version": version})
            if then is not None:
                raise then
            return done

    with pytest.raises(KeyError):
        finish({"head": "h"}, then=KeyError())
    assert catalog.heads.entries(W) == []
    assert state(catalog, running) == "running"

    assert finish({"head": "h"})
    done = catalog.jobs.get(W, running.id)
    assert (done.state, done.progress, done.stage) == ("succeeded", 1.0, "")
    assert done.result == {"head": "h", "version": 1}
    assert done.finished is not None
    assert catalog.heads.entry(W, "h").aliases == {"champion": 1}


def test_a_cancelled_or_lost_job_cannot_succeed(catalog: Catalog, running: Job) -> None:
    catalog.jobs.cancel(W, running.id)
    with catalog.database.write() as connection:
        assert not catalog.jobs.succeed(connection, running.id, ME, {})
    catalog.jobs.cancelled(running.id, ME)
    with catalog.database.write() as connection:
        assert not catalog.jobs.succeed(connection, running.id, ME, {})
    assert state(catalog, running) == "cancelled"


def test_failure_is_written_with_its_reason(catalog: Catalog, running: Job) -> None:
    catalog.jobs.fail(running.id, ME, {"code": "no_signal", "problems": [{"code": "x"}]})
    failed = catalog.jobs.get(W, running.id)
    assert (failed.state, failed.error) == (
        "failed",
        {"code": "no_signal", "problems": [{"code": "x"}]},
    )
    assert failed.finished is not None
    assert not catalog.jobs.report(running.id, ME, stage="x", progress=1.0)


def test_a_queued_job_is_cancelled_at_once(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {})
    cancelled = catalog.jobs.cancel(W, job.id)
    assert cancelled.state == "cancelled"
    assert cancelled.finished is not None
    assert catalog.jobs.claim(ME) is None


def test_a_running_job_is_told_to_stop_at_its_next_step(catalog: Catalog, running: Job) -> None:
    asked = catalog.jobs.cancel(W, running.id)
    assert (asked.state, asked.cancel_requested) == ("running", True)
    assert not catalog.jobs.report(running.id, ME, stage="x", progress=0.5)
    catalog.jobs.cancelled(running.id, ME)
    assert state(catalog, running) == "cancelled"


def test_cancelling_twice_is_cancelling(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {})
    assert catalog.jobs.cancel(W, job.id) == catalog.jobs.cancel(W, job.id)


@pytest.mark.parametrize("end", ["succeeded", "failed"])
def test_an_ended_job_cannot_be_cancelled(catalog: Catalog, running: Job, end: str) -> None:
    with catalog.database.write() as connection:
        if end == "succeeded":
            catalog.jobs.succeed(connection, running.id, ME, {})
    if end == "failed":
        catalog.jobs.fail(running.id, ME, {})
    with pytest.raises(Conflict):
        catalog.jobs.cancel(W, running.id)
    assert state(catalog, running) == end
    assert end in FINISHED


def test_a_job_given_back_is_as_if_never_started(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {})
    for _ in range(MAX_ATTEMPTS + 2):  # giving back costs no attempt
        assert catalog.jobs.claim(ME) is not None
        catalog.jobs.give_back(job.id, ME)
    assert catalog.jobs.get(W, job.id) == job


def test_a_job_given_back_that_was_cancelled_is_cancelled(catalog: Catalog, running: Job) -> None:
    catalog.jobs.cancel(W, running.id)
    catalog.jobs.give_back(running.id, ME)
    assert state(catalog, running) == "cancelled"
    assert catalog.jobs.claim(ME) is None


def test_jobs_that_nobody_can_start_fail_with_the_reason(catalog: Catalog, running: Job) -> None:
    waiting = catalog.jobs.submit(W, "learn", {})
    catalog.jobs.fail_waiting()
    failed = catalog.jobs.get(W, waiting.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "trainer_died"
    assert state(catalog, running) == "running"


def test_a_job_whose_trainer_died_starts_once_more_and_then_fails(catalog: Catalog) -> None:
    job = catalog.jobs.submit(W, "learn", {})
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claimed = catalog.jobs.claim(ME)
        assert claimed is not None
        assert claimed.attempts == attempt
        assert catalog.jobs.recover(orphaned_owner_prefix="host:home:", stale_s=STALE_S) == [job.id]
    failed = catalog.jobs.get(W, job.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "trainer_died"
    assert catalog.jobs.claim(ME) is None


def test_a_job_that_starts_again_starts_from_nothing(catalog: Catalog, running: Job) -> None:
    catalog.jobs.report(running.id, ME, stage="fitting", progress=0.7)
    catalog.jobs.recover(orphaned_owner_prefix="host:", stale_s=STALE_S)
    again = catalog.jobs.get(W, running.id)
    assert (again.state, again.progress, again.attempts) == ("queued", 0.0, 1)


def test_a_dead_trainer_whose_job_was_cancelled_cancels_it(catalog: Catalog, running: Job) -> None:
    catalog.jobs.cancel(W, running.id)
    catalog.jobs.recover(orphaned_owner_prefix="host:home:", stale_s=STALE_S)
    assert state(catalog, running) == "cancelled"


def test_a_trainer_elsewhere_that_is_alive_is_left_alone(catalog: Catalog, running: Job) -> None:
    for prefix in (None, "host:other:", "another"):
        assert catalog.jobs.recover(orphaned_owner_prefix=prefix, stale_s=STALE_S) == []
    assert state(catalog, running) == "running"


def test_a_trainer_that_was_not_heard_of_for_long_counts_as_dead(
    catalog: Catalog, running: Job
) -> None:
    age(catalog, running, STALE_S + 1)
    assert catalog.jobs.recover(orphaned_owner_prefix=None, stale_s=STALE_S) == [running.id]
    assert state(catalog, running) == "queued"


@pytest.mark.parametrize("sign", ["beat", "report"])
def test_a_sign_of_life_keeps_a_job(catalog: Catalog, running: Job, sign: str) -> None:
    age(catalog, running, STALE_S + 1)
    if sign == "beat":
        catalog.jobs.beat(running.id, ME)
    else:
        catalog.jobs.report(running.id, ME, stage="x", progress=0.1)
    assert catalog.jobs.recover(orphaned_owner_prefix=None, stale_s=STALE_S) == []


def test_a_trainer_that_lost_its_job_cannot_take_it_back(catalog: Catalog, running: Job) -> None:
    catalog.jobs.recover(orphaned_owner_prefix="host:", stale_s=STALE_S)
    second = catalog.jobs.claim("host:home:2:next")
    assert second is not None
    assert not catalog.jobs.report(running.id, ME, stage="x", progress=0.9)
    with catalog.database.write() as connection:
        assert not catalog.jobs.succeed(connection, running.id, ME, {})
    assert catalog.jobs.get(W, running.id) == replace(second)


def test_a_cancelled_job_that_does_not_stop_is_noticed(catalog: Catalog, running: Job) -> None:
    assert not catalog.jobs.overdue_cancellation("host:home:", 10.0)
    catalog.jobs.cancel(W, running.id)
    assert not catalog.jobs.overdue_cancellation("host:home:", 10.0)
    age(catalog, running, 11.0)
    catalog.jobs.beat(running.id, ME)  # the process is alive, but it does not stop
    assert catalog.jobs.overdue_cancellation("host:home:", 10.0)
    assert not catalog.jobs.overdue_cancellation("host:other:", 10.0)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
