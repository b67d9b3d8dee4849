"""Copies of the home: `backup`, `restore`. Holds none of what they do."""

from pathlib import Path
from typing import Annotated

import typer

from service.cli import show
from service.cli.session import AsJson, print_json, quiet_settings, refuse_server
from service.cli.terminal import note, say

MIB = 2**20


def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder that is not there yet.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Copy the home folder while it is used; exit 1 if the home had lost something before."""
    from service.backup import back_up

    refuse_server(context, "A backup is of the home folder on this machine, not of {}.")
    settings = quiet_settings()
    note(f"Copying {settings.home.absolute()} ...")
    made = back_up(settings, path)
    files = made.manifest.files
    size = sum(entry.bytes for entry in files.values())
    if as_json:
        print_json({**_said(made.path, len(files), size), "missing": list(made.manifest.missing)})
    else:
        say(f"{made.path}: {show.count(len(files), 'file')}, {size / MIB:.1f} MiB")
    if made.manifest.missing:
        for lost in made.manifest.missing:
            note(f"  - {lost} was lost before")
        note("Hint: `penultimate doctor` says what to do.")
        raise typer.Exit(1)


def restore(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="What `backup` made.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", metavar="", help="Only compare every file; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty home folder, all of it or nothing."""
    from service.backup import restore as put_back
    from service.backup import verify

    refuse_server(context, "A backup is of the home folder on this machine, not of {}.")
    settings = quiet_settings()
    manifest = verify(path) if check else put_back(settings, path)
    size = sum(entry.bytes for entry in manifest.files.values())
    if as_json:
        print_json(
            {
                **_said(path, len(manifest.files), size),
                "made": manifest.made,
                "restored": not check,
                "missing": list(manifest.missing),
            }
        )
        return
    what = "is sound" if check else f"restored into {settings.home.absolute()}"
    say(f"{path}: {show.count(len(manifest.files), 'file')} of {manifest.made}, {what}")
    for lost in manifest.missing:
        note(f"Note: {lost} was lost before the backup was made.")


def _said(path: Path, files: int, size: int) -> dict[str, object]:
    return {"path": str(path), "files": files, "bytes": size}
