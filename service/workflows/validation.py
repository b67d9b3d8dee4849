"""A head tried on a dataset's images that it never saw. Trains nothing, changes nothing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from classifiers.errors import SpaceMismatch
from classifiers.head import Head
from classifiers.tasks import Question
from classifiers.validation import Validation, can_be_asked, validate
from features.errors import UnknownDigest
from service.catalog import Labelled
from service.catalog.entries import Version
from service.errors import Conflict, NotFound
from service.product import Product
from service.workflows.datasets import label_set
from service.workflows.heads import find_version
from service.workspace import Workspace

MOST = 5_000
"""Images that are looked at, at most; more would tell next to nothing more."""


REASONS = {
    "unlabelled": "without a label",
    "conflicting": "with several labels that exclude each other",
    "other_labels": "with labels that the head does not know",
    "learnt_from": "that it learnt from",
    "same_group": "of groups that it learnt from",
    "copies": "nearly the same as one that it learnt from",
    "no_vector": "without a vector in this space",
    "not_drawn": "more than are looked at",
}
"""Why an image of the dataset was left out."""


def validate_head(
    product: Product, workspace: str, name: str, version: int, dataset: str
) -> dict[str, Any]:
    """The answer of `GET /v1/heads/{h}/versions/{v}/validation`.

    Args:
        product: everything that is wired.
        workspace: whose head and dataset they are.
        name: the head.
        version: its version.
        dataset: whose labels are the truth.

    Raises:
        NotFound: there is no such head, version or dataset.
        SpaceMismatch: the head's space is not the one that is served.
        Conflict: no image of the dataset is left to try it on.
    """
    found = find_version(product, workspace, name, version)
    place = product.workspaces[workspace]
    if found.space_id != place.space.id:
        raise SpaceMismatch(found.space_id, place.space.id)
    head = place.zoo.load(found.artefact)
    images = product.catalog.datasets.images(workspace, dataset)
    learnt = _learnt_from(product, workspace, found)
    groups = _groups([*images, *_own(product, workspace, found)], learnt)
    chosen, left_out = _Candidates(place, head.card.question, learnt, groups).choose(images)
    said = _tried(place, head, chosen, sorted(learnt))
    left_out["copies"] = len(chosen) - (said.n_images if said else 0)
    if said is None:
        raise _nothing_left(dataset, left_out)
    values = asdict(said)
    return {
        "head": name,
        "version": version,
        "dataset": dataset,
        "images": values.pop("n_images"),
        "groups": values.pop("n_groups"),
        "left_out": {reason: left_out[reason] for reason in REASONS},
        "coverage": head.card.sets.coverage,
        **values,
    }


def _tried(
    place: Workspace, head: Head, images: Sequence[Labelled], learnt: Sequence[str]
) -> Validation | None:
    """What comes of it; None where no image is left."""
    if not images:
        return None
    labels, store = label_set(images), place.store
    # Copies among very many pairs of images would take minutes to find.
    known = [digest for digest in learnt if digest in store][:MOST]
    try:
        X, theirs = store.rows(labels.digests).matrix(), store.rows(known).matrix()
    except UnknownDigest as error:
        raise Conflict("Images were erased meanwhile.", hint="Ask again.") from error
    return validate(head, X, labels, theirs)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Which images a head can be tried on.

    Args:
        place: where their records are.
        question: that the head was asked.
        learnt: images that it learnt from.
        groups: of these; another image of theirs is none that it never saw.
    """

    place: Workspace
    question: Question
    learnt: frozenset[str]
    groups: frozenset[str]

    def choose(self, images: Sequence[Labelled]) -> tuple[list[Labelled], Counter[str]]:
        """Those, at most `MOST`, and how many of the others there are, by reason."""
        entries: dict[str, list[Labelled]] = {}
        for image in images:
            entries.setdefault(image.digest, []).append(image)
        chosen: list[Labelled] = []
        left_out: Counter[str] = Counter()
        # A digest is as good as a random number.
        for digest in sorted(entries):
            reason = self._reason(entries[digest])
            if not reason and len(chosen) == MOST:
                reason = "not_drawn"
            if reason:
                left_out[reason] += 1
            else:
                chosen.append(next(e for e in entries[digest] if e.label is not None))
        return chosen, left_out

    def _reason(self, entries: Sequence[Labelled]) -> str:
        digest, labels = entries[0].digest, {e.label for e in entries if e.label is not None}
        found = {
            "unlabelled": not labels,
            "conflicting": len(labels) > 1,
            "other_labels": not all(can_be_asked(self.question, label) for label in labels),
            "learnt_from": digest in self.learnt,
            "same_group": any(entry.group in self.groups for entry in entries),
            "no_vector": digest not in self.place.store,
        }
        return next((reason for reason, holds in found.items() if holds), "")


def _learnt_from(product: Product, workspace: str, found: Version) -> frozenset[str]:
    """Images that a version learnt from; those of its test split it only was tried on."""
    images = product.catalog.heads.training_images(workspace, found.head, found.version)
    return frozenset(image.digest for image in images if image.row is not None)


def _own(product: Product, workspace: str, found: Version) -> list[Labelled]:
    """The images of the version's own dataset, as far as it is still there."""
    try:
        return product.catalog.datasets.images(workspace, found.dataset)
    except NotFound:
        return []


def _groups(images: Sequence[Labelled], learnt: frozenset[str]) -> frozenset[str]:
    """The groups of the images learnt from."""
    return frozenset(i.group for i in images if i.digest in learnt and i.group is not None)


def _nothing_left(dataset: str, left_out: Counter[str]) -> Conflict:
    why = ", ".join(f"{left_out[r]} {said}" for r, said in REASONS.items() if left_out[r])
    return Conflict(
        f"Dataset '{dataset}' has no image to try the head on: {why or 'it is empty'}.",
        hint="Label images that the head did not learn from, or name another dataset.",
    )
