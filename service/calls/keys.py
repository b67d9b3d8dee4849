"""Verbs of keys and of the audit as the requests that they take. Sends nothing: a client does."""

from typing import Any

from service.chain import breaks
from service.exchange import Call, Flow, ask, json_call, path_of

PAGE = 1_000
"""Lines that one request brings where all of them are wanted."""


def create_key(
    role: str, *, name: str | None = None, expires: str | None = None, workspace: str | None = None
) -> Flow:
    """Makes a key to the workspace; `key` in the answer is its secret, shown this one time.

    Args:
        role: `predict`, `train` or `admin`.
        name: unique in the workspace; one is made up where None is given.
        expires: `12h`, `90d`, `4w` or an RFC 3339 time; None is never.
        workspace: where given, refused if it is not the one that the client's key opens.
    """
    said = {"name": name, "expires": expires, "workspace": workspace}
    body = {"role": role, **{field: value for field, value in said.items() if value is not None}}
    return ask(json_call("POST", "/v1/keys", body))


def keys() -> Flow:
    """Lists the keys of the workspace, without secrets."""
    return ask(Call("GET", "/v1/keys"))


def revoke_key(key_id: str) -> Flow:
    """Takes a key back, for ever."""
    return ask(Call("DELETE", path_of("/v1/keys/{}", key_id)))


def audit(*, limit: int = 100, before: int | None = None) -> Flow:
    """Shows who did what to which thing, newest first.

    Args:
        limit: how many lines, 1 to 1000.
        before: leaves out the line of this number and later ones; `next` of the page before.
    """
    further = "" if before is None else f"&before={before:d}"
    return ask(Call("GET", f"/v1/audit?limit={limit:d}{further}"))


def check_audit() -> Flow:
    """Reads the whole audit and checks its chain: `{"lines", "breaks", "seal"}`.

    `breaks` says in words where lines were changed or removed. `seal` is the hash of the newest
    line; written down elsewhere, it shows later whether the newest lines were taken away.
    """
    lines: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        page = yield from audit(limit=PAGE, before=before)
        lines += page["lines"]
        before = page["next"]
        if before is None:
            break
    lines.reverse()
    seal = lines[-1]["hash"] if lines else None
    return {"lines": len(lines), "breaks": breaks(lines), "seal": seal}
