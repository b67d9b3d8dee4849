"""The program: its name, its version and its verbs. Knows nothing of what they do."""

import gc
import io
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from service.cli import (
    ask,
    backbones,
    backups,
    datasets,
    heads,
    keys,
    learn,
    operate,
    sharing,
    validation,
)
from service.cli.session import Guarded, Origin
from service.names import PRIVATE

EPILOG = "Without --server a command works on the home folder: PENULTIMATE_HOME or ~/.penultimate."

NOBODY_READS = 128 + signal.SIGPIPE
"""The exit status where the reader of a pipe is gone: that of programs which the signal ends."""

app = typer.Typer(
    name="penultimate",
    cls=Guarded,
    help="Teach a computer a new visual question from a few hundred labelled images.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(operate.demo)
app.command()(operate.serve)
app.command()(learn.learn)
app.command()(learn.ingest)
app.command()(backbones.look)
app.command()(backbones.compare)
app.command()(ask.predict)
app.command()(ask.search)
app.command()(heads.report)
app.add_typer(datasets.app, name="datasets")
app.add_typer(heads.app, name="heads")
heads.app.command("export")(sharing.export_head)
heads.app.command("import")(sharing.import_head)
heads.app.command("validate")(validation.validate)
app.command()(heads.suspects)
app.command("next")(heads.next_to_label)
app.command()(heads.erase)
app.add_typer(keys.app, name="keys")
app.command()(keys.audit)
app.command()(operate.doctor)
app.command()(backups.backup)
app.command()(backups.restore)


def main() -> None:
    """Runs the program; what it writes is its owner's alone: labels, reports, pictures."""
    os.umask(PRIVATE)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name may hold what the terminal's encoding lacks.
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="penultimate")
    except SystemExit as ended:
        # Of `| head -1`, say. Every library has a status of its own for it.
        if isinstance(ended.__context__, BrokenPipeError):
            ended.code = NOBODY_READS
        raise
    finally:
        # At its end Python looks for circles among all objects: 0.3 s, and the system gets all of
        # the memory back anyway.
        gc.freeze()


def _open_what_is_closed() -> None:
    """Takes the place of standard streams that the caller has closed: a file of ours would."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - until the process ends


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        from service.version import VERSION

        typer.echo(f"penultimate {VERSION}")
        raise typer.Exit


@app.callback()
def _start(
    context: typer.Context,
    *,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="PENULTIMATE_SERVER",
            metavar="URL",
            help="Ask this server, not the home folder; "
            "every command but serve, backup and restore takes it too.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(envvar="PENULTIMATE_KEY", metavar="KEY", help="The server's key."),
    ] = None,
    workspace: Annotated[
        str,
        typer.Option(
            envvar="PENULTIMATE_WORKSPACE",
            metavar="NAME",
            help="Whose things in the home folder; on a server the key says it.",
        ),
    ] = "default",
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_show_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Where every verb asks, unless it is told otherwise itself."""
    context.obj = Origin(server, key, workspace)
