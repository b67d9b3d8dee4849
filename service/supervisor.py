"""Keeps one trainer process alive for each home, whichever process got there first. Knows no jobs.

The lock is the election: of all workers and command lines on one home, the one that holds it runs
the trainer; when it dies, the operating system frees the lock and another takes over.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import IO

import structlog

from service.catalog import Catalog
from service.names import trainer_prefix
from service.settings import Settings

log = structlog.get_logger("supervisor")

LOOK_EVERY_S = 0.5
STOP_WITHIN_S = 10.0
CANCEL_WITHIN_S = 10.0
RESTART_AFTER_S = (0.0, 1.0, 5.0, 15.0)

LIVED_S = 60.0
"""A trainer that lived so long, or took up a job, was sound: what was before no longer counts."""

HOPELESS = 4
"""Deaths in a row after which waiting jobs are told that nobody will do them."""

PACKAGES = Path(__file__).parent.parent
"""Where this package lies; the trainer must not find another `service` in the current folder."""


class Supervisor:
    """A thread that runs the trainer while it holds the lock, and waits for the lock otherwise.

    Args:
        settings: handed to the trainer through the environment.
        catalog: says when a cancelled job does not stop by itself.
    """

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings = settings
        self._catalog = catalog
        self._stopping = Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths = 0
        self._born = 0.0
        self._thread = Thread(target=self._run, name="supervisor", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the trainer, which gives its job back, and the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_WITHIN_S + 2 * LOOK_EVERY_S)

    def _run(self) -> None:
        path = self._settings.home / "run" / "trainer.lock"
        with path.open("a") as lock:
            while not self._stopping.is_set():
                if not _try_lock(lock):
                    self._stopping.wait(LOOK_EVERY_S)
                    continue
                try:
                    self._supervise()
                except Exception:
                    # The catalog may be away for a while; without this thread no job is ever done.
                    log.exception("supervisor failed; it tries again")
                    self._stopping.wait(LOOK_EVERY_S)
                finally:
                    self._end()
                    fcntl.flock(lock, fcntl.LOCK_UN)

    def _supervise(self) -> None:
        while not self._stopping.is_set():
            if self._process is None or self._process.poll() is not None:
                self._restart()
            else:
                self._kill_if_deaf(self._process)
            self._stopping.wait(LOOK_EVERY_S)

    def _kill_if_deaf(self, process: subprocess.Popen[bytes]) -> None:
        mine = trainer_prefix(self._settings.home)
        if self._catalog.jobs.overdue_cancellation(mine, CANCEL_WITHIN_S):
            log.warning("trainer does not stop a cancelled job; it is killed")
            process.kill()
            process.wait()
            # At once, or the next trainer would be killed for the same job while it starts.
            self._settle()

    def _settle(self) -> list[str]:
        """Settles the jobs of a trainer that is dead, without waiting for the next one."""
        return self._catalog.jobs.recover(
            orphaned_owner_prefix=trainer_prefix(self._settings.home),
            stale_s=self._settings.job_stale_s,
        )

    def _restart(self) -> None:
        if self._process is not None:
            log.error("trainer died", status=self._process.returncode)
            # What it died of may be its job: each of these is tried no more than twice.
            if self._settle() or time.monotonic() - self._born > LIVED_S:
                self._deaths = 0
            if self._deaths >= HOPELESS:
                self._catalog.jobs.fail_waiting()
            wait_s = RESTART_AFTER_S[min(self._deaths, len(RESTART_AFTER_S) - 1)]
            self._deaths += 1
            if self._stopping.wait(wait_s):
                return
        self._born = time.monotonic()
        self._process = spawn_trainer(self._settings)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def spawn_trainer(settings: Settings) -> subprocess.Popen[bytes]:
    """Starts a trainer for a home; it lives no longer than this process."""
    environment = {
        **os.environ,
        **{
            f"PENULTIMATE_{name.upper()}": str(value)
            for name, value in settings.model_dump(exclude_none=True).items()
        },
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGES), os.environ.get("PYTHONPATH")])),
    }
    # A terminal sends Ctrl-C to it too, and it is not for it to mind: not even while it starts.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        # A process of its own, not a fork: LightGBM can hang after one.
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "service.trainer"],
            stdin=subprocess.PIPE,
            env=environment,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
