"""Verbs of jobs as the requests that they take, one after the other. Sends nothing."""

import time
from collections.abc import Callable

from service.client_errors import JobFailed, StillRunning
from service.exchange import Answer, Call, Flow, ask, path_of

POLL_S = (0.05, 1.0)
"""How often a job is looked at: first, and at the slowest."""

FINISHED = ("succeeded", "failed", "cancelled")

JobProgress = Callable[[Answer], None]
"""Told the job whenever it was looked at."""


def jobs() -> Flow:
    """Lists the newest jobs."""
    return ask(Call("GET", "/v1/jobs"))


def job(job_id: str) -> Flow:
    """Shows one job."""
    return ask(Call("GET", path_of("/v1/jobs/{}", job_id)))


def cancel(job_id: str) -> Flow:
    """Cancels a job: at once where it waits, at its next step where it runs."""
    return ask(Call("DELETE", path_of("/v1/jobs/{}", job_id)))


def wait(
    job_id: str, *, timeout_s: float | None = None, on_progress: JobProgress | None = None
) -> Flow:
    """Waits until a job is done; raises `JobFailed` where it failed or was cancelled."""
    found = yield from job(job_id)
    return (yield from until_done(found, timeout_s, on_progress))


def until_done(job: Answer, timeout_s: float | None, on_progress: JobProgress | None) -> Flow:
    """Looks at a job until it is done; the arguments are those of `wait`."""
    start, (pause_s, longest_s) = time.monotonic(), POLL_S
    while True:
        if on_progress is not None:
            on_progress(job)
        if job["state"] in FINISHED:
            break
        if timeout_s is not None and time.monotonic() - start > timeout_s:
            raise StillRunning(job, timeout_s)
        job = yield from ask(Call("GET", path_of("/v1/jobs/{}", job["id"]), after_s=pause_s))
        pause_s = min(longest_s, pause_s * 1.2)
    if job["state"] != "succeeded":
        raise JobFailed.of(job)
    return job
