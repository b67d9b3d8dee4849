"""Keys and the audit: `keys …` and `audit`. On the home folder it needs the catalog alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli import show
from service.cli.session import (
    AsJson,
    Key,
    Origin,
    Server,
    origin_of,
    print_json,
    quiet_settings,
)
from service.cli.terminal import note, say

if TYPE_CHECKING:
    from pathlib import Path

    from service.access import Principal
    from service.catalog import Catalog
    from service.client import Client

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys.")

MAX_LINES = 1_000

Workspace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Whose; `default` where nobody says.", show_default=False),
]


@dataclass
class _Home:
    """The home folder's catalog, and who works on it."""

    catalog: "Catalog"
    home: "Path"
    who: "Principal"


@app.command("create")
def create(
    context: typer.Context,
    *,
    role: Annotated[
        Literal["predict", "train", "admin"],
        typer.Option(
            help="`predict` asks, searches and reads; `train` changes datasets and heads too; "
            "`admin` makes keys, erases images and changes protected heads too."
        ),
    ],
    workspace: Workspace = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What the audit calls it; one is made up otherwise."),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="`12h`, `90d`, `4w` or a time; never otherwise."),
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Make a key and print it, this one time. From the first one on, the service needs one."""
    origin = _origin(context, workspace, server, key, as_json=as_json)

    def on_home(at: _Home) -> dict[str, Any]:
        from service.workflows import keys

        return keys.create(at.catalog, at.home, at.who, role=role, name=name, expires=expires)

    made = _answer(
        origin,
        on_home,
        lambda c: c.create_key(role, name=name, expires=expires, workspace=workspace),
    )
    if as_json:
        print_json(made)
        return
    until = f", until {made['expires']}" if made["expires"] else ""
    note(f"Key '{made['name']}' ({made['id']}): {made['role']} in {made['workspace']}{until}.")
    note("It is shown this once; only its hash is kept. Every request to a server needs a key now.")
    say(made["key"])


@app.command("list")
def list_keys(
    context: typer.Context,
    *,
    workspace: Workspace = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """List the keys of a workspace, also those that open nothing any more."""
    origin = _origin(context, workspace, server, key, as_json=as_json)

    def on_home(at: _Home) -> dict[str, Any]:
        from service.workflows import keys

        return keys.list_all(at.catalog, at.who)

    answer = _answer(origin, on_home, lambda c: c.keys())
    if as_json:
        print_json(answer)
        return
    rows = [
        (k["id"], k["name"], k["role"], k["state"], k["created"][:10], (k["expires"] or "")[:10])
        for k in answer["keys"]
    ]
    if not rows:
        note("There are no keys yet: `penultimate keys create --role admin` makes one.")
        return
    show.table(("id", "name", "role", "state", "created", "expires"), rows)


@app.command("revoke")
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `keys list` shows it.")],
    *,
    workspace: Workspace = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Take a key back, for ever."""
    origin = _origin(context, workspace, server, key, as_json=as_json)

    def on_home(at: _Home) -> dict[str, Any]:
        from service.workflows import keys

        return keys.revoke(at.catalog, at.home, at.who, key_id)

    answer = _answer(origin, on_home, lambda c: c.revoke_key(key_id))
    if as_json:
        print_json(answer)
    else:
        say(f"Key '{answer['name']}' opens nothing any more.")


def audit(
    context: typer.Context,
    *,
    limit: Annotated[
        int, typer.Option(metavar="N", min=1, max=MAX_LINES, help="How many lines at most.")
    ] = 50,
    before: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only lines older than this one.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", metavar="", help="Check the whole chain; exit 1 if broken.")
    ] = False,
    workspace: Workspace = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Show who did what to which thing, newest first."""
    origin = _origin(context, workspace, server, key, as_json=as_json)
    if verify:
        _verify(origin, as_json=as_json)
        return

    def on_home(at: _Home) -> dict[str, Any]:
        from service.workflows import audit as workflow

        return workflow.lines(at.catalog, at.who, limit=limit, before=before)

    answer = _answer(origin, on_home, lambda c: c.audit(limit=limit, before=before))
    if as_json:
        print_json(answer)
        return
    rows = [
        (str(a["number"]), a["at"], a["actor"], a["action"], a["which"], a["result"])
        for a in answer["lines"]
    ]
    if rows:
        show.table(("", "when", "who", "what", "which", "result"), rows, right=(0,))
    else:
        note("Nothing has been done here yet.")


def _verify(origin: Origin, *, as_json: bool) -> None:
    def on_home(at: _Home) -> dict[str, Any]:
        from service.workflows import audit as workflow

        return workflow.check(at.catalog, at.who)

    found = _answer(origin, on_home, lambda c: c.check_audit())
    if as_json:
        print_json(found)
    elif found["breaks"]:
        for line in found["breaks"]:
            note(line)
    else:
        say(f"{show.count(found['lines'], 'line')}, the chain is whole.")
        if found["seal"]:
            say(f"Seal of the newest: {found['seal']}")
    if found["breaks"]:
        raise typer.Exit(1)


def _origin(
    context: typer.Context,
    workspace: str | None,
    server: str | None,
    key: str | None,
    *,
    as_json: bool,
) -> Origin:
    origin = origin_of(context, server, key, as_json=as_json)
    origin.workspace = workspace or origin.workspace
    return origin


def _answer(
    origin: Origin,
    on_home: Callable[[_Home], Mapping[str, Any]],
    on_server: Callable[["Client"], Mapping[str, Any]],
) -> Mapping[str, Any]:
    if not origin.server:
        with _home(origin.workspace) as at:
            return on_home(at)
    from service.client import Client

    with Client(origin.server, origin.key) as client:
        return on_server(client)


@contextmanager
def _home(workspace: str) -> Iterator[_Home]:
    from service.access import operator
    from service.home import open_catalog
    from service.names import check_workspace

    settings = quiet_settings()
    who = operator(check_workspace(workspace))
    catalog = open_catalog(settings)
    try:
        yield _Home(catalog, settings.home, who)
    finally:
        catalog.close()
