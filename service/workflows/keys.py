"""Keys as people see them: made once, listed, revoked. Needs a catalog alone, no backbone."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from service.access import RESERVED, Principal, Role, announce_change, hash_of, new_secret
from service.catalog import Catalog, Key, now
from service.errors import InvalidRequest
from service.names import check_name, check_workspace

SPAN = re.compile(r"([0-9]{1,5})([hdw])")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def create(
    catalog: Catalog,
    home: Path,
    who: Principal,
    *,
    role: Role,
    name: str | None = None,
    expires: str | None = None,
) -> dict[str, Any]:
    """The answer of `POST /v1/keys`: a new key, with its secret this one time.

    Args:
        catalog: where it is kept, as a hash.
        home: whose processes should know of it at once.
        who: makes it, for their own workspace.
        role: predict, train or admin.
        name: unique in the workspace; one is made up where None is given.
        expires: `12h`, `90d`, `4w` or an RFC 3339 time; None is never.

    Raises:
        InvalidRequest: the name or the time cannot be used.
        Conflict: there is, or was, a key of this name.
    """
    check_workspace(who.workspace)
    if name is not None and check_name("key", name).lower() in RESERVED:
        raise InvalidRequest(f"'{name}' cannot be a key's name.", hint="Choose another.")
    until = None if expires is None else _until(expires)
    secret = new_secret()
    key = catalog.keys.add(
        who.workspace,
        name=name,
        role=role,
        hashed=hash_of(secret),
        expires=until,
        actor=who.name,
    )
    announce_change(home)
    return {**_shown(key), "key": secret}


def list_all(catalog: Catalog, who: Principal) -> dict[str, Any]:
    """The answer of `GET /v1/keys`: every key of the workspace, without secrets."""
    return {"keys": [_shown(key) for key in catalog.keys.all(who.workspace)]}


def revoke(catalog: Catalog, home: Path, who: Principal, key_id: str) -> dict[str, Any]:
    """The answer of `DELETE /v1/keys/{id}`: the key, which opens nothing from now on."""
    key = catalog.keys.revoke(who.workspace, key_id, actor=who.name)
    announce_change(home)
    return _shown(key)


def _shown(key: Key) -> dict[str, Any]:
    state = "active"
    if key.revoked is not None:
        state = "revoked"
    elif key.expires is not None and key.expires <= now():
        state = "expired"
    return {
        "id": key.id,
        "name": key.name,
        "workspace": key.workspace,
        "role": key.role,
        "state": state,
        "created": key.created,
        "created_by": key.created_by,
        "expires": key.expires,
        "revoked": key.revoked,
    }


def _until(text: str) -> str:
    span = SPAN.fullmatch(text)
    try:
        when = (
            datetime.now(UTC) + int(span[1]) * UNITS[span[2]]
            if span
            else _in_utc(datetime.fromisoformat(text))
        )
        until = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"'{text[:40]}' is no time to expire at.",
            hint="Say 12h, 90d or 4w, or a time as in 2030-01-31T12:00:00Z.",
        ) from error
    if until <= now():
        raise InvalidRequest(f"{until} has passed.", hint="A key must expire later than now.")
    return until


def _in_utc(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
