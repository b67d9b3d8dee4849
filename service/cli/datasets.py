"""Datasets as a shell sees them: `datasets list`, `show` and `delete`. Stores nothing itself."""

import sys
from typing import Annotated

import typer

from service.cli import show
from service.cli.session import AsJson, Key, Server, origin_of, place_of, print_json, session
from service.cli.terminal import note, printable, say

app = typer.Typer(no_args_is_help=True, help="List, show and delete datasets.")

GROUPS_SHOWN = 10
"""Groups with the most images, so many of which are shown; there may be thousands."""

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Which dataset.")]


@app.command("list")
def list_datasets(
    context: typer.Context, *, as_json: AsJson = False, server: Server = None, key: Key = None
) -> None:
    """List every dataset."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.datasets()
    if as_json:
        print_json(answer)
        return
    rows = [
        (
            found["name"],
            str(found["images"]),
            ", ".join(f"{label} {count}" for label, count in found["labels"].items()),
            str(found["unlabelled"] or ""),
            found["created"][:10],
        )
        for found in answer["datasets"]
    ]
    if not rows:
        where = place_of(origin_of(context, server, key))
        note(f"There are no datasets yet{where}: `penultimate ingest DATASET FOLDER` makes one.")
        return
    show.table(("dataset", "images", "labels", "unlabelled", "created"), rows, right=(1, 3))


@app.command("show")
def show_dataset(
    context: typer.Context,
    dataset: Dataset,
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Show a dataset's labels and groups, and what stands in the way of learning from it."""
    with session(context, server, key, as_json=as_json) as client:
        answer = client.dataset(dataset)
    if as_json:
        print_json(answer)
        return
    bare, groups = answer["unlabelled"], answer["groups"]
    unlabelled = f", {bare} without a label" if bare else ""
    say(f"{dataset}: {show.count(answer['images'], 'image')}{unlabelled}\n")
    show.table(
        ("label", "images"), [(name, str(n)) for name, n in answer["labels"].items()], right=(1,)
    )
    if groups:
        largest = sorted(groups.items(), key=lambda item: (-item[1], item[0]))
        say(f"\n{show.count(len(groups), 'group')}")
        rows = [(name, str(n)) for name, n in largest[:GROUPS_SHOWN]]
        show.table(("group", "images"), rows, right=(1,))
        if len(groups) > GROUPS_SHOWN:
            say(f"… and {len(groups) - GROUPS_SHOWN} more; --json has all.")
    if answer["problems"]:
        say("\nProblems:")
        for problem in answer["problems"]:
            say(f"  - {problem['severity']}: {problem['detail']}")


@app.command()
def delete(
    context: typer.Context,
    dataset: Dataset,
    *,
    yes: Annotated[bool, typer.Option("--yes", metavar="", help="Do not ask first.")] = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Delete a dataset, and erase those of its images that no other one holds."""
    with session(context, server, key, as_json=as_json) as client:
        if not yes:
            _confirm(dataset, client.dataset(dataset)["images"])
        answer = client.delete_dataset(dataset)
    if as_json:
        print_json(answer)
    else:
        erased = show.count(answer["images_removed"], "image")
        say(f"Deleted dataset '{dataset}', and erased {erased} that no other one holds.")


def _confirm(dataset: str, images: int) -> None:
    if not sys.stdin.isatty():
        raise typer.BadParameter("nobody can be asked here: say --yes", param_hint="--yes")
    question = f"Delete dataset '{dataset}' with {show.count(images, 'image')}? It is for good."
    typer.confirm(printable(question), abort=True, err=True)
