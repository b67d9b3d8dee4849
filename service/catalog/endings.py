"""What becomes of jobs whose trainer is gone. Knows no queries."""

from typing import Any

from sqlalchemy import Row

from service.catalog.database import now

MAX_ATTEMPTS = 2
"""How often a job is started: a second time after its process died, not a third."""

NO_TRAINER = {
    "type": "about:blank",
    "title": "The trainer died",
    "status": 500,
    "code": "trainer_died",
    "detail": "The trainer dies again and again as soon as it is started.",
    "hint": "The server's log says why; mend that, then ask again.",
}
"""Why jobs fail that nobody will ever start."""


def settlement(row: Row[Any]) -> dict[str, Any]:
    """The columns of a running job that nobody works on: queued once more, failed or cancelled."""
    if row.cancel_requested:
        return {"state": "cancelled", "finished": now(), "stage": ""}
    if row.attempts < MAX_ATTEMPTS:
        return {"state": "queued", "stage": "waiting to start again", "progress": 0.0}
    error = {
        "type": "about:blank",
        "title": "The trainer died",
        "status": 500,
        "code": "trainer_died",
        "detail": f"The process that worked on this job died {row.attempts} times.",
        "hint": "Look for memory running out in the server's log, then ask again.",
    }
    return {"state": "failed", "finished": now(), "stage": "", "error": error}
