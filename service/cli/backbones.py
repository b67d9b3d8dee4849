"""Will this backbone do? `look` and `compare`. Knows nothing of how spaces are judged."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from service.cli import show
from service.cli.cards import interval
from service.cli.learn import watched
from service.cli.session import AsJson, Key, Server, print_json, session
from service.cli.terminal import say

METHODS = {
    "nearest_neighbours": "nearest neighbours",
    "lda": "LDA",
    "logistic_regression": "logistic regression",
}

VERDICTS = {"signal": "signal", "no_signal": "no signal", "too_few": "too few images"}

Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset with labels.")]


def look(
    context: typer.Context,
    dataset: Dataset,
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Say in about a second whether plain methods can tell a dataset's classes apart."""
    with session(context, server, key, as_json=as_json, hints=_hints(dataset)) as client:
        answer = client.look(dataset)
    if as_json:
        print_json(answer)
        return
    rows = [
        (METHODS.get(name, name), interval(m["auc"]), interval(m["balanced_accuracy"]))
        for name, m in answer["methods"].items()
    ]
    if rows:
        show.table(("method", "AUC", "balanced accuracy"), rows)
        say()
    if answer["missing"]:
        missing = show.count(answer["missing"], "image")
        say(f"Not looked at: {missing} without a vector in this space.")
    say(answer["words"])


def compare(
    context: typer.Context,
    dataset: Dataset,
    *,
    backbones: Annotated[
        str,
        typer.Option(
            metavar="a,b", help="Which ones; those whose weights come as packages by default."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Of the folds.")] = 0,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Compare backbones on a dataset by cross-validation of the head that would be trained."""
    names = [name.strip() for name in backbones.split(",") if name.strip()] or None
    with session(context, server, key, as_json=as_json, hints=_hints(dataset)) as client:
        job = watched(client, client.compare(dataset, names, options={"seed": seed}))
    if as_json:
        print_json(job)
        return
    rows = job["result"]["backbones"]
    headers = ("backbone", "dim", "images/s", "quick look", "AUC of a head", "difference", "signal")
    show.table(headers, [_row(row) for row in rows], right=(1, 2))
    say()
    for row in rows:
        if row["error"]:
            say(f"{row['backbone']}: {row['error']['detail']}")
            say(f"  Hint: {row['error']['hint']}")
    say(job["result"]["words"])


def _hints(dataset: str) -> dict[str, str]:
    """What to do about labels that no backbone can be judged by."""
    return {
        "task_misfit": "`penultimate learn HEAD FOLDER` takes them, and says how good the head is.",
        "labels_not_ready": f"`penultimate datasets show {dataset}` says what is in the way; "
        f"`penultimate ingest {dataset} FOLDER` adds images, and with --relabel changes labels.",
    }


def _row(row: Mapping[str, Any]) -> tuple[str, ...]:
    if row["error"]:
        return (row["backbone"], "", "", "", "not to be had", "", "")
    return (
        row["backbone"],
        str(row["dim"]),
        f"{row['images_per_second']:.0f}",
        _glance(row["look"]),
        interval(row["metrics"].get("auc")),
        "served now" if row["present"] else _change(row["difference"]),
        "yes" if row["signal"] else "no",
    )


def _glance(look: Mapping[str, Any]) -> str:
    area = look["methods"][look["best"]]["auc"]
    return f"{area['value']:.3f}" if area else VERDICTS[look["verdict"]]


def _change(difference: Mapping[str, float] | None) -> str:
    if difference is None:
        return "unknown"
    value, low, high = (difference[name] for name in ("value", "low", "high"))
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
