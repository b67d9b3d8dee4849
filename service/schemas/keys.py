"""The shapes of the HTTP contract about keys, protection and the audit. Knows no rules."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from service.access import Role
from service.schemas.asked import Asked

MAX_LINES = 1_000


class Protection(Asked):
    """Whether only admins may change what a head answers."""

    protected: bool


class KeyRequest(Asked):
    """Asks for a key to the workspace of whoever asks."""

    role: Role
    name: str | None = Field(default=None, description="Unique; one is made up otherwise.")
    expires: str | None = Field(
        default=None, max_length=40, description="`12h`, `90d`, `4w` or an RFC 3339 time."
    )
    workspace: str | None = Field(
        default=None, max_length=64, description="Refused where it is not the asker's own."
    )


class KeyAnswer(BaseModel):
    """A key, without its secret."""

    id: str
    name: str
    workspace: str
    role: Role
    state: Literal["active", "expired", "revoked"]
    created: str
    created_by: str
    expires: str | None
    revoked: str | None


class NewKeyAnswer(KeyAnswer):
    """A new key, with its secret this one time."""

    key: str


class KeysAnswer(BaseModel):
    """Every key of the workspace."""

    keys: list[KeyAnswer]


class AuditLine(BaseModel):
    """Who did what to which thing, when, with which result."""

    workspace: str
    number: int = Field(description="Counts from 1 in each workspace.")
    at: str
    actor: str
    action: str
    which: str
    result: str = Field(description="`done`, or the code of the refusal.")
    details: dict[str, Any]
    previous: str = Field(description="The hash of the line before.")
    hash: str


class AuditAnswer(BaseModel):
    """Lines of the audit, newest first."""

    lines: list[AuditLine]
    next: int | None = Field(description="`before` of the next page; null at the first line.")
