"""From a folder to a head: `learn` and `ingest`. Knows nothing of how images or heads are made."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli import show
from service.cli.session import AsJson, Key, Server, print_json, session
from service.cli.terminal import note, say
from service.client_errors import FolderUnusable, JobFailed, StillRunning

if TYPE_CHECKING:
    from service.calls.jobs import JobProgress
    from service.client import Client
    from service.folders import Folder

FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="One folder inside for each class.")
]
Groups = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="path,group: images of one group, a patient say, are never split."
    ),
]
Splits = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="path,split: train or test; paths are those below FOLDER."),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV", help="path,label, maybe group and split: goes before the folders' names."
    ),
]

DatasetName = Annotated[
    str | None, typer.Option(metavar="NAME", help="The dataset's name; the head's by default.")
]
Task = Annotated[
    Literal["auto", "binary", "multiclass", "multilabel", "ordinal", "regression"],
    typer.Option(help="What kind of question it is; found from the labels by default."),
]
Order = Annotated[
    str,
    typer.Option(
        metavar="a,b,c", help="Grades, lowest first, where they are no numbers: an ordinal task."
    ),
]
Seed = Annotated[
    int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="The same seed, the same head.")
]
Author = Annotated[
    str, typer.Option(metavar="NAME", help="Who answers for the head; it is on its card.")
]
AllowNoSignal = Annotated[
    bool,
    typer.Option("--allow-no-signal", metavar="", help="Register it even where it learnt nothing."),
]
Fast = Annotated[
    bool,
    typer.Option("--fast", metavar="", help="Evaluate once, and draw no learning curve."),
]
Relabel = Annotated[
    bool,
    typer.Option(
        "--relabel",
        metavar="",
        help="What the folder says of known images replaces what was said of them before.",
    ),
]

Unlabelled = Annotated[
    bool,
    typer.Option(
        "--unlabelled",
        metavar="",
        help="The images have no labels yet: folders are no classes; a CSV still counts.",
    ),
]

REASONS_SHOWN = 5

CANCEL_WITHIN_S = 15.0
"""How long the trainer may take to notice that nobody wants the result any more."""


def learn(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    head: Annotated[str, typer.Argument(metavar="HEAD", help="The name of the head.")],
    folder: FolderArgument,
    *,
    groups: Groups = None,
    splits: Splits = None,
    labels: Labels = None,
    relabel: Relabel = False,
    dataset: DatasetName = None,
    task: Task = "auto",
    order: Order = "",
    seed: Seed = 0,
    author: Author = "",
    allow_no_signal: AllowNoSignal = False,
    fast: Fast = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Teach a head from a folder: evaluate, train, register, and say how good it is.

    With --json: the finished job, and in it `ingest` and `card` as the server answered them.
    """
    found = _classes(head, folder, groups, splits, labels)
    grades = [grade.strip() for grade in order.split(",") if grade.strip()]
    options = {
        "seed": seed,
        "author": author,
        "allow_no_signal": allow_no_signal,
        "order": grades,
        "report": "fast" if fast else "full",
    }
    hints = {"task_misfit": _about_task(dataset or head, ordered=bool(grades))}
    with session(context, server, key, as_json=as_json, hints=hints) as client:
        ingested = _ingest(client, dataset or head, found, relabel=relabel)
        _count_others(client, ingested)
        job = client.learn(head, dataset or head, task=task, options=options)
        job = watched(client, job)
        version = job["result"]["version"]
        card = client.card(head, version)
        champion = client.head(head)["champion"]
    if as_json:
        print_json({**job, "ingest": ingested, "card": card})
        return
    from service.cli.cards import print_card

    print_card(card)
    _say_next(head, version, champion)


def _about_task(dataset: str, *, ordered: bool) -> str:
    """What to do where the labels are not those of the task that was stated."""
    todo = (
        "Name each of them once in --order, lowest first, with --task ordinal or none"
        if ordered
        else "Leave --task out and it is found from them, or give grades an --order"
    )
    return f"`penultimate datasets show {dataset}` lists the labels. {todo}."


def _classes(
    head: str, folder: Path, groups: Path | None, splits: Path | None, labels: Path | None
) -> "Folder":
    """What a head of this name is to learn from, if it may have the name and there are classes."""
    from service.names import check_name

    check_name("head", head)  # before it is taken for the dataset's
    found = _found(folder, groups, splits, labels)
    if len(found.labels) == 1:
        raise FolderUnusable(
            f"'{folder}' has one class only, '{next(iter(found.labels))}'.",
            hint="A head tells labels apart: put each class into a folder of its own, or give "
            "--labels.",
        )
    return found


def ingest(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Made if it is new.")],
    folder: FolderArgument,
    *,
    groups: Groups = None,
    splits: Splits = None,
    labels: Labels = None,
    relabel: Relabel = False,
    unlabelled: Unlabelled = False,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Add the images and labels of a folder to a dataset; safe to repeat."""
    if relabel and unlabelled:
        raise typer.BadParameter("a folder without labels replaces none", param_hint="--relabel")
    found = _found(folder, groups, splits, labels, unlabelled=unlabelled)
    with session(context, server, key, as_json=as_json) as client:
        answer = _ingest(client, dataset, found, relabel=relabel)
    if as_json:
        print_json(answer)
    else:
        show.table(
            ("class", "images"),
            [(label, str(n)) for label, n in sorted(answer["labels"].items())],
            right=(1,),
        )
    if not answer["added"] + answer["known"]:
        note("Error: not one file could be used.")
        raise typer.Exit(1)


def _found(
    folder: Path,
    groups: Path | None,
    splits: Path | None,
    labels: Path | None,
    *,
    unlabelled: bool = False,
) -> "Folder":
    from service.folders import read_folder

    found = read_folder(folder, groups=groups, splits=splits, labels=labels, unlabelled=unlabelled)
    show.notes(found.notes)
    return found


def _ingest(client: "Client", dataset: str, found: "Folder", *, relabel: bool) -> dict[str, Any]:
    with show.bar("Looking at images") as update:
        answer = client.ingest_folder(
            dataset,
            found,
            relabel=relabel,
            on_progress=lambda done, total: update(done, total, "Looking at images"),
        )
    del answer["notes"]  # told already, and no part of the HTTP answer
    rejected = answer["rejected"]
    added = show.count(answer["added"], "image")
    note(
        f"Dataset '{dataset}': {added} added, {answer['known']} known already, "
        f"{len(rejected)} rejected."
    )
    reasons: dict[str, list[str]] = {}
    for entry in rejected:
        reasons.setdefault(f"{entry['code']}: {entry['detail']}", []).append(entry["filename"])
    most = sorted(reasons.items(), key=lambda item: -len(item[1]))
    for reason, names in most[:REASONS_SHOWN]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        note(f"  - {names[0]}{more}: {reason}")
    if len(most) > REASONS_SHOWN:
        note(f"  … and {len(most) - REASONS_SHOWN} more reasons; --json has all.")
    return answer


def _count_others(client: "Client", ingested: Mapping[str, Any]) -> None:
    """Says how many images of the dataset came from elsewhere: they are learnt from too."""
    here = {image["digest"] for image in ingested["images"]}
    others = client.dataset(ingested["dataset"])["images"] - len(here)
    if others > 0:
        note(
            f"Note: dataset '{ingested['dataset']}' holds {show.count(others, 'image')} more than "
            "this folder; they are learnt from too."
        )


def watched(client: "Client", job: Mapping[str, Any]) -> dict[str, Any]:
    """Waits for a job with a bar, as `waited` does."""
    with show.bar("Waiting") as update:
        return waited(
            client,
            job,
            lambda j: update(j["progress"], 1.0, str(j["stage"]).capitalize() or "Done"),
        )


def waited(client: "Client", job: Mapping[str, Any], on_progress: "JobProgress") -> dict[str, Any]:
    """Waits for a job; whoever interrupts the wait does not want its result either."""
    try:
        return client.wait(job["id"], on_progress=on_progress)
    except KeyboardInterrupt:
        _cancel(client, job["id"])
        raise
    except JobFailed as error:
        error.answer = dict(error.job)
        raise


def _cancel(client: "Client", job_id: str) -> None:
    client.cancel(job_id)
    try:
        client.wait(job_id, timeout_s=CANCEL_WITHIN_S)
    except (JobFailed, StillRunning):
        note("Cancelled; the images stay in the dataset.")


def _say_next(head: str, version: int, champion: int | None) -> None:
    say()
    if champion == version:
        say(f"Version {version} is the champion: it answers as '{head}'. Ask it:")
        say(f"  penultimate predict PICTURE --heads {head}")
        return
    say(f"Version {champion} stays the champion; version {version} answers as '{head}@{version}'.")
    say(f"  penultimate predict PICTURE --heads {head},{head}@{version}")
    say(f"  penultimate heads promote {head}@{version}")
