"""Questions about images: `predict` and `search`. Knows nothing of how they are answered."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from service.cli import show
from service.cli.files import check_folder
from service.cli.predictions import write_table
from service.cli.refusals import tell_errors
from service.cli.session import AsJson, Key, Server, print_json, session
from service.cli.terminal import note, say
from service.client_errors import PenultimateError

if TYPE_CHECKING:
    from service.exchange import Flow

MAX_EVIDENCE = 20
MAX_HITS = 1_000
MAX_EXPLAINED = 8
"""Images of one request with heat maps."""

DRAWN = Path("heat-maps")

UNLIKE = "unlike what it learnt from"

Heads = Annotated[
    list[str] | None,
    typer.Option(
        metavar="a,b@2",
        help="Which heads; may be said again. The champion of every head by default.",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain", metavar="", help="Draw a heat map for each answer: which places it rests on."
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where heat maps are drawn: ./heat-maps by default, nowhere with --json.",
    ),
]
Table = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write a table too: a row per image and head."),
]


def predict(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Images, or folders of images.")
    ],
    *,
    heads: Heads = None,
    evidence: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=MAX_EVIDENCE, help="Name so many similar labelled images."
        ),
    ] = 0,
    remember: Annotated[
        bool, typer.Option(metavar="", help="Keep the images' vectors; the images are never kept.")
    ] = True,
    explain: Explain = False,
    save: Save = None,
    table: Table = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Ask heads about images. The exit status is 1 only if not one image could be answered."""
    if table is not None:
        check_folder(table)
    files = list(_files(paths))
    names = [name for name, _ in files]
    asked = [h.strip() for h in ",".join(heads or ()).split(",") if h.strip()] or None
    question = _Question(asked, evidence, remember, explain or save is not None)
    with session(context, server, key, as_json=as_json) as client:
        parts: list[dict[str, Any]] = []
        with show.bar("Looking at images") as update:
            for part in client.stream(_questions(files, question)):
                parts.append(part)
                update(sum(len(p["results"]) for p in parts), len(files), "Looking at images")
    answer = _joined(parts)
    if as_json:
        print_json(answer)
    else:
        _print_predictions(names, answer["results"])
    if table is not None:
        write_table(table, names, answer["results"])
        note(f"Written to {table}.")
    if question.explain and (save or not as_json):
        _draw(files, answer["results"], save or DRAWN)
    tell_errors(names, answer["results"])


def search(
    context: typer.Context,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    *,
    k: Annotated[
        int, typer.Option("-k", metavar="N", min=1, max=MAX_HITS, help="How many hits.")
    ] = 10,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only images of this dataset.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Only images with this label.")
    ] = None,
    as_json: AsJson = False,
    server: Server = None,
    key: Key = None,
) -> None:
    """Find the images most similar to one; the score is cosine similarity, 1 is the same."""
    data = image.read_bytes()
    with session(context, server, key, as_json=as_json) as client:
        from service.client import NamedImage

        named = NamedImage(image.name, data)
        answer = client.search(named, k=k, dataset=dataset, label=label)
    if as_json:
        print_json(answer)
    elif answer["hits"]:
        print_hits(answer["hits"])
    else:
        note("Nothing to compare with: no image that matches is known.")


def print_hits(hits: Sequence[Mapping[str, Any]]) -> None:
    """Prints hits, best first."""
    rows = [
        (
            f"{h['score']:.3f}",
            h["label"] or "",
            h["filename"] or "",
            h["dataset"] or "",
            h["digest"],
        )
        for h in hits
    ]
    show.table(("score", "label", "file", "dataset", "digest"), rows, right=(0,))


def _files(paths: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """(name to show, file) of every image that was meant."""
    from service.folders import find_images

    for path in paths:
        if path.is_dir():
            found = [(p.relative_to(path).as_posix(), p) for p in find_images(path)]
            if not found:
                raise PenultimateError(f"'{path}' has no images.", code="folder_unusable")
            yield from found
        elif path.exists():
            yield path.name, path
        else:
            raise PenultimateError(
                f"There is no file or folder '{path}'.", code="os_error", hint="Check its name."
            )


class _Question(NamedTuple):
    """What is asked about every image."""

    heads: list[str] | None
    evidence: int
    remember: bool
    explain: bool


def _questions(files: Sequence[tuple[str, Path]], question: _Question) -> Iterator["Flow"]:
    from service.calls.folders import BATCH_IMAGES, cut

    most = MAX_EXPLAINED if question.explain else BATCH_IMAGES
    for part in cut([path for _, path in files], most):
        yield _ask(files[part], question)


def _ask(files: Sequence[tuple[str, Path]], question: _Question) -> "Flow":
    """Asks about one batch; what could not be answered is an error in its own place."""
    from service.calls import predict as ask
    from service.client import NamedImage

    images = [NamedImage(name, path.read_bytes()) for name, path in files]
    try:
        return (yield from ask(images, **question._asdict()))
    except PenultimateError as error:
        if error.answer is not None and "results" in error.answer:
            return error.answer
        raise


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One answer; a refusal has more to say than its results, where no other answer came."""
    if len(parts) == 1:
        return parts[0]
    space = next((part["space"] for part in parts if part["space"]), None)
    answer = {"space": space, "results": [one for part in parts for one in part["results"]]}
    if not all("code" in part for part in parts):
        return answer
    problems = [problem for part in parts for problem in part["problems"]]
    return {**parts[0], "problems": problems, **answer}


def _print_predictions(names: Sequence[str], results: Sequence[Mapping[str, Any]]) -> None:
    rows, similar = [], []
    for name, result in zip(names, results, strict=True):
        for p in result["predictions"]:
            if not p.get("error"):
                head = f"{p['head']}@{p['version']}"
                rows.append((name, head, p["label"], _chance(p), _remark(p)))
            for e in p.get("evidence", []):
                known = (e["filename"] or e["digest"], e["dataset"] or "")
                similar.append((name, p["head"], f"{e['score']:.3f}", e["label"], *known))
    if rows:
        show.table(("file", "head", "answer", "probability", "remark"), rows, right=(3,))
    if similar:
        say("\nThe most similar images that the heads learnt from:")
        columns = ("file", "head", "score", "label", "similar file", "dataset")
        show.table(columns, similar, right=(2,))


def _draw(
    files: Sequence[tuple[str, Path]], results: Sequence[Mapping[str, Any]], folder: Path
) -> None:
    """Draws the heat map of every answer that has one, and says where."""
    from service.cli.heat_maps import draw, save

    drawn = 0
    for (name, path), result in zip(files, results, strict=True):
        for prediction in result["predictions"]:
            for explanation in _to_draw(prediction):
                picture = draw(path.read_bytes(), {**prediction, "explanation": explanation})
                save(picture, folder, name, f"{prediction['head']}@{prediction['version']}")
                drawn += 1
    if drawn:
        note(f"{show.count(drawn, 'heat map')} in {folder}.")


def _to_draw(prediction: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Why an answer was given; of several labels those that were, or the likeliest."""
    told = [one for one in prediction.get("explanations", []) if one["of"] in prediction["labels"]]
    return told or ([prediction["explanation"]] if prediction.get("explanation") else [])


def _chance(prediction: Mapping[str, Any]) -> str:
    """How likely the answer is; of several labels the least likely of them."""
    p = prediction["probabilities"]
    named = prediction.get("labels") if prediction["task"] == "multilabel" else None
    if not p or named == []:
        return ""
    return show.percent(min(p[label] for label in named or [prediction["label"]]))


def _remark(prediction: Mapping[str, Any]) -> str:
    """What a person should know before using an answer."""
    said = [UNLIKE] if prediction["unlike"] else []
    return "; ".join(filter(None, [*said, _doubt(prediction)]))


def _doubt(prediction: Mapping[str, Any]) -> str:
    """What else may be the answer."""
    if prediction["task"] == "regression":
        low, high = prediction["low"], prediction["high"]
        return "no bounds" if low is None else f"{low:.4g} to {high:.4g}"
    named = prediction.get("labels") or [prediction["label"]]
    others = [label for label in prediction["set"] if label not in named]
    if prediction["task"] == "multilabel":
        return f"perhaps {', '.join(others)}" if others else ""
    if others:
        return f"or {', '.join(others)}"
    return "" if prediction["set"] else "no label is likely enough"
