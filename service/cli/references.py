"""Which version of a head is meant: `HEAD`, `HEAD@3` or `HEAD@ALIAS`. Knows no verb."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from service.client_errors import PenultimateError

if TYPE_CHECKING:
    from service.client import Client

Head = Annotated[
    str, typer.Argument(metavar="HEAD", help="A head, or one version as HEAD@3 or HEAD@ALIAS.")
]


class Reference(NamedTuple):
    """What was written: a head, and at most one of version and alias."""

    name: str
    version: int | None = None
    alias: str | None = None


def read_reference(text: str) -> Reference:
    """What `name`, `name@3` or `name@alias` says; nobody is asked yet."""
    from service.names import NAME

    name, at, rest = text.partition("@")
    if not at:
        return Reference(name)
    if rest.isascii() and rest.isdigit():
        return Reference(name, version=int(rest))
    if rest.isdigit() or not NAME.fullmatch(rest):
        raise typer.BadParameter(
            f"'{rest}' is neither a version nor an alias; write {name}@2 or {name}@champion"
        )
    return Reference(name, alias=rest)


def named_version(client: "Client", reference: Reference) -> int | None:
    """The version that is named by its number or by an alias; None where the head alone is."""
    if reference.alias is None:
        return reference.version
    aliases: Mapping[str, int] = client.head(reference.name)["aliases"]
    if reference.alias not in aliases:
        known = ", ".join(sorted(aliases)) or "no alias at all"
        raise PenultimateError(
            f"Head '{reference.name}' has no alias '{reference.alias}'; it has {known}.",
            code="alias_not_found",
        )
    return aliases[reference.alias]


def version_of(client: "Client", head: str) -> tuple[str, int]:
    """The version that `head` names, or the one that is shown where it names none."""
    from service.calls import shown_version

    reference = read_reference(head)
    version = named_version(client, reference)
    name = reference.name
    return name, shown_version(client.head(name)) if version is None else version
