"""One job as it stands. Knows no queries."""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Row

from service.catalog.audit import SYSTEM

FINISHED = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands.

    Args:
        id: 32 hex digits.
        workspace: whose job it is.
        kind: what is to be done, as `learn`.
        state: queued, running, succeeded, failed or cancelled.
        progress: 0 to 1.
        stage: what is being done, in words.
        request: what was asked for.
        result: what came of it.
        error: a problem object where it failed.
        created, started, finished: RFC 3339 times.
        attempts: how often it was started.
        cancel_requested: somebody wants it to stop.
        actor: who asked for it.
    """

    id: str
    workspace: str
    kind: str
    state: str
    progress: float
    stage: str
    request: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created: str
    started: str | None
    finished: str | None
    attempts: int
    cancel_requested: bool
    actor: str = SYSTEM


def as_job(row: Row[Any]) -> Job:
    """A row of the job table."""
    return Job(**{field.name: getattr(row, field.name) for field in fields(Job)})
