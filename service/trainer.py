"""The trainer: one process that works off the job table. Knows nothing of who supervises it.

Started as `python -m service.trainer` with a pipe for standard input: when the pipe closes, its
supervisor is gone, and so is the trainer. A job that it was working on is found again by the next.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import uuid4

import structlog

from classifiers.errors import TrainingCancelled
from classifiers.warming import warm_up
from features.errors import FeatureError
from service.catalog import Job, Jobs
from service.errors import CatalogUnavailable, ServiceError
from service.logs import configure_logs
from service.memory import give_back
from service.names import trainer_prefix
from service.problems import lasting, problem
from service.product import Product
from service.settings import Settings
from service.wiring import build
from service.workflows import erase, heads
from service.workflows.compare import run_comparison
from service.workflows.learn import run_learning
from service.workflows.vectors import Report

log = structlog.get_logger("trainer")

WORK = {"learn": run_learning, "compare": run_comparison}
"""What is done for each kind of job."""

REPORT_EVERY_S = 0.1
BEAT_EVERY_S = 2.0
RECOVER_EVERY_S = 5.0
TEND_EVERY_S = 10.0
LOOK_EVERY_S = 0.5

NICENESS = 15
"""Training gives way to predictions where both want the processor, and so to the backbone's threads
(`features/runtime.py`)."""


class Interrupted(Exception):
    """The trainer should stop; the job it was doing goes back to the queue."""


class Trainer:
    """Claims jobs and does them, one at a time.

    Args:
        product: everything that is wired.
        stopping: set by whoever wants it to stop.
    """

    def __init__(self, product: Product, stopping: Event) -> None:
        self._product = product
        self._jobs: Jobs = product.catalog.jobs
        self._stopping = stopping
        self._prefix = trainer_prefix(product.settings.home)
        self._owner = f"{self._prefix}{os.getpid()}:{uuid4().hex[:8]}"

    def run(self) -> None:
        """Works until told to stop."""
        self._recover(self._prefix)
        for workspace in self._product.catalog.workspaces():
            heads.sweep(self._product, workspace)
        newest, is_warm = self._product.catalog.datasets.newest(), False
        recovered = tended = looked = time.monotonic()
        while not self._stopping.is_set():
            job = self._jobs.claim(self._owner)
            if job is not None:
                self.work(job)
                give_back()
                is_warm = True
                continue
            if not is_warm and time.monotonic() - looked > LOOK_EVERY_S:
                is_warm = self._warmed_since(newest)
                looked = time.monotonic()
            if time.monotonic() - recovered > RECOVER_EVERY_S:
                self._recover(None)
                recovered = time.monotonic()
            if time.monotonic() - tended > TEND_EVERY_S:
                self.tend()
                tended = time.monotonic()
            self._stopping.wait(self._product.settings.job_poll_ms / 1000)

    def work(self, job: Job) -> None:
        """Does one claimed job; whatever happens to it is in the job table afterwards."""
        bound = log.bind(job=job.id, kind=job.kind)
        bound.info("job started", attempt=job.attempts)
        try:
            with self._heart(job):
                WORK[job.kind](self._product, job, self._owner, self._reporter(job))
            bound.info("job succeeded")
        except (Interrupted, CatalogUnavailable):
            # A catalog that is still away says so again here; the job is found as that of a trainer
            # of which nothing is heard.
            self._jobs.give_back(job.id, self._owner)
            bound.info("job given back")
        except TrainingCancelled:
            self._jobs.cancelled(job.id, self._owner)
            bound.info("job cancelled")
        except Exception as error:  # noqa: BLE001 - a job must end with its reason, whatever it is
            said = problem(error)
            self._jobs.fail(job.id, self._owner, lasting(said))
            if said["code"] == "internal_error":
                bound.exception("job failed")
            else:
                bound.info("job failed", code=said["code"])

    def tend(self) -> None:
        """Finishes erasures, and does what makes searches quick, where it is due."""
        try:
            erase.finish_open(self._product)
        except (FeatureError, ServiceError) as error:
            log.warning("erasures are not finished", reason=str(error))
        for workspace in self._product.catalog.workspaces():
            try:
                if self._product.workspaces[workspace].store.tend():
                    log.info("codes written", workspace=workspace)
            except FeatureError as error:
                # Searches go on without; what is wrong with the store, they say as well.
                log.warning("codes not written", workspace=workspace, reason=str(error))

    def _warmed_since(self, newest: int) -> bool:
        """Loads what learning needs, 160 MiB, if images have come since; says whether they have."""
        has_come = self._product.catalog.datasets.newest() != newest
        if has_come:
            warm_up()
            give_back()
        return has_come

    def _recover(self, prefix: str | None) -> None:
        stale_s = self._product.settings.job_stale_s
        settled = self._jobs.recover(orphaned_owner_prefix=prefix, stale_s=stale_s)
        if settled:
            log.warning("jobs recovered", jobs=settled)

    def _reporter(self, job: Job) -> Report:
        last_time, last_stage = 0.0, ""

        def report(stage: str, progress: float) -> None:
            nonlocal last_time, last_stage
            if self._stopping.is_set():
                raise Interrupted
            if stage == last_stage and time.monotonic() - last_time < REPORT_EVERY_S:
                return
            last_time, last_stage = time.monotonic(), stage
            try:
                goes_on = self._jobs.report(job.id, self._owner, stage=stage, progress=progress)
            except CatalogUnavailable as error:
                # What is learnt does not need it; the next report may reach it again.
                log.warning("progress not written", job=job.id, reason=str(error))
                return
            if not goes_on:
                raise TrainingCancelled

        return report

    @contextmanager
    def _heart(self, job: Job) -> Iterator[None]:
        """Says every few seconds that the job is alive, also during one long step."""
        done = Event()

        def beat() -> None:
            while not done.wait(BEAT_EVERY_S):
                with suppress(CatalogUnavailable):
                    self._jobs.beat(job.id, self._owner)

        thread = Thread(target=beat, name="heart", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def main() -> None:
    """Runs a trainer until its standard input closes or it is told to terminate."""
    settings = Settings()
    configure_logs(settings)
    os.nice(NICENESS)
    stopping = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_die_with_supervisor, name="leash", daemon=True).start()
    product = build(settings)
    try:
        Trainer(product, stopping).run()
    finally:
        product.close()


def _die_with_supervisor() -> None:
    # Not through sys.stdin: a thread that holds its lock breaks the interpreter's shutdown.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
