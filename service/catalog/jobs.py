"""The job table: who wants what done, who does it, how far it is. Knows nothing of what jobs do."""

import json
import time
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from service.catalog.audit import SYSTEM, note
from service.catalog.database import Database, now
from service.catalog.endings import NO_TRAINER, settlement
from service.catalog.job import Job, as_job
from service.catalog.tables import jobs
from service.errors import Conflict, NotFound


class Jobs:
    """The jobs of every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def submit(
        self,
        workspace: str,
        kind: str,
        request: dict[str, Any],
        idempotency_key: str | None = None,
        *,
        actor: str = SYSTEM,
    ) -> Job:
        """Queues a job; durable on return. The same key with the same request is the same job.

        Raises:
            Conflict: the key was used for another request.
        """
        job_id = uuid4().hex
        values = {
            "id": job_id,
            "workspace": workspace,
            "kind": kind,
            "state": "queued",
            "stage": "waiting",
            "request": request,
            "idempotency_key": idempotency_key,
            "created": now(),
            "actor": actor,
        }
        with self._database.write() as connection:
            same = _repeated(connection, workspace, request, idempotency_key)
            if same is not None:
                return same
            details = {"kind": kind, "head": request.get("name"), "dataset": request.get("dataset")}
            note(connection, workspace, actor, "job.submit", job_id, details=details)
            return as_job(connection.execute(insert(jobs).values(values).returning(jobs)).one())

    def repeated(
        self, workspace: str, request: dict[str, Any], idempotency_key: str | None
    ) -> Job | None:
        """The job that the same request with this key made before; None where there is none.

        Raises:
            Conflict: the key was used for another request.
        """
        with self._database.read() as connection:
            return _repeated(connection, workspace, request, idempotency_key)

    def get(self, workspace: str, job_id: str) -> Job:
        """One job."""
        with self._database.read() as connection:
            condition = (jobs.c.workspace == workspace) & (jobs.c.id == job_id)
            row = connection.execute(select(jobs).where(condition)).first()
        if row is None:
            raise NotFound("job", job_id, hint="GET /v1/jobs lists those there are.")
        return as_job(row)

    def all(self, workspace: str, limit: int = 200) -> list[Job]:
        """The newest jobs of a workspace, newest first."""
        query = (
            select(jobs)
            .where(jobs.c.workspace == workspace)
            .order_by(jobs.c.created.desc(), jobs.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [as_job(row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """How many jobs of all workspaces are in each state; states of none are absent."""
        query = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def cancel(self, workspace: str, job_id: str, *, actor: str = SYSTEM) -> Job:
        """Cancels a job: at once where it is queued, at its next step where it runs.

        Raises:
            Conflict: it has succeeded or failed already.
        """
        with self._database.write() as connection:
            mine = (jobs.c.workspace == workspace) & (jobs.c.id == job_id)
            queued = update(jobs).where(mine, jobs.c.state == "queued")
            stopped = connection.execute(
                queued.values(state="cancelled", stage="", finished=now())
            ).rowcount
            running = update(jobs).where(mine, jobs.c.state == "running")
            stopped += connection.execute(running.values(cancel_requested=True)).rowcount
            if stopped:
                note(connection, workspace, actor, "job.cancel", job_id)
        job = self.get(workspace, job_id)
        if job.state in ("succeeded", "failed"):
            raise Conflict(
                f"Job {job_id} has {job.state} already; it cannot be cancelled.",
                hint="A version that it made can be deleted.",
            )
        return job

    def claim(self, owner: str) -> Job | None:
        """Takes the oldest queued job, if there is one."""
        oldest = (
            select(jobs.c.id)
            .where(jobs.c.state == "queued")
            .order_by(jobs.c.created, jobs.c.id)
            .limit(1)
        )
        with self._database.read() as connection:
            if connection.execute(oldest).first() is None:
                return None
        with self._database.write() as connection:
            taken = connection.execute(
                update(jobs)
                .where(jobs.c.id == oldest.scalar_subquery(), jobs.c.state == "queued")
                .values(
                    state="running",
                    stage="starting",
                    owner=owner,
                    heartbeat=time.time(),
                    started=now(),
                    attempts=jobs.c.attempts + 1,
                )
                .returning(jobs)
            ).first()
        return None if taken is None else as_job(taken)

    def report(self, job_id: str, owner: str, *, stage: str, progress: float) -> bool:
        """Says how far a job is; False where it should stop (cancelled, or taken away)."""
        with self._database.write() as connection:
            row = connection.execute(
                update(jobs)
                .where(_running(job_id, owner))
                .values(stage=stage, progress=progress, heartbeat=time.time())
                .returning(jobs.c.cancel_requested)
            ).first()
        return row is not None and not row.cancel_requested

    def beat(self, job_id: str, owner: str) -> None:
        """Says that the owner of a job is alive; not after it was cancelled, when time runs out."""
        wanted = _running(job_id, owner) & jobs.c.cancel_requested.is_(False)
        with self._database.write() as connection:
            connection.execute(update(jobs).where(wanted).values(heartbeat=time.time()))

    def succeed(
        self, connection: Connection, job_id: str, owner: str, result: dict[str, Any]
    ) -> bool:
        """Marks success, in the transaction that makes it true; False where the job was lost."""
        changed = connection.execute(
            update(jobs)
            .where(_running(job_id, owner), jobs.c.cancel_requested.is_(False))
            .values(state="succeeded", progress=1.0, stage="", result=result, finished=now())
        )
        return changed.rowcount == 1

    def fail(self, job_id: str, owner: str, error: dict[str, Any]) -> None:
        """Marks failure with its reason."""
        self._finish(job_id, owner, state="failed", error=error)

    def cancelled(self, job_id: str, owner: str) -> None:
        """Confirms a cancellation."""
        self._finish(job_id, owner, state="cancelled")

    def give_back(self, job_id: str, owner: str) -> None:
        """Puts a job back into the queue, as if it had not been started; one to cancel ends."""
        with self._database.write() as connection:
            stop = update(jobs).where(_running(job_id, owner), jobs.c.cancel_requested.is_(True))
            connection.execute(stop.values(state="cancelled", stage="", finished=now()))
            connection.execute(
                update(jobs)
                .where(_running(job_id, owner))
                .values(
                    state="queued",
                    stage="waiting",
                    progress=0.0,
                    started=None,
                    attempts=jobs.c.attempts - 1,
                )
            )

    def fail_waiting(self) -> None:
        """Fails every queued job: the process that should do them cannot be started."""
        with self._database.write() as connection:
            connection.execute(
                update(jobs)
                .where(jobs.c.state == "queued")
                .values(state="failed", stage="", finished=now(), error=NO_TRAINER)
            )

    def recover(self, *, orphaned_owner_prefix: str | None, stale_s: float) -> list[str]:
        """Settles running jobs whose process is gone: queued once more, failed or cancelled.

        Args:
            orphaned_owner_prefix: owners that start so are known to be gone.
            stale_s: any owner not heard of for so many seconds counts as gone.

        Returns:
            The ids of the jobs that were settled.
        """
        settled = []
        with self._database.write() as connection:
            for row in connection.execute(select(jobs).where(jobs.c.state == "running")).all():
                known_gone = orphaned_owner_prefix is not None and (row.owner or "").startswith(
                    orphaned_owner_prefix
                )
                if known_gone or _since(row.heartbeat) > stale_s:
                    values = settlement(row)
                    connection.execute(update(jobs).where(jobs.c.id == row.id).values(values))
                    settled.append(row.id)
        return settled

    def overdue_cancellation(self, owner_prefix: str, older_than_s: float) -> bool:
        """Whether a job should have stopped by now but its owner has not said so."""
        query = select(jobs.c.heartbeat).where(
            jobs.c.state == "running",
            jobs.c.cancel_requested.is_(True),
            jobs.c.owner.startswith(owner_prefix, autoescape=True),
        )
        with self._database.read() as connection:
            beats = connection.execute(query).scalars().all()
        return any(_since(b) > older_than_s for b in beats)

    def _finish(self, job_id: str, owner: str, **values: object) -> None:
        with self._database.write() as connection:
            connection.execute(
                update(jobs)
                .where(_running(job_id, owner))
                .values(finished=now(), stage="", **values)
            )


def _repeated(
    connection: Connection, workspace: str, request: dict[str, Any], key: str | None
) -> Job | None:
    if key is None:
        return None
    condition = (jobs.c.workspace == workspace) & (jobs.c.idempotency_key == key)
    row = connection.execute(select(jobs).where(condition)).first()
    if row is None:
        return None
    if row.request != json.loads(json.dumps(request)):
        raise Conflict(
            f"Idempotency-Key '{key}' was used for another request.",
            hint="Send a new key with a new request.",
        )
    return as_job(row)


def _since(heartbeat: float | None) -> float:
    """Seconds since a heartbeat; one from the future is as far away, for the clock was set back."""
    return abs(time.time() - (heartbeat or 0.0))


def _running(job_id: str, owner: str) -> ColumnElement[bool]:
    return (jobs.c.id == job_id) & (jobs.c.owner == owner) & (jobs.c.state == "running")
