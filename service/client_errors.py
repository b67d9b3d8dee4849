"""Everything that a client may be told no for. Knows nothing of how requests are sent.

PenultimateError                type, title, status, detail, code, hint, problems, answer
├── ServerUnreachable           nobody answers at the address, or not in our language
├── JobFailed                   a job that was waited for failed or was cancelled; job has it whole
├── StillRunning                a job that was waited for takes longer than was allowed
└── FolderUnusable              a folder of images, or a CSV that describes it, cannot be used
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self


class PenultimateError(Exception):
    """A request was refused.

    Args:
        detail: what happened and to which thing, for a person.
        status: the HTTP status; 0 where no answer came.
        code: stable, in snake_case; this is what programs compare.
        title: the kind of refusal.
        hint: what to do about it.
        problems: every single problem, where there are several.
        answer: the whole body that came, where one came.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int = 0,
        code: str = "error",
        title: str = "",
        hint: str = "",
        problems: Sequence[Mapping[str, Any]] = (),
        answer: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.title = title
        self.hint = hint
        self.problems = [dict(p) for p in problems]
        self.answer = None if answer is None else dict(answer)
        self.type = str((answer or {}).get("type", "about:blank"))

    @classmethod
    def from_problem(cls, body: Mapping[str, Any]) -> Self:
        """The error that a problem object (RFC 9457) describes."""
        return cls(
            str(body.get("detail", "")),
            status=int(body.get("status", 0)),
            code=str(body.get("code", "error")),
            title=str(body.get("title", "")),
            hint=str(body.get("hint", "")),
            problems=body.get("problems", ()),
            answer=body,
        )


class ServerUnreachable(PenultimateError):
    """Nobody answers at the address, or whoever does is no Penultimate server."""

    def __init__(self, url: str, reason: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(
            f"No usable answer from {url}: {reason}",
            status=status,
            code="server_unreachable",
            title="The server cannot be reached",
            hint=hint or "Check the address; `penultimate serve` starts a server.",
        )
        self.url = url
        self.reason = reason


class JobFailed(PenultimateError):
    """A job that was waited for did not succeed.

    Its fields are those of the problem that the job ended with.
    """

    job: Mapping[str, Any] = {}
    """The job as it stands."""

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Self:
        """The error for a job that failed or was cancelled."""
        cancelled = {
            "detail": f"Job {job['id']} was cancelled.",
            "code": "job_cancelled",
            "title": "The job was cancelled",
            "hint": "Ask again.",
        }
        error = cls.from_problem(job.get("error") or cancelled)
        error.job = dict(job)
        return error


class StillRunning(PenultimateError):
    """A job takes longer than its caller wanted to wait; it goes on.

    Args:
        job: the job as it stood last.
        timeout_s: how long was waited.
    """

    def __init__(self, job: Mapping[str, Any], timeout_s: float) -> None:
        super().__init__(
            f"Job {job['id']} is {job['state']} after {timeout_s:g} s.",
            code="still_running",
            title="The job is not finished",
            hint="It goes on; wait for it again.",
            answer=job,
        )
        self.job = dict(job)


class FolderUnusable(PenultimateError):
    """A folder of images, or a CSV that describes it, cannot be used."""

    def __init__(
        self, detail: str, *, hint: str = "", problems: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(
            detail,
            code="folder_unusable",
            title="The folder cannot be used",
            hint=hint,
            problems=problems,
        )
