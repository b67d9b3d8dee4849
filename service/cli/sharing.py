"""Heads that travel as files: `heads export` and `heads import`. Knows not what they hold."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli.files import check_folder, write_whole
from service.cli.references import Head, version_of
from service.cli.session import AsJson, Key, Server, print_json, session
from service.cli.terminal import note, say


def export_head(
    context: typer.Context,
    head: Head,
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; HEAD-VERSION.head.zip by default."),
    ] = None,
    server: Server = None,
    key: Key = None,
) -> None:
    """Write a head to a file that another installation can import; no image is in it."""
    if out is not None:
        check_folder(out)
    with session(context, server, key) as client:
        name, version = version_of(client, head)
        packed = client.export_head(name, version)
    place = out or Path(f"{name}-{version}.head.zip")
    write_whole(place, packed)
    say(str(place.absolute()))
    note("It holds what the head learnt, its card, and for each image it learnt from the label and")
    note("the score, without a name: no image, file name, digest or group.")


def import_head(
    context: typer.Context,
    head: Annotated[str, typer.Argument(metavar="HEAD", help="What to call it here.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As `heads export` wrote it.")],
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Take in a head that was learnt elsewhere, as a further version."""
    with session(context, server, key, as_json=as_json) as client:
        card = client.import_head(head, file)
        champion = client.head(head)["champion"]
    if as_json:
        print_json(card)
        return
    from service.cli.cards import print_card

    print_card(card)
    this = f"{head}@{card['version']}"
    say(f"\nEverything above was said where it was learnt. It is {this} here.")
    if champion != card["version"]:
        note(f"{head}@{champion} still answers; `penultimate heads promote {this}` changes that.")
