"""Images in, every asked head's answer out, at the cost of one look at each image."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from classifiers.conformal import SetRule
from classifiers.tasks import Question
from features.embedder import Embedded
from features.errors import UnknownDigest
from features.keys import Vectors
from service.errors import NothingAnswered
from service.problems import problem
from service.product import Product, Upload
from service.serving import Asked, Panel
from service.workflows.explain import add_explanations, check_number
from service.workspace import Workspace

Answer = dict[str, Any]

ALARM_RATE = 0.05
"""Share of images of the learnt kind that are called unlike it by mistake."""


def predict_images(
    product: Product,
    workspace: str,
    images: Sequence[Upload],
    heads: Sequence[str] | None,
    *,
    evidence: int = 0,
    remember: bool = True,
    explain: bool = False,
) -> Answer:
    """Answers for images whose bytes were sent.

    Args:
        product: everything that is wired.
        workspace: whose heads and records.
        images: what was sent; they are never kept, only their vectors may be.
        heads: references; None asks for the champion of every head.
        evidence: how many of each head's nearest training images to name.
        remember: whether the vectors may be kept.
        explain: whether each answer comes with a heat map.

    Returns:
        The answer of `POST /v1/predict`.

    Raises:
        InvalidRequest: there is too much to explain.
        NoMaps: the backbone cannot be explained.
        NothingAnswered: not one image could be answered.
        Overloaded: too much work is waiting.
    """
    place = product.workspaces[workspace]
    panel = product.served(workspace).ask(heads)
    if explain:
        check_number(len(images), len(panel.asked))
    embedded = product.embedder.embed(
        [(u.filename, u.data) for u in images],
        place.store,
        remember="later" if remember else "no",
    )
    results = [
        _entry(upload.filename, found) for upload, found in zip(images, embedded, strict=True)
    ]
    good = [found for found in embedded if isinstance(found, Embedded)]
    answer = _answer(product, place, results, good, panel, evidence)
    for upload, found, result in zip(images, embedded, results, strict=True):
        if explain and isinstance(found, Embedded):
            add_explanations(product, workspace, panel.asked, upload, found, result)
    return answer


def predict_digests(
    product: Product,
    workspace: str,
    digests: Sequence[str],
    heads: Sequence[str] | None,
    *,
    evidence: int = 0,
) -> Answer:
    """Answers for images that are known; the arguments are those of `predict_images`."""
    place = product.workspaces[workspace]
    known = place.store.get(digests)
    found = [
        Embedded(d, known[d].embedding, known[d].stages, cached=True)
        if d in known
        else UnknownDigest([d])
        for d in digests
    ]
    product.metrics.count("cache_hits", len(known))
    results = [_entry(None, f, digest=d) for d, f in zip(digests, found, strict=True)]
    good = [f for f in found if isinstance(f, Embedded)]
    panel = product.served(workspace).ask(heads)
    return _answer(product, place, results, good, panel, evidence)


def _entry(
    filename: str | None, found: Embedded | Exception, digest: str | None = None
) -> dict[str, Any]:
    failed = isinstance(found, Exception)
    return {
        "image": {
            "filename": filename,
            "digest": digest if isinstance(found, Exception) else found.digest,
            "cached": False if isinstance(found, Exception) else found.cached,
        },
        "predictions": [],
        "evidence": [],
        "error": problem(found) if failed and isinstance(found, Exception) else None,
    }


def _answer(
    product: Product,
    place: Workspace,
    results: list[dict[str, Any]],
    good: list[Embedded],
    panel: Panel,
    evidence: int,
) -> Answer:
    asked = panel.asked
    with product.metrics.timed("heads"):
        predictions = _predictions(panel, good)
    product.metrics.count("predictions", len(good) * sum(a.error is None for a in asked))
    answered = [r for r in results if r["error"] is None]
    for result, embedded, of_image in zip(answered, good, predictions, strict=True):
        result["predictions"] = of_image
        if evidence:
            _add_evidence(product, place, asked, embedded, result, evidence)
    answer = {"space": place.space.id, "results": results}
    if not answered or (asked and all(a.error is not None for a in asked)):
        raise NothingAnswered(answer, _problems(results, asked))
    return answer


def _predictions(panel: Panel, images: Sequence[Embedded]) -> list[list[dict[str, Any]]]:
    if not images:
        return []
    vectors = Vectors(np.stack([i.embedding for i in images]), np.stack([i.stages for i in images]))
    answers = panel.answers(vectors.matrix())
    stops = np.cumsum(answers.sizes).tolist()
    spans = list(zip([0, *stops], stops, strict=False))
    rows = zip(answers.flat.tolist(), answers.usualness.tolist(), strict=True)
    return [_of_image(panel.asked, spans, *row) for row in rows]


def _of_image(
    asked: Sequence[Asked],
    spans: Sequence[tuple[int, int]],
    answers: list[float],
    usualness: list[float],
) -> list[dict[str, Any]]:
    """What every head says of one image: plain Python, for there may be thousands of heads."""
    able = zip(spans, usualness, strict=True)
    found = []
    for one in asked:
        if one.able is None:
            found.append(_failed(one))
            continue
        (start, stop), usual = next(able)
        _, question, sets = one.able
        found.append(
            {
                "head": one.name,
                "version": one.version,
                "task": question.task,
                **say(question, sets, answers[start:stop]),
                "coverage": sets.coverage,
                "usualness": usual,
                "unlike": usual <= ALARM_RATE,
                "error": None,
            }
        )
    return found


def say(question: Question, sets: SetRule, answer: list[float]) -> dict[str, Any]:
    """What a head's answer to one image is in words: what depends on its task."""
    if question.is_number:
        return _number(question, sets.margin, answer)
    left = sets.left(question.classes, answer, ordered=question.task == "ordinal")
    said: dict[str, Any] = {
        "label": question.label_of(answer),
        "probabilities": dict(zip(question.classes, answer, strict=True)),
        "set": left,
    }
    if question.exclusive:
        said["abstains"] = len(left) != 1
        return said
    likely = question.likely(answer)
    # A label that can be neither asserted nor ruled out is one it does not know of.
    return {**said, "abstains": left != likely, "labels": likely}


def _number(question: Question, margin: float | None, answer: list[float]) -> dict[str, Any]:
    (value,) = answer
    return {
        "label": question.label_of(answer),
        "probabilities": {},
        "set": [],
        "abstains": margin is None,
        "value": value,
        "low": None if margin is None else value - margin,
        "high": None if margin is None else value + margin,
    }


def _failed(asked: Asked) -> dict[str, Any]:
    assert asked.error is not None  # noqa: S101 - called for heads with an error alone
    return {
        "head": asked.name,
        "version": asked.version,
        "task": None,
        "label": None,
        "probabilities": {},
        "set": [],
        "coverage": None,
        "abstains": True,
        "usualness": None,
        "unlike": None,
        "error": problem(asked.error),
    }


def _add_evidence(
    product: Product,
    place: Workspace,
    asked: Sequence[Asked],
    embedded: Embedded,
    result: dict[str, Any],
    k: int,
) -> None:
    served = product.served(place.name)
    for prediction, head in zip(result["predictions"], asked, strict=True):
        if head.error is not None:
            continue
        labels = served.training_labels(head)
        hits = place.store.search(
            embedded.embedding, k, among=labels.keys(), exclude=(embedded.digest,)
        )
        known = product.catalog.datasets.describe(
            place.name, [h.digest for h in hits], head.dataset
        )
        prediction["evidence"] = [
            {
                "head": head.name,
                "digest": h.digest,
                "score": h.score,
                "label": labels[h.digest],
                "filename": known[h.digest][1].filename if h.digest in known else None,
                "dataset": head.dataset if h.digest in known else None,
                "group": known[h.digest][1].group if h.digest in known else None,
            }
            for h in hits
        ]
    every = {e["digest"]: e for p in result["predictions"] for e in p.get("evidence", ())}
    result["evidence"] = sorted(every.values(), key=lambda e: -e["score"])[:k]


def _problems(results: list[dict[str, Any]], asked: Sequence[Asked]) -> list[dict[str, Any]]:
    of_images = [r["error"] for r in results if r["error"] is not None]
    return of_images + [problem(a.error) for a in asked if a.error is not None]
