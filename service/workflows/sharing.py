"""Heads that travel while images stay at home: written as a file, taken in from one."""

from typing import IO, Any

from classifiers.errors import HeadNotFound
from classifiers.head import Head
from features.keys import EmbeddingSpace
from service.catalog import ELSEWHERE, SYSTEM
from service.errors import Conflict, HeadOfAnotherSpace, NotFound
from service.head_files import pack, unpack
from service.names import check_name
from service.product import Product
from service.workflows.heads import card, find_version, keep


def export_head(
    product: Product, workspace: str, name: str, version: int, *, actor: str = SYSTEM
) -> bytes:
    """The answer of `GET /v1/heads/{h}/versions/{v}/file`; that it was given away is noted.

    Raises:
        NotFound: there is no such head or version.
        InvalidRequest: the catalog has it, but no file could be called so.
        RequestTooLarge: it is larger than anybody would take in.
    """
    found = find_version(product, workspace, name, version)
    check_name("head", name)  # the file is called so, and the catalog may be anybody's
    head = product.workspaces[workspace].zoo.load(found.artefact)
    packed = pack(head, _space(product, workspace, found.space_id))
    details = {"version": version, "artefact": found.artefact}
    product.catalog.audit.add(workspace, actor, "head.export", name, "done", details)
    return packed


def import_head(
    product: Product, workspace: str, name: str, file: IO[bytes], *, actor: str = SYSTEM
) -> tuple[dict[str, Any], bool]:
    """Takes a head in from a file, as a further version; the first one of a head is champion.

    Args:
        product: everything that is wired.
        workspace: where to.
        name: what it is called here.
        file: as `export_head` wrote it, here or elsewhere.
        actor: who does it.

    Returns:
        The card of the version, and whether it is new: a file that is there already adds none.

    Raises:
        InvalidRequest: the name cannot be a head's.
        HeadRejected: it is no head, or one that was changed.
        HeadOfAnotherSpace: it understands other vectors than the ones made here.
        Conflict: somebody deleted it meanwhile.
    """
    check_name("head", name)
    head, space = unpack(file)
    if space != product.space:
        raise HeadOfAnotherSpace(_described(space), _described(product.space))
    version, is_new = _register(product, workspace, name, head, actor)
    try:
        return card(product, workspace, name, version), is_new
    except (NotFound, HeadNotFound) as error:
        raise Conflict(
            f"Head '{name}' was deleted as soon as it had come.", hint="Send the file again."
        ) from error


def _register(
    product: Product, workspace: str, name: str, head: Head, actor: str
) -> tuple[int, bool]:
    # Opened first: a workspace notes its space in the catalog itself.
    catalog, zoo = product.catalog, product.workspaces[workspace].zoo
    artefact = keep(product, workspace, head)
    with catalog.database.write() as connection:
        # Nobody deletes artefacts now, but somebody may have, before a version used this one.
        if not zoo.has(artefact):
            keep(product, workspace, head)
        known = catalog.heads.version_of(connection, workspace, name, artefact)
        if known is not None:
            return known, False
        version = catalog.heads.register(
            connection,
            workspace,
            name,
            artefact=artefact,
            space_id=head.card.space_id,
            dataset=ELSEWHERE,
            training={},
            actor=actor,
        )
        return version, True


def _space(product: Product, workspace: str, space_id: str) -> EmbeddingSpace:
    """The space of a head that was learnt, or taken in, here: served now, or noted then."""
    if space_id == product.space.id:
        return product.space
    return EmbeddingSpace.from_dict(product.catalog.spaces.all(workspace)[space_id])


def _described(space: EmbeddingSpace) -> str:
    return f"{space.backbone} (space {space.id})"
