"""Several backbones side by side on one dataset, by cross-validation of the real head.

Nothing is registered. Vectors are kept in the records of their own space, so that changing the
backbone afterwards costs nothing; an erasure finds them there.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from classifiers.difference import auc_difference
from classifiers.errors import ClassifierError, TrainingCancelled
from classifiers.evaluation import SIGNIFICANCE, Evaluation
from classifiers.labels import LabelSet
from classifiers.lesson import Copied, find_copied
from classifiers.look import look as look_at
from classifiers.recipe import Recipe
from classifiers.training import assess
from features.embedder import Embedder
from features.errors import FeatureError, UnknownDigest
from service.backbones import needs_fetching
from service.catalog import SYSTEM, Job
from service.errors import InvalidRequest, LabelsNotReady
from service.problems import problem
from service.product import Product
from service.schemas import CompareOptions
from service.workflows.look import comparable_labels, described, layout, threads
from service.workflows.vectors import Report, complete

SAMPLE = 32
"""Images that are looked at once more, to say how many a backbone sees in a second."""

_EMBEDDED = 0.5
"""Share of a backbone's work that is done when its vectors are there."""


@dataclass(slots=True)
class _Trial:
    """One backbone's row, and what it is compared by; None where it failed.

    `copied`: the images that are held out together, the same for every backbone, since figures are
    only comparable on the same folds. The first backbone that comes so far finds them.
    """

    row: dict[str, Any]
    evaluation: Evaluation | None = None
    copied: Copied | None = None


def request_comparison(
    product: Product,
    workspace: str,
    *,
    dataset: str,
    backbones: Sequence[str],
    options: CompareOptions,
    idempotency_key: str | None = None,
    actor: str = SYSTEM,
) -> Job:
    """Queues a comparison, once the labels are known to be fit for it.

    Raises:
        InvalidRequest: the weights of a backbone are not on this machine.
        NotFound: there is no such dataset.
        LabelsNotReady: it cannot be learnt from; every reason is named.
        LabelProblems: its labels are several for an image, or numbers.
        Conflict: the idempotency key belongs to another request.
    """
    request = {
        "dataset": dataset,
        "backbones": list(backbones),
        "options": options.model_dump(exclude_defaults=True),
    }
    jobs = product.catalog.jobs
    same = jobs.repeated(workspace, request, idempotency_key)
    if same is not None:
        return same
    _check_here(product, backbones)
    comparable_labels(product, workspace, dataset)
    return jobs.submit(workspace, "compare", request, idempotency_key, actor=actor)


def _check_here(product: Product, backbones: Sequence[str]) -> None:
    """A client's words must not make the server fetch anything, or take memory for it."""
    away = [
        InvalidRequest(
            f"The weights of '{name}' are not on the server.",
            hint="Whoever runs it can put them, as .safetensors, into the folder `weights` of its "
            "home, under that name with - for /.",
        )
        for name in backbones
        if needs_fetching(product.settings, name)
    ]
    if away:
        raise InvalidRequest.all_of(away)


def run_comparison(product: Product, job: Job, owner: str, report: Report) -> None:
    """Does a queued job: one backbone after the other, one open at a time beside the served one.

    Raises:
        TrainingCancelled: somebody cancelled it.
        Exception: it failed; the caller writes down why.
    """
    asked = job.request
    report("checking labels", 0.0)
    labels = comparable_labels(product, job.workspace, asked["dataset"])
    seed = CompareOptions.model_validate(asked["options"]).seed
    present = product.settings.backbone
    names = list(dict.fromkeys([present, *asked["backbones"]]))
    trials: list[_Trial] = []
    for number, name in enumerate(names):

        def tell(stage: str, part: float, number: int = number, name: str = name) -> None:
            report(f"{name}: {stage}", (number + part) / len(names))

        copied = next((one.copied for one in trials if one.copied is not None), None)
        trials.append(_tried(product, job.workspace, labels, name, seed, copied, tell))
    _compare(trials)
    result = {
        "dataset": asked["dataset"],
        "seed": seed,
        "backbones": [trial.row for trial in trials],
        "words": _words([trial.row for trial in trials]),
    }
    with product.catalog.database.write() as connection:
        if not product.catalog.jobs.succeed(connection, job.id, owner, result):
            raise TrainingCancelled


def _tried(
    product: Product,
    workspace: str,
    labels: LabelSet,
    name: str,
    seed: int,
    copied: Copied | None,
    tell: Report,
) -> _Trial:
    trial = _Trial(_empty_row(name, present=name == product.settings.backbone), copied=copied)
    start = perf_counter()
    try:
        trial.evaluation = _try(product, workspace, labels, trial, seed, tell)
    except TrainingCancelled:
        raise
    except (FeatureError, ClassifierError, InvalidRequest) as error:
        trial.row["error"] = problem(error)
    trial.row["seconds"] = round(perf_counter() - start, 1)
    return trial


def _try(
    product: Product,
    workspace: str,
    labels: LabelSet,
    trial: _Trial,
    seed: int,
    tell: Report,
) -> Evaluation:
    tell("opening", 0.0)
    row = trial.row
    # Closed again before anything is learnt: two networks and the folds would be three's company.
    with _opened(product, row["backbone"]) as embedder:
        space = embedder.space
        with product.workspaces[workspace].store_in(space) as store:
            X = complete(
                product,
                workspace,
                labels.digests,
                embedder,
                store,
                lambda stage, part: tell(stage, _EMBEDDED * part),
            )
        row |= {"space": space.id, "dim": space.dim, "width": space.width}
        row["images_per_second"] = _pace(product, workspace, labels, embedder)
    tell("looking", _EMBEDDED)
    blocks, at_once = layout(space), threads(product.settings.threads)
    if trial.copied is None:
        trial.copied = find_copied(X, labels, blocks)
    given: dict[str, Any] = {"blocks": blocks, "threads": at_once, "copied": trial.copied}
    row["look"] = described(look_at(X, labels, seed=seed, **given))
    evaluation = assess(
        X,
        labels,
        recipe=Recipe(seed=seed),
        progress=lambda stage, part: tell(stage, _EMBEDDED + (1 - _EMBEDDED) * part),
        **given,
    )
    row |= {"metrics": evaluation.metrics, "p_value": evaluation.p_value}
    return evaluation


def _opened(product: Product, backbone: str) -> AbstractContextManager[Embedder]:
    if backbone == product.settings.backbone:
        return nullcontext(product.embedder)
    _check_here(product, [backbone])  # a restored catalog may have jobs that no request brought
    return product.open_backbone(backbone)


def _pace(product: Product, workspace: str, labels: LabelSet, embedder: Embedder) -> float:
    """Images a second, decoding included, of some that are looked at for this alone."""
    blobs = product.workspaces[workspace].blobs
    try:
        files = [(d, blobs.get(d)) for d in labels.digests[:SAMPLE]]
    except UnknownDigest as error:
        raise LabelsNotReady("Images were erased meanwhile.", hint="Ask again.") from error
    embedder.warm()  # The served backbone may not have run yet: every vector was there.
    start = perf_counter()
    embedder.embed(files, None)
    return round(len(files) / (perf_counter() - start), 1)


def _compare(trials: Sequence[_Trial]) -> None:
    """Adds to every row what can only be said beside the others."""
    present = trials[0].evaluation
    finished = [trial for trial in trials if trial.evaluation is not None]
    for trial in finished:
        assert trial.evaluation is not None  # noqa: S101 - the others are not in the list
        # The best of several is looked at: chance has had as many tries.
        trial.row["signal"] = (
            trial.evaluation.signal and trial.evaluation.p_value * len(finished) < SIGNIFICANCE
        )
        if present is not None and trial.evaluation is not present:
            trial.row["difference"] = auc_difference(
                trial.evaluation.scored, present.scored, len(finished) - 1
            )


def _words(rows: Sequence[dict[str, Any]]) -> str:
    """What to make of the table, in a sentence."""
    present, *others = rows
    better = [
        row
        for row in others
        if row["signal"] and row["difference"] and row["difference"]["low"] > 0
    ]
    if better:
        best = max(better, key=lambda row: float(row["difference"]["value"]))
        gain = best["difference"]
        return (
            f"{best['backbone']} is better than {present['backbone']} on these images: its AUC is "
            f"{gain['value']:.3f} higher ({gain['low']:.3f} to {gain['high']:.3f})."
        )
    if not any(row["signal"] for row in rows):
        return "No signal in any of these spaces: no head learnt more than chance would explain."
    if present["signal"]:
        return f"No backbone is clearly better than {present['backbone']}: stay with it."
    seeing = ", ".join(row["backbone"] for row in others if row["signal"])
    return (
        f"There is signal with {seeing} and none with {present['backbone']}, but the difference "
        "may be chance: more images will tell."
    )


def _empty_row(backbone: str, *, present: bool) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "present": present,
        "space": None,
        "dim": None,
        "width": None,
        "images_per_second": None,
        "look": None,
        "metrics": {},
        "p_value": None,
        "signal": False,
        "difference": None,
        "seconds": 0.0,
        "error": None,
    }
