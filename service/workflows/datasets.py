"""Datasets as people see them: counts, problems found, labels changed, images gone for good."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from classifiers.labels import LabelSet, find_problems
from features.keys import is_digest
from service.catalog import NO_GROUP, SYSTEM, Labelled
from service.errors import InvalidRequest, NotFound
from service.names import check_text
from service.problems import problem_entry
from service.product import Product
from service.workflows.erase import erase_all


def label_set(images: Sequence[Labelled]) -> LabelSet:
    """The labelled images of a dataset as heads take them; unlabelled ones are left out."""
    labelled = [i for i in images if i.label is not None]
    has_groups = any(i.group is not None for i in labelled)
    has_splits = any(i.split is not None for i in labelled)
    return LabelSet(
        digests=tuple(i.digest for i in labelled),
        labels=tuple(i.label or "" for i in labelled),
        groups=tuple(i.group for i in labelled) if has_groups else None,
        splits=tuple(_split(i.split) for i in labelled) if has_splits else None,
    )


def describe(product: Product, workspace: str, name: str) -> dict[str, Any]:
    """The answer of `GET /v1/datasets/{d}`: counts by label and group, and problems found."""
    summary = product.catalog.datasets.summary(workspace, name)
    images = product.catalog.datasets.images(workspace, name)
    by_group: dict[str, int] = {}
    for image in images:
        if image.group is not None:
            by_group[image.group] = by_group.get(image.group, 0) + 1
    return {
        "name": name,
        "created": summary.created,
        "images": summary.images,
        "labels": summary.labels,
        "unlabelled": summary.unlabelled,
        "groups": by_group,
        "problems": [problem_entry(p) for p in find_problems(label_set(images))],
    }


def list_all(product: Product, workspace: str) -> dict[str, Any]:
    """The answer of `GET /v1/datasets`."""
    summaries = [
        product.catalog.datasets.summary(workspace, name)
        for name in product.catalog.datasets.names(workspace)
    ]
    return {
        "datasets": [
            {
                "name": s.name,
                "created": s.created,
                "images": s.images,
                "labels": s.labels,
                "unlabelled": s.unlabelled,
                "groups": s.groups,
            }
            for s in summaries
        ]
    }


def relabel(
    product: Product,
    workspace: str,
    name: str,
    entries: Sequence[dict[str, Any]],
    *,
    actor: str = SYSTEM,
) -> dict[str, Any]:
    """Sets labels and groups of images that the dataset holds; all entries or none.

    Raises:
        NotFound: an image is not in the dataset.
        InvalidRequest: an entry is malformed, or there are two for one image.
    """
    images = _entries(entries)
    held = product.catalog.datasets.digests(workspace, name)
    strangers = [i.digest for i in images if i.digest not in held]
    if strangers:
        hint = f"Add it with POST /v1/datasets/{name}/images."
        raise NotFound("image", strangers[0], hint=hint, others=strangers[1:])
    product.catalog.datasets.relabel(workspace, name, images, actor=actor)
    return describe(product, workspace, name)


def delete(product: Product, workspace: str, name: str, *, actor: str = SYSTEM) -> dict[str, Any]:
    """Deletes a dataset and every image of it that no other dataset uses."""
    remove = partial(product.catalog.remove_dataset, workspace, name, actor=actor)
    return {"dataset": name, "images_removed": erase_all(product, workspace, remove)}


def _entries(entries: Sequence[dict[str, Any]]) -> list[Labelled]:
    images, refused = [], []
    for entry in entries:
        try:
            images.append(_entry(entry))
        except InvalidRequest as error:
            refused.append(error)
    times = Counter(image.digest for image in images)
    refused += [
        InvalidRequest(f"There are several entries for image {digest}.", hint="Send one for each.")
        for digest in times
        if times[digest] > 1
    ]
    if refused:
        raise InvalidRequest.all_of(refused)
    return images


def _entry(entry: dict[str, Any]) -> Labelled:
    if not is_digest(entry["digest"]):
        raise InvalidRequest(
            f"'{str(entry['digest'])[:80]}' is not a digest.",
            hint="A digest is 64 lower-case hexadecimal digits.",
        )
    label, group = check_text("label", entry.get("label")), check_text("group", entry.get("group"))
    # Empty is not absent: a group that was wrong must be possible to take away.
    return Labelled(entry["digest"], label, NO_GROUP if entry.get("group") == NO_GROUP else group)


def _split(text: str | None) -> Literal["train", "test"] | None:
    return "train" if text == "train" else "test" if text == "test" else None
