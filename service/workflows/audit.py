"""The audit as people read it: pages of lines, newest first. Needs a catalog alone."""

from typing import Any

from service.access import Principal
from service.catalog import Catalog


def lines(
    catalog: Catalog, who: Principal, *, limit: int, before: int | None = None
) -> dict[str, Any]:
    """The answer of `GET /v1/audit`: lines, and where the next page begins."""
    found = catalog.audit.lines(who.workspace, limit=limit, before=before)
    is_last = not found or found[-1]["number"] == 1
    return {"lines": found, "next": None if is_last else found[-1]["number"]}


def check(catalog: Catalog, who: Principal) -> dict[str, Any]:
    """Whether the chain is whole: how many lines, where it is broken, the newest line's hash."""
    newest = catalog.audit.lines(who.workspace, limit=1)
    return {
        "lines": newest[0]["number"] if newest else 0,
        "breaks": catalog.audit.check(who.workspace),
        "seal": newest[0]["hash"] if newest else None,
    }
