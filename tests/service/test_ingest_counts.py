"""What adding images may cost, in things that can be counted; times are in `benchmarks/speed`."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from live_server import picture
from sqlalchemy import event, func, select

from features import pipeline
from features.drafts import Drafts
from features.keys import digest
from features.store import FeatureStore
from features.testing import ToyBackbone
from service.catalog.tables import audit
from service.product import Product
from service.workflows import ingest as workflow
from service.workflows.ingest import LabelledUpload, ingest

W = "default"

HASHERS = ("service.workflows.ingest", "features.embedder", "features.blobs")
"""Modules through which the bytes of an image pass on their way in."""


def uploads(first: int, count: int) -> list[LabelledUpload]:
    pictures = (picture("blue", first + n) for n in range(count))
    return [LabelledUpload(f"{n}.png", data, "x") for n, data in enumerate(pictures)]


@pytest.fixture
def done(product: Product, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Counts what is done to a dataset that is there already, by name."""
    ingest(product, W, "d", uploads(1_000, 1))
    counts = Counter[str]()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            counts[name] += 1
            return function(*given, **named)

        return call

    for module in HASHERS:
        monkeypatch.setattr(f"{module}.digest", counted("hash", digest))
    for owner, name in (
        (pipeline, "decode"),
        (ToyBackbone, "run"),
        (FeatureStore, "put"),
        (Drafts, "keep"),
        (os, "fsync"),
    ):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    engine = product.catalog.database._engine

    def query(*_: Any) -> None:
        counts["query"] += 1

    def commit(*_: Any) -> None:
        counts["commit"] += 1

    event.listen(engine, "before_cursor_execute", query)
    event.listen(engine, "commit", commit)
    yield counts
    event.remove(engine, "before_cursor_execute", query)
    event.remove(engine, "commit", commit)


def lines(product: Product) -> int:
    with product.catalog.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(audit)).scalar_one())


def cost(product: Product, counts: Counter[str], images: list[LabelledUpload]) -> Counter[str]:
    before = counts.copy()
    assert ingest(product, W, "d", images)["added"] == len(images)
    return Counter({name: n - before[name] for name, n in counts.items()})


def test_each_image_is_hashed_once_and_decoded_once(product: Product, done: Counter[str]) -> None:
    found = cost(product, done, uploads(0, 9))
    assert (found["hash"], found["decode"]) == (9, 9)


def test_a_batch_is_one_append_one_line_of_the_audit_and_as_many_queries_as_one_image(
    product: Product, done: Counter[str]
) -> None:
    one = cost(product, done, uploads(0, 1))
    before = lines(product)
    many = cost(product, done, uploads(100, 40))
    assert lines(product) - before == 1
    assert (many["put"], many["keep"]) == (one["put"], one["keep"]) == (1, 1)
    assert (many["query"], many["commit"]) == (one["query"], one["commit"])


def test_a_further_image_of_a_batch_is_flushed_with_its_folder_and_nothing_more(
    product: Product, done: Counter[str]
) -> None:
    one = cost(product, done, uploads(0, 1))["fsync"]
    many = cost(product, done, uploads(100, 40))["fsync"]
    assert many - one <= 2 * 39


def test_an_image_that_is_known_is_neither_decoded_nor_written_again(
    product: Product, done: Counter[str]
) -> None:
    images = uploads(0, 5)
    ingest(product, W, "d", images)
    before = done.copy()
    assert ingest(product, W, "d", images)["known"] == 5
    assert (done["decode"], done["put"]) == (before["decode"], before["put"])


def test_a_batch_ends_before_it_is_too_large_for_the_memory(
    product: Product, done: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = uploads(0, 6)
    size = max(len(image.data) for image in images)
    monkeypatch.setattr(workflow, "BATCH_BYTES", 2 * size)
    assert cost(product, done, images)["put"] == 3
    monkeypatch.setattr(workflow, "BATCH_BYTES", size // 2)
    assert cost(product, done, uploads(50, 4))["put"] == 4


def test_a_batch_ends_at_so_many_images_and_none_is_left_out(
    product: Product, done: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "BATCH", 4)
    assert cost(product, done, uploads(0, 9))["put"] == 3
