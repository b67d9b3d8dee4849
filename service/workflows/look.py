"""A quick look at a dataset in the served space, before anything is trained. Embeds nothing."""

import os
from typing import Any

from classifiers.label_set import part
from classifiers.labels import LabelSet, find_problems
from classifiers.look import Look, asked_of, sample
from classifiers.look import look as look_at
from features.errors import UnknownDigest
from features.keys import EmbeddingSpace
from service.errors import LabelsNotReady
from service.product import Product
from service.workflows.learn import checked_labels


def look(product: Product, workspace: str, dataset: str) -> dict[str, Any]:
    """The answer of `GET /v1/datasets/{d}/look`: whether plain methods see a signal.

    Raises:
        NotFound: there is no such dataset.
        LabelsNotReady: it cannot be learnt from; every reason is named.
        LabelProblems: its labels are several for an image, or numbers.
    """
    labels = comparable_labels(product, workspace, dataset)
    store = product.workspaces[workspace].store
    known = {digest for digest in labels.digests if digest in store}
    seen = part(labels, [row for row, digest in enumerate(labels.digests) if digest in known])
    answer = {
        "dataset": dataset,
        "space": product.space.id,
        "missing": len(set(labels.digests) - known),
    }
    if any(problem.severity == "error" for problem in find_problems(seen)):
        return answer | _unseen(len(set(seen.digests)))
    seen = part(seen, sample(seen))  # before vectors of very many images are read
    try:
        X = store.rows(seen.digests).matrix()
    except UnknownDigest as error:
        raise LabelsNotReady("Images were erased meanwhile.", hint="Ask again.") from error
    return answer | described(look_at(X, seen, blocks=layout(product.space), threads=threads()))


def comparable_labels(product: Product, workspace: str, dataset: str) -> LabelSet:
    """The dataset's labels, if they are classes or grades that a head can be trained on.

    Raises:
        LabelsNotReady: a head cannot be trained on them; every reason is named.
        LabelProblems: they are several for an image, or numbers.
    """
    labels = checked_labels(product, workspace, dataset)
    asked_of(labels)
    return labels


def described(found: Look) -> dict[str, Any]:
    """What a quick look found, as JSON."""
    return {
        "images": found.n_images,
        "classes": list(found.classes),
        "folds": {
            "kind": found.plan.kind,
            "folds": found.plan.n_folds,
            "repeats": len(found.plan.repeats),
            "reason": found.plan.reason,
        },
        "methods": {
            name: {
                "auc": None if glance.auc is None else glance.auc.measure(),
                "balanced_accuracy": glance.balanced_accuracy.measure(),
                "p_value": None if glance.auc is None else glance.auc.p_value,
            }
            for name, glance in found.methods.items()
        },
        "best": found.best,
        "verdict": found.verdict,
        "words": found.words,
    }


def layout(space: EmbeddingSpace) -> list[tuple[str, int, int]]:
    """The column blocks of a space as heads take them."""
    return [(block.name, block.start, block.stop) for block in space.blocks]


def threads(wanted: int = 0) -> int:
    """How many folds are learnt at once; 0 means one for each core."""
    return wanted or os.cpu_count() or 1


def _unseen(n_images: int) -> dict[str, Any]:
    words = (
        f"Too few images to tell: vectors of {n_images} are known in this space. Learning a head "
        "or comparing backbones makes the others."
    )
    return {
        "images": n_images,
        "classes": [],
        "folds": None,
        "methods": {},
        "best": None,
        "verdict": "too_few",
        "words": words,
    }
