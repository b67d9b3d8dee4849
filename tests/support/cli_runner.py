"""What runs a command in this process, as if in a pipe."""

from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from service.cli import app

Run = Callable[..., Result]


def runner(home: Path) -> Run:
    """Runs commands on a home folder, on the toy backbone."""
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}

    def command(*words: str | Path, **more: str) -> Result:
        return CliRunner().invoke(app, [str(w) for w in words], env={**environment, **more})

    return command
