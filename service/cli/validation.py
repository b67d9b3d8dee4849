"""A head tried on labelled images that it never saw, as a person reads it: `heads validate`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from service.cli import show
from service.cli.references import Head, version_of
from service.cli.session import AsJson, Key, Server, print_json, session
from service.cli.terminal import say

MOST_CLASSES = 8
"""Up to which a table of who was taken for what fits on a screen."""

LEFT_OUT = {
    "unlabelled": "without a label",
    "conflicting": "with labels that exclude each other",
    "other_labels": "with labels that it does not know",
    "learnt_from": "that it learnt from",
    "same_group": "of groups that it learnt from",
    "no_vector": "without a vector of this backbone; learning from the dataset makes them",
    "not_drawn": "more than are looked at",
    "copies": "nearly the same as one that it learnt from",
}


def validate(
    context: typer.Context,
    head: Head,
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="Labelled images, as `ingest` adds them.")
    ],
    *,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Try a head on the images of a dataset that it never saw: is it as good here?"""
    with session(context, server, key, as_json=as_json) as client:
        name, version = version_of(client, head)
        answer = client.validate_head(name, dataset, version)
    if as_json:
        print_json(answer)
    else:
        print_validation(answer)


def print_validation(answer: Mapping[str, Any]) -> None:
    """Prints what came of it: on what, the verdict, the figures, what to mind."""
    from service.cli.cards import METRICS, interval

    groups = f" in {show.count(answer['groups'], 'group')}" if answer["groups"] else ""
    say(
        f"{answer['head']}@{answer['version']} on {show.count(answer['images'], 'image')}{groups} "
        f"of dataset '{answer['dataset']}' that it never saw"
    )
    for reason, said in LEFT_OUT.items():
        if answer["left_out"][reason]:
            say(f"  left out: {answer['left_out'][reason]} {said}")
    say(f"\n{answer['words']}\n")
    rows = [
        (title, interval(answer["metrics"][name]), interval(answer["stated"].get(name)))
        for name, title in METRICS.items()
        if name in answer["metrics"]
    ]
    rows.append(
        ("truth in its set", interval(answer["held"]), f"{answer['coverage']:.3f} is meant")
    )
    rows.append(("called unlike", f"{answer['unlike']:.3f}", "0.050 is usual"))
    show.table(("", "here", "where it learnt"), rows)
    _print_confusion(answer)
    if answer["limits"]:
        say("\nLimits:")
        for line in answer["limits"]:
            say(f"  - {line}")


def _print_confusion(answer: Mapping[str, Any]) -> None:
    names = list(answer["class_counts"])
    if not 0 < len(answer["confusion"]) <= MOST_CLASSES:
        return
    say()
    rows = [(name, *map(str, row)) for name, row in zip(names, answer["confusion"], strict=True)]
    headers = ("labelled", *(f"said {name}" for name in names))
    show.table(headers, rows, right=range(1, len(headers)))
