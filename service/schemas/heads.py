"""The shapes of heads and of their history, as they are answered. Knows no card."""

from typing import Literal

from pydantic import BaseModel, Field


class HeadVersion(BaseModel):
    """One version of a head."""

    version: int
    space: str = Field(description="The only space whose vectors it understands.")
    dataset: str = Field(description="Empty where the version came as a file.")
    artefact: str = Field(description="The hash that it is kept under.")
    created: str


class HeadAnswer(BaseModel):
    """One head: its versions, aliases and champion."""

    name: str
    created: str
    champion: int | None = Field(description="The version that answers where none is named.")
    aliases: dict[str, int] = Field(description="Versions by alias.")
    protected: bool = Field(description="Whether only admins may change what it answers.")
    versions: list[HeadVersion] = Field(description="Oldest first.")


class HeadsAnswer(BaseModel):
    """Every head of the workspace."""

    heads: list[HeadAnswer]


class Move(BaseModel):
    """An alias that was moved."""

    alias: str
    version: int | None = Field(description="Null where the alias was removed.")
    previous: int | None
    reason: str
    actor: str
    at: str


class HistoryAnswer(BaseModel):
    """Who moved which alias of a head when."""

    head: str
    history: list[Move] = Field(description="Newest first.")


class HeadDeleted(BaseModel):
    """A head that is gone."""

    head: str
    deleted: Literal[True]


class VersionDeleted(BaseModel):
    """A version that is gone."""

    head: str
    version: int
    deleted: Literal[True]
