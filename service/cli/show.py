"""How answers look: tables, plain columns in a pipe, bars on a terminal. Asks nothing."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

from service.cli.terminal import note, printable

GAP = "  "

ELSEWHERE = "(elsewhere)"
"""In place of a dataset, where a head came as a file."""


def table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()
) -> None:
    """Prints rows under headers.

    Args:
        headers: names of the columns.
        rows: as many cells as there are headers.
        right: numbers of the columns that hold numbers.
    """
    headers = [printable(header) for header in headers]
    clean = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(headers, clean, right)
        return
    lines = [headers, *clean]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]
    for line in lines:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        typer.echo(GAP.join(cells).rstrip())


def count(number: int, what: str) -> str:
    """A number and what it counts, as in `1 image` and `2 images`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def percent(value: float) -> str:
    """A probability as people say it: `> 99.9 %` and `< 0.1 %`, for no head is certain."""
    said = f"{100 * value:.1f} %"
    return {"100.0 %": "> 99.9 %", "0.0 %": "< 0.1 %"}.get(said, said)


@contextmanager
def bar(what: str) -> Iterator[Callable[[float, float, str], None]]:
    """A progress bar on a terminal, nothing in a pipe.

    Yields:
        update(done, total, what): what is being done may change.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total, _what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(printable(what), total=None)

        def update(done: float, total: float, what: str) -> None:
            progress.update(task, completed=done, total=total, description=printable(what))

        yield update


def notes(lines: Sequence[str]) -> None:
    """Prints notes on standard error."""
    for line in lines:
        note(f"Note: {line}")


def _rich_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, header in enumerate(headers):
        drawn.add_column(Text(header), justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)
