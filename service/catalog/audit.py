"""Who did what to which thing, when, with which result: lines that are added, never changed.

A line is written in the transaction of the change it speaks of: neither is there without the other.
Each workspace has a chain of its own, so that whoever may read it can check it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from sqlalchemy import Connection, Row, Select, insert, select

from service.catalog.database import Database, now
from service.catalog.tables import audit
from service.chain import START, breaks, seal

log = structlog.get_logger("audit")

SYSTEM = "system"
"""Who acts where no person asked for it."""

MAX_WHICH = 200

PAGE = 1_000
"""Lines that are read at once where all of them are."""


def note(
    connection: Connection,
    workspace: str,
    actor: str,
    action: str,
    which: str,
    *,
    details: Mapping[str, Any] | None = None,
    result: str = "done",
) -> None:
    """Adds a line, within the write transaction of what it speaks of.

    Args:
        connection: an open write transaction: one writer at a time, so that no two lines follow
            from the same one.
        workspace: whose chain.
        actor: the name of the key, `operator:…` for the command line on the home.
        action: thing and verb, as in `head.delete`.
        which: the name of the thing; never an image, a vector or a key.
        details: numbers and names that say more.
        result: `done`, or the code of the refusal.
    """
    newest = select(audit.c.number, audit.c.hash).where(audit.c.workspace == workspace)
    last = connection.execute(newest.order_by(audit.c.number.desc()).limit(1)).first()
    line: dict[str, Any] = {
        "workspace": workspace,
        "number": 1 if last is None else last.number + 1,
        "at": now(),
        "actor": actor,
        "action": action,
        "which": _shown(which),
        "result": result,
        "details": dict(details or {}),
        "previous": START if last is None else last.hash,
    }
    line["hash"] = seal(line)
    connection.execute(insert(audit).values(line))
    # A copy where whoever can write to the catalog cannot; a line without a row was rolled back.
    log.info("audit", number=line["number"], action=action, result=result, seal=line["hash"])


class Audit:
    """The lines of every workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def lines(
        self, workspace: str, *, limit: int, before: int | None = None
    ) -> list[dict[str, Any]]:
        """The newest lines, newest first; `before` leaves out that number and later ones."""
        query = select(audit).where(audit.c.workspace == workspace)
        if before is not None:
            query = query.where(audit.c.number < before)
        return self._read(query.order_by(audit.c.number.desc()).limit(limit))

    def add(
        self,
        workspace: str,
        actor: str,
        action: str,
        which: str,
        result: str,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds a line about something that changed nothing: a refusal, a question, a copy made."""
        with self._database.write() as connection:
            note(connection, workspace, actor, action, which, result=result, details=details)

    def check(self, workspace: str) -> list[str]:
        """Where the chain of a workspace is broken, in words; empty where it is whole."""
        return breaks(self._all(workspace))

    def _all(self, workspace: str) -> Iterator[dict[str, Any]]:
        last = -1
        while True:
            query = select(audit).where(audit.c.workspace == workspace, audit.c.number > last)
            page = self._read(query.order_by(audit.c.number).limit(PAGE))
            if not page:
                return
            yield from page
            last = page[-1]["number"]

    def _read(self, query: Select[Any]) -> list[dict[str, Any]]:
        with self._database.read() as connection:
            return [_line(row) for row in connection.execute(query)]


def _line(row: Row[Any]) -> dict[str, Any]:
    return {str(column.key): getattr(row, column.key) for column in audit.c}


def _shown(which: str) -> str:
    """A name as it can be kept: what a client called a thing need not be a name."""
    return "".join(c for c in which if c.isprintable())[:MAX_WHICH]
