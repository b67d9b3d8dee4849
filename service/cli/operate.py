"""Running the product: `demo`, `serve`, `doctor`. Holds none of what they do."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.cli import show
from service.cli.learn import waited
from service.cli.session import (
    AsJson,
    Key,
    Server,
    note,
    origin_of,
    print_json,
    quiet_settings,
    session,
)

MAX_PORT = 65_535


def serve(
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

    settings = quiet_settings()
    pair = {"tls_cert": tls_cert, "tls_key": tls_key}
    settings = settings.model_copy(update={n: p for n, p in pair.items() if p is not None})
    note(f"Preparing {settings.home.absolute()} ...")
    listen_at = prepare(settings, host, port)
    sample = settings.home.absolute() / "demo" / "sample.png"
    scheme = "http" if settings.tls_cert is None else "https"
    url = f"{scheme}://{_reachable(listen_at)}:{port}"
    note(f"Penultimate serves {settings.home.absolute()} at {url}")
    note(f"  documentation  {url}/docs")
    note(f"  try it         {curl(str(sample) if sample.exists() else 'PICTURE', url)}")
    note("  stop it        Ctrl-C")
    if needs_key(settings):
        note("  keys           every request needs one")
    else:
        note(
            "  keys           none yet: it answers this machine alone, and asks nobody who they are"
        )
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
    from service.settings import Settings

    home = Settings().home.absolute()
    note(ABOUT)
    with session(context, server, key, as_json=as_json) as client, show.bar("Drawing") as update:
        shown = run(client, home / "demo", again=again, on_progress=update, wait=waited)
        url = "http://127.0.0.1:3000" if client.url == "http://local" else client.url
    if as_json:
        print_json({"prediction": shown.prediction, "search": shown.search, "cards": shown.cards})
        return
    from service.cli.demo import print_demo

    print_demo(shown)
    typer.echo(f"\nOnce `penultimate serve` runs:\n  {curl(str(shown.sample), url)}")


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
            typer.echo(f"{state}  {finding.about}: {show.printable(finding.detail)}")
            if finding.hint:
                typer.echo(f"        {show.printable(finding.hint)}")
    sound = all(f.sound for f in found)
    if as_json:
        print_json({"sound": sound, "findings": [asdict(f) for f in found]})
    if not sound:
        raise typer.Exit(1)


def curl(picture: str, url: str) -> str:
    """A line for a shell that asks every head about a picture."""
    import shlex

    return f"curl -F {shlex.quote(f'images=@{picture}')} {url}/v1/predict"


def _reachable(listen_at: str) -> str:
    if listen_at in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened at
        return "localhost"
    return f"[{listen_at}]" if ":" in listen_at else listen_at
