"""Images in, every asked head's answer out, at the cost of one look at each image."""

from asyncio import wrap_future
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from features.call import Embedded, Results
from features.errors import ImageRejected, UnknownDigest
from features.keys import Vectors
from service.errors import NothingAnswered
from service.panel import Asked, Panel
from service.problems import problem
from service.product import Product, Upload
from service.workflows.explain import add_explanations, check_number
from service.workflows.wording import predictions, written
from service.workspace import Workspace

Answer = dict[str, Any]

FEW = 8
"""Heads up to which an answer is worded one by one."""

NOW_IMAGES, NOW_BYTES, NOW_HEADS = 8, 2**20, 16
"""What is answered without a thread, at most: a millisecond of work, while which nobody else is
served."""


def predict_images(
    product: Product,
    workspace: str,
    images: Sequence[Upload],
    heads: Sequence[str] | None,
    *,
    evidence: int = 0,
    remember: bool = True,
    explain: bool = False,
    as_json: bool = False,
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
        as_json: whether an image's predictions may be JSON already, an `orjson.Fragment`.

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
        digests=[u.digest for u in images],
    )
    as_json &= not explain
    answer = _answer_images(product, place, images, embedded, panel, evidence, as_json=as_json)
    for upload, found, result in zip(images, embedded, answer["results"], strict=True):
        if explain and isinstance(found, Embedded):
            add_explanations(product, workspace, panel.asked, upload, found, result)
    return answer


def predict_now(
    product: Product, workspace: str, images: Sequence[Upload], heads: Sequence[str] | None
) -> Answer | None:
    """The answer of `predict_images` where that takes less time than finding a thread for it.

    That is so of a few known images and a few heads that have answered before: nothing of theirs
    waits for a file, the catalog or another request. None for all others, who must wait.
    """
    at_hand = _at_hand(product, workspace, images, heads)
    if at_hand is None:
        return None
    place, panel = at_hand
    known = product.embedder.known([u.digest for u in images], place.store)
    if known is None:
        return None
    return _answer_images(product, place, images, known, panel)


def predict_soon(
    product: Product,
    workspace: str,
    images: Sequence[Upload],
    heads: Sequence[str] | None,
    *,
    remember: bool,
) -> Awaitable[Answer] | None:
    """The same where nothing but the backbone has to be waited for: what that takes no thread for.

    Images that are not known are begun here, and are computed even if nobody awaits the answer.
    None for all others; nothing was done then.

    Raises:
        Overloaded: too much work is waiting.
    """
    at_hand = _at_hand(product, workspace, images, heads)
    if at_hand is None:
        return None
    place, panel = at_hand
    coming = product.embedder.embed_soon(
        [(u.filename, u.data) for u in images],
        place.store,
        remember=remember,
        digests=[u.digest for u in images],
    )

    async def answered(coming: Future[Results]) -> Answer:
        embedded = await wrap_future(coming)
        return _answer_images(product, place, images, embedded, panel)

    return None if coming is None else answered(coming)


def predict_digests(
    product: Product,
    workspace: str,
    digests: Sequence[str],
    heads: Sequence[str] | None,
    *,
    evidence: int = 0,
    as_json: bool = False,
) -> Answer:
    """Answers for images that are known; the arguments are those of `predict_images`."""
    place = product.workspaces[workspace]
    product.embedder.settle(place.store, digests)
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
    return _answer(product, place, results, good, panel, evidence, as_json=as_json)


def _at_hand(
    product: Product, workspace: str, images: Sequence[Upload], heads: Sequence[str] | None
) -> tuple[Workspace, Panel] | None:
    """The workspace, and the heads that were asked, of a small question that finds them loaded."""
    if len(images) > NOW_IMAGES or sum(len(u.data) for u in images) > NOW_BYTES:
        return None
    served = product.served_now(workspace)
    panel = None if served is None else served.ask_now(heads, at_most=NOW_HEADS)
    return None if served is None or panel is None else (served.workspace, panel)


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


def _answer_images(
    product: Product,
    place: Workspace,
    images: Sequence[Upload],
    embedded: Sequence[Embedded | ImageRejected],
    panel: Panel,
    evidence: int = 0,
    *,
    as_json: bool = False,
) -> Answer:
    results = [_entry(u.filename, found) for u, found in zip(images, embedded, strict=True)]
    good = [found for found in embedded if isinstance(found, Embedded)]
    return _answer(product, place, results, good, panel, evidence, as_json=as_json)


def _answer(
    product: Product,
    place: Workspace,
    results: list[dict[str, Any]],
    good: list[Embedded],
    panel: Panel,
    evidence: int,
    *,
    as_json: bool,
) -> Answer:
    asked = panel.asked
    with product.metrics.timed("heads"):
        said = _predictions(panel, good, as_json=as_json and not evidence)
    product.metrics.count("predictions", len(good) * panel.answering)
    answered = [r for r in results if r["error"] is None]
    for result, embedded, of_image in zip(answered, good, said, strict=True):
        result["predictions"] = of_image
        if evidence:
            _add_evidence(product, place, asked, embedded, result, evidence)
    answer = {"space": place.space.id, "results": results}
    if not answered or (asked and not panel.answering):
        raise NothingAnswered(answer, _problems(results, asked))
    return answer


def _predictions(panel: Panel, images: Sequence[Embedded], *, as_json: bool) -> Sequence[Any]:
    """What every head says of each image."""
    if not images:
        return []
    vectors = Vectors(np.stack([i.embedding for i in images]), np.stack([i.stages for i in images]))
    answers = panel.answers(vectors.matrix())
    # Of few heads, plain values take no longer.
    many = len(panel.asked) > FEW
    return (written if as_json and many else predictions)(panel.asked, answers)


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
