"""The shape of a refusal."""

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    problems: list[dict[str, Any]] | None = None
