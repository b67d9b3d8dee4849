"""The library of heads, and images that must go: `heads …` and `erase`. Stores nothing itself."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import show
from service.cli.files import check_folder, write_whole
from service.cli.references import Head, named_version, read_reference, version_of
from service.cli.session import AsJson, Key, Server, origin_of, place_of, print_json, session
from service.cli.terminal import note, say
from service.client_errors import PenultimateError

app = typer.Typer(no_args_is_help=True, help="List, show, promote, pass on and delete heads.")

MAX_SUSPECTS = 1_000
MAX_NEXT = 1_000


@app.command("list")
def list_heads(
    context: typer.Context, *, as_json: AsJson = False, server: Server = None, key: Key = None
) -> None:
    """List every head."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.heads()
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            h["name"],
            str(h["champion"] or ""),
            str(len(h["versions"])),
            ", ".join(sorted({v["dataset"] or show.ELSEWHERE for v in h["versions"]})),
            h["versions"][-1]["created"][:10],
        )
        for h in answer["heads"]
    ]
    if not rows:
        where = place_of(origin_of(context, server, key))
        note(f"There are no heads yet{where}: `penultimate learn HEAD FOLDER` makes one.")
        return
    show.table(("head", "champion", "versions", "dataset", "newest"), rows, right=(1, 2))


@app.command("show")
def show_head(
    context: typer.Context,
    head: Head,
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Show a head's versions, or the card of one version as HEAD@3 or HEAD@ALIAS."""
    from service.calls import shown_version

    reference = read_reference(head)
    name = reference.name
    with session(context, server, key, as_json=as_json) as client:
        version = named_version(client, reference)
        if version is not None:
            card = answer = client.card(name, version)
        else:
            answer = client.head(name)
            shown = shown_version(answer)
            card = {} if as_json else client.card(name, shown)
    if as_json:
        print_json(answer)
        return
    from service.cli.cards import print_card

    if version is None:
        by_version: dict[int, list[str]] = {}
        for alias, number in answer["aliases"].items():
            by_version.setdefault(number, []).append(alias)
        rows = [
            (
                str(v["version"]),
                ", ".join(by_version.get(v["version"], ())),
                v["dataset"] or show.ELSEWHERE,
                v["created"],
                v["space"],
            )
            for v in answer["versions"]
        ]
        show.table(("version", "aliases", "dataset", "created", "space"), rows, right=(0,))
        say()
    print_card(card)


@app.command()
def promote(
    context: typer.Context,
    head: Annotated[
        str, typer.Argument(metavar="HEAD@VERSION", help="Which version; its number or an alias.")
    ],
    *,
    alias: Annotated[
        str, typer.Option(metavar="ALIAS", help="The alias that should point to it.")
    ] = "champion",
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="Why; it is kept in the head's history.")
    ] = "",
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Let a version answer: point an alias to it, champion by default."""
    reference = read_reference(head)
    if reference.version is None and reference.alias is None:
        raise typer.BadParameter(f"name a version, as in {head}@2", param_hint="HEAD@VERSION")
    with session(context, server, key, as_json=as_json) as client:
        name, version = version_of(client, head)
        answer = client.promote(name, version, alias=alias, reason=reason)
    if as_json:
        print_json(answer)
    else:
        say(f"{name}@{alias} is now version {version}.")


@app.command()
def delete(
    context: typer.Context,
    head: Head,
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Delete a head with all its versions, or one version as HEAD@3 or HEAD@ALIAS."""
    reference = read_reference(head)
    name = reference.name
    with session(context, server, key, as_json=as_json) as client:
        version = named_version(client, reference)
        answer = (
            client.delete_head(name) if version is None else client.delete_version(name, version)
        )
    if as_json:
        print_json(answer)
    else:
        # By its number: an alias is another version's now, or none's.
        say(f"Deleted {name if version is None else f'{name}@{version}'}.")


@app.command()
def protect(
    context: typer.Context,
    head: Annotated[str, typer.Argument(metavar="HEAD", help="Which head.")],
    *,
    off: Annotated[bool, typer.Option("--off", metavar="", help="Protect it no more.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Let only admins move a head's aliases and delete it."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.protect(head, protected=not off)
    if as_json:
        print_json(answer)
    else:
        say(f"{head} is {'protected' if answer['protected'] else 'not protected'} now.")


def suspects(
    context: typer.Context,
    head: Head,
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_SUSPECTS, help="How many to name at most.")
    ] = 20,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Name training images whose label is in doubt; a low score is more suspect."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.suspects(*version_of(client, head), limit=limit)
    if as_json:
        print_json(answer)
        return
    from service.cli.suspects import print_suspects

    print_suspects(answer)


def next_to_label(
    context: typer.Context,
    head: Head,
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_NEXT, help="How many to name at most.")
    ] = 20,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Name the unlabelled images that are most worth a label; the first is worth the most."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.next_to_label(*version_of(client, head), limit=limit)
    if as_json:
        print_json(answer)
        return
    from service.cli.next_labels import print_next

    print_next(answer)


def report(
    context: typer.Context,
    head: Annotated[
        str,
        typer.Argument(
            metavar="HEAD", help="A head, for its champion, or one version as HEAD@3 or HEAD@ALIAS."
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to; report-HEAD-VERSION.html by default."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Show images and file names; leave them out to pass it on.")
    ] = True,
    server: Server = None,
    key: Key = None,
) -> None:
    """Write how good a head is, as one page of HTML for a browser or a printer."""
    if out is not None:
        check_folder(out)
    with session(context, server, key) as client:
        name, version = version_of(client, head)
        page = client.report(name, version, pictures=pictures)
    place = out or Path(f"report-{name}-{version}.html")
    write_whole(place, page.encode())
    say(str(place.absolute()))


def erase(
    context: typer.Context,
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", help="The image's digest, or the image file itself.")
    ],
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Erase an image everywhere, and name the heads that were trained on it."""
    from features.keys import digest as digest_of
    from features.keys import is_digest

    file = Path(digest)
    if file.is_file():
        digest = digest_of(file.read_bytes())
    elif not is_digest(digest):
        raise PenultimateError(
            f"There is no file '{digest}', and it is no digest.",
            code="invalid_request",
            hint="Check its name; a digest has 64 hexadecimal digits, in lower case.",
        )
    with session(context, server, key, as_json=as_json) as client:
        answer = client.erase(digest)
    if as_json:
        print_json(answer)
        return
    say(f"Erased {digest}, out of {show.count(answer['datasets'], 'dataset')}.")
    trained = [f"{h['head']}@{h['version']}" for h in answer["heads"]]
    if trained:
        say(f"Heads that learnt from it, and should learn anew: {', '.join(trained)}")
    if file.is_file():
        note(f"'{file}' itself is left: delete it, or its folder brings the image back.")
