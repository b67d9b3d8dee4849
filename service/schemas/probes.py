"""The shapes of what probes are answered."""

from typing import Literal

from pydantic import BaseModel


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Starting(BaseModel):
    """Requests cannot be answered yet."""

    status: Literal["starting"]


class Ready(BaseModel):
    """Requests can be answered."""

    status: Literal["ready"]
    space: str
