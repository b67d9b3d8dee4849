"""The library of heads as people see it: what there is, what each says of itself, who answers."""

from typing import Any

from classifiers.head import Head
from features.disk import reaching
from service.access import Principal
from service.catalog import CHAMPION, ELSEWHERE, SYSTEM, HeadEntry, Version
from service.errors import Forbidden, LearntElsewhere, NotFound
from service.names import check_alias
from service.product import Product
from service.workspace import ZOO


def list_all(product: Product, workspace: str) -> dict[str, Any]:
    """The answer of `GET /v1/heads`."""
    return {"heads": [_head(e) for e in product.catalog.heads.entries(workspace)]}


def show(product: Product, workspace: str, name: str) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}`: versions, aliases, champion."""
    return _head(product.catalog.heads.entry(workspace, name))


def card(product: Product, workspace: str, name: str, version: int) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}/versions/{v}`: what the version says of itself."""
    found = find_version(product, workspace, name, version)
    said = product.workspaces[workspace].zoo.load(found.artefact).card.to_dict()
    return {
        **said,
        "name": name,
        "version": version,
        "artefact": found.artefact,
        "dataset": found.dataset,
        "registered": found.created,
    }


def find_version(product: Product, workspace: str, name: str, version: int) -> Version:
    """One version of a head.

    Raises:
        NotFound: there is no such head or version.
    """
    entry = product.catalog.heads.entry(workspace, name)
    found = next((v for v in entry.versions if v.version == version), None)
    if found is None:
        raise NotFound(
            "version", f"{name}@{version}", hint=f"GET /v1/heads/{name} lists its versions."
        )
    return found


def find_taught_here(product: Product, workspace: str, name: str, version: int) -> Version:
    """One version of a head whose images are here.

    Raises:
        NotFound: there is no such head or version.
        LearntElsewhere: it came as a file.
    """
    found = find_version(product, workspace, name, version)
    if found.dataset == ELSEWHERE:
        raise LearntElsewhere(f"{name}@{version}")
    return found


def check_may_change(product: Product, who: Principal, name: str) -> None:
    """Lets only admins change what a protected head answers.

    Raises:
        Forbidden: it is protected, and they are none.
    """
    if not who.may("admin") and product.catalog.heads.is_protected(who.workspace, name):
        raise Forbidden(
            f"Head '{name}' is protected: this needs the role admin.",
            hint="Ask an admin of the workspace to do it.",
        )


def protect(
    product: Product, workspace: str, name: str, *, protected: bool, actor: str = SYSTEM
) -> dict[str, Any]:
    """Protects a head, or protects it no more; answers with the head."""
    product.catalog.heads.protect(workspace, name, protected=protected, actor=actor)
    return show(product, workspace, name)


def point(
    product: Product,
    workspace: str,
    name: str,
    alias: str,
    version: int,
    reason: str,
    *,
    actor: str = SYSTEM,
) -> dict[str, Any]:
    """Points an alias to a version; answers with the head."""
    product.catalog.heads.point(
        workspace, name, check_alias(alias), version, reason=reason, actor=actor
    )
    return show(product, workspace, name)


def history(product: Product, workspace: str, name: str) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}/history`, newest first."""
    return {
        "head": name,
        "history": [
            {
                "alias": m.alias,
                "version": m.version,
                "previous": m.previous,
                "reason": m.reason,
                "actor": m.actor,
                "at": m.at,
            }
            for m in product.catalog.heads.history(workspace, name)
        ],
    }


def delete_head(
    product: Product, workspace: str, name: str, *, actor: str = SYSTEM
) -> dict[str, Any]:
    """Deletes a head with all its versions."""
    _drop(product, workspace, product.catalog.heads.remove(workspace, name, actor=actor))
    return {"head": name, "deleted": True}


def delete_version(
    product: Product, workspace: str, name: str, version: int, *, actor: str = SYSTEM
) -> dict[str, Any]:
    """Deletes one version; a champion is succeeded by the newest version left."""
    unused = product.catalog.heads.remove_version(workspace, name, version, actor=actor)
    _drop(product, workspace, unused)
    return {"head": name, "version": version, "deleted": True}


def keep(product: Product, workspace: str, head: Head) -> str:
    """Writes the artefact of a head and returns its name; no version uses it yet.

    Raises:
        StoreUnavailable: the disk refuses.
    """
    with reaching(product.settings.home / ZOO / workspace):
        return product.workspaces[workspace].zoo.add(head)


def sweep(product: Product, workspace: str) -> int:
    """Removes artefacts that no version uses: what a crash left between artefact and row.

    None where no version uses any, or where the artefacts are another catalog's: this one is more
    likely a wrong one, or a new one in the place of one that was damaged.
    """
    zoo = product.workspaces[workspace].zoo
    used = product.catalog.heads.artefacts(workspace)
    mine = bool(used) and _is_ours(product, workspace)
    unused = set(zoo.artefacts()) - used if mine else set()
    _drop(product, workspace, unused)
    return len(unused)


def _is_ours(product: Product, workspace: str) -> bool:
    """Whether a library is this catalog's: the first with a head is noted for ever."""
    note = product.settings.home / ZOO / f".{workspace}.catalog"
    first = product.catalog.heads.first(workspace)
    if not note.exists():
        note.write_text(first, "ascii")
    return note.read_text("ascii") == first


def _drop(product: Product, workspace: str, artefacts: set[str]) -> None:
    if not artefacts:
        return
    zoo = product.workspaces[workspace].zoo
    # While nobody else writes: what comes as a file may be one of them, and is used from then on.
    with product.catalog.database.write():
        for artefact in artefacts - product.catalog.heads.artefacts(workspace):
            zoo.remove(artefact)


def _head(entry: HeadEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "created": entry.created,
        "champion": entry.aliases.get(CHAMPION),
        "aliases": dict(entry.aliases),
        "protected": entry.protected,
        "versions": [
            {
                "version": v.version,
                "space": v.space_id,
                "dataset": v.dataset,
                "artefact": v.artefact,
                "created": v.created,
            }
            for v in entry.versions
        ],
    }
