"""Running the product: `demo`, `serve`, `doctor`. Holds none of what they do."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import show
from service.cli.learn import waited
from service.cli.session import (
    AsJson,
    Key,
    Server,
    origin_of,
    print_json,
    quiet_settings,
    refuse_server,
    session,
)
from service.cli.terminal import note, say

if TYPE_CHECKING:
    from service.settings import Settings

MAX_PORT = 65_535

SEND_KEY = '-H "Authorization: Bearer $PENULTIMATE_KEY"'
"""What a shell gives to curl where every request needs a key."""

ANY_NAME = "HOST"
"""In place of the host where only the certificate's owner knows its names."""


def serve(
    context: typer.Context,
    *,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address; 0.0.0.0 lets everyone in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=MAX_PORT)] = 3000,
    workers: Annotated[
        int,
        typer.Option(
            envvar="PENULTIMATE_WORKERS", metavar="N", min=1, help="Processes that answer."
        ),
    ] = 1,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM): serve HTTPS.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate's private key (PEM).")
    ] = None,
) -> None:
    """Serve every head over HTTP, until Ctrl-C."""
    from service.launch import become_server, needs_key, prepare

    source = context.find_root().get_parameter_source("server")
    if source is not None and source.name == "COMMANDLINE":  # a variable is for other commands
        refuse_server(context, "`serve` serves the home folder on this machine, not {}.")
    settings = quiet_settings()
    pair = {"tls_cert": tls_cert, "tls_key": tls_key}
    settings = settings.model_copy(update={n: p for n, p in pair.items() if p is not None})
    note(f"Preparing {settings.home.absolute()} ...")
    listen_at = prepare(settings, host, port)
    for line in welcome(settings, host, port, keyed=needs_key(settings)):
        note(line)
    become_server(settings, listen_at, port, workers)


def demo(
    context: typer.Context,
    *,
    again: Annotated[
        bool, typer.Option("--again", metavar="", help="Teach the heads anew, where they exist.")
    ] = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Teach three heads from pictures that come with scikit-learn, and ask them."""
    from service.demo import ABOUT, run
    from service.launch import needs_key
    from service.settings import Settings

    home = Settings().home.absolute()
    for line in ABOUT.splitlines():
        note(line)
    with session(context, server, key, as_json=as_json) as client, show.bar("Drawing") as update:
        shown = run(client, home / "demo", again=again, on_progress=update, wait=waited)
        url = client.url
    if as_json:
        print_json({"prediction": shown.prediction, "search": shown.search, "cards": shown.cards})
        return
    from service.cli.demo import print_demo

    print_demo(shown)
    origin = origin_of(context, server, key)
    if origin.server:
        keyed = bool(origin.key)
    else:
        url, keyed = "http://127.0.0.1:3000", needs_key(quiet_settings())
    say("\nOnce `penultimate serve` runs:")
    say(f"  {curl(str(shown.sample), url, keyed=keyed)}")


def doctor(
    context: typer.Context, *, as_json: AsJson = False, server: Server = None, key: Key = None
) -> None:
    """Examine what is installed and whether everything agrees; exit 1 if it does not."""
    from service.doctor import examine, examine_server

    origin = origin_of(context, server, key, as_json=as_json)
    if origin.server:
        from service.client import Client

        findings = examine_server(Client(origin.server, origin.key))
    else:
        findings = examine(quiet_settings())
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            state = "ok    " if finding.sound else "FAILED"
            say(f"{state}  {finding.about}: {finding.detail}")
            if finding.hint:
                say(f"        {finding.hint}")
    sound = all(f.sound for f in found)
    if as_json:
        print_json({"sound": sound, "findings": [asdict(f) for f in found]})
    if not sound:
        raise typer.Exit(1)


def welcome(settings: "Settings", host: str, port: int, *, keyed: bool) -> Iterator[str]:
    """What a server says of itself before it starts.

    Args:
        settings: its own.
        host: where it listens, as its owner wrote it.
        port: likewise.
        keyed: whether every request needs a key.
    """
    home, tls = settings.home.absolute(), settings.tls_cert is not None
    name = _reachable(host, tls=tls)
    url = f"{'https' if tls else 'http'}://{name}:{port}"
    sample = home / "demo" / "sample.png"
    picture = str(sample) if sample.exists() else "PICTURE"
    # A browser has no key to send.
    pages = f"curl {SEND_KEY} {url}/openapi.json" if keyed else f"{url}/docs"
    yield f"Penultimate serves {home} at {url}"
    yield f"  documentation  {pages}"
    yield f"  try it         {curl(picture, url, keyed=keyed)}"
    yield "  stop it        Ctrl-C"
    if name == ANY_NAME:
        yield f"  {ANY_NAME}           a name or address that the certificate is for"
    none = "none yet: it answers this machine alone, and asks nobody who they are"
    yield f"  keys           {'every request needs one' if keyed else none}"


def curl(picture: str, url: str, *, keyed: bool) -> str:
    """A line for a shell that asks every head about a picture."""
    import shlex

    key = f"{SEND_KEY} " if keyed else ""
    return f"curl {key}-F {shlex.quote(f'images=@{picture}')} {url}/v1/predict"


def _reachable(host: str, *, tls: bool) -> str:
    """The host of an address that leads here, from this machine at least."""
    import ipaddress

    if host != "localhost" and ipaddress.ip_address(host).is_unspecified:
        return ANY_NAME if tls else "localhost"
    return f"[{host}]" if ":" in host else host
