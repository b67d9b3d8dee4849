"""Ingest against what may happen at the same moment: erasures, other uploads, damaged files."""

import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import pytest
from live_server import picture
from made_up import everything_under

from features.errors import Overloaded
from features.keys import digest
from service.catalog import Datasets
from service.errors import CatalogUnavailable, Conflict, NotFound
from service.product import Product
from service.wiring import build
from service.workflows.erase import erase, resume
from service.workflows.ingest import LabelledUpload, ingest

W = "default"
BLUE = picture("blue", 700)
KNOWN = picture("red", 0)


def upload(data: bytes, label: str | None = "x") -> LabelledUpload:
    return LabelledUpload("a.png", data, label)


def kept(product: Product, data: bytes) -> tuple[bool, bool]:
    """Whether (the vectors, the bytes) of an image are stored."""
    place = product.workspaces[W]
    return digest(data) in place.store, place.blobs.has(digest(data))


def test_what_is_counted_is_durable_in_every_place(product: Product) -> None:
    answer = ingest(product, W, "d", [upload(BLUE)])
    assert answer["added"] == 1
    assert kept(product, BLUE) == (True, True)
    assert product.workspaces[W].blobs.get(digest(BLUE)) == BLUE


def test_the_bytes_of_a_file_that_is_rejected_are_not_kept(product: Product) -> None:
    answer = ingest(product, W, "d", [upload(BLUE, "bad\x00label"), upload(b"no image")])
    assert [r["code"] for r in answer["rejected"]] == ["invalid_request", "not_an_image"]
    assert kept(product, BLUE)[1] is False
    assert b"no image" not in everything_under(product.settings.home)


def test_an_engine_that_has_no_time_leaves_neither_bytes_nor_a_note(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise Overloaded(1.0)

    with monkeypatch.context() as patched:
        patched.setattr("features.embedder.Embedder.embed", refuse)
        with pytest.raises(Overloaded):
            ingest(product, W, "d", [upload(BLUE)])
    assert BLUE not in everything_under(product.settings.home)
    with product.workspaces[W].blobs.abandoned() as names:
        assert names == set()


def test_an_image_that_is_being_erased_leaves_nothing_behind(product: Product) -> None:
    """The erasure has removed everything and is about to say so; then the upload comes."""
    key = digest(KNOWN)
    product.catalog.begin_erasure(W, key)
    place = product.workspaces[W]
    place.store.delete([key])
    place.blobs.delete(key)
    with pytest.raises(Conflict):
        ingest(product, W, "d", [upload(BLUE), upload(KNOWN)])
    product.catalog.finish_erasures(W, [key])
    assert kept(product, KNOWN) == (False, False)
    assert kept(product, BLUE) == (False, False)
    assert ingest(product, W, "d", [upload(BLUE), upload(KNOWN)])["added"] == 2
    assert kept(product, KNOWN) == (True, True)


def test_what_a_failed_upload_takes_back_nobody_is_told_is_kept(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same image comes in another upload while the first takes it back."""
    blobs, others = product.workspaces[W].blobs, list[Future[dict[str, Any]]]()
    delete = blobs.delete

    def meanwhile(name: str) -> bool:
        if not others:
            others.append(pool.submit(ingest, product, W, "other", [upload(BLUE)]))
            wait(others, timeout=1.5)  # seconds
        return delete(name)

    product.catalog.begin_erasure(W, digest(KNOWN))
    with monkeypatch.context() as patched, ThreadPoolExecutor(1) as pool:
        patched.setattr("features.blobs.Blobs.delete", lambda _, name: meanwhile(name))
        with pytest.raises(Conflict):
            ingest(product, W, "d", [upload(BLUE), upload(KNOWN)])
        with suppress(Conflict):
            assert others[0].result()["added"] == 1
            assert kept(product, BLUE) == (True, True)


def test_an_erasure_that_a_crash_interrupted_is_finished_at_the_next_start(
    product: Product,
) -> None:
    product.catalog.begin_erasure(W, digest(KNOWN))
    assert kept(product, KNOWN) == (True, True)
    assert resume(product) == 1
    assert kept(product, KNOWN) == (False, False)
    assert resume(product) == 0


def test_uploads_of_the_same_images_at_the_same_time_are_one(product: Product) -> None:
    images = [upload(picture("blue", 800 + n)) for n in range(6)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ingest(product, W, "d", images), range(4)))
    assert sum(a["added"] for a in answers) == 6
    assert sum(a["known"] for a in answers) == 18
    assert product.catalog.datasets.summary(W, "d").images == 6
    assert product.workspaces[W].store.check() == []


def test_an_image_erased_and_sent_again_and_again_is_whole_or_gone(product: Product) -> None:
    """Two threads, one image: whatever the order, a dataset never holds half of it."""
    ingest(product, W, "d", [upload(BLUE)])

    def send() -> None:
        for _ in range(20):
            with suppress(Conflict):
                ingest(product, W, "d", [upload(BLUE)])
            time.sleep(0.02)

    def remove() -> None:
        for _ in range(3):
            with suppress(NotFound):
                erase(product, W, digest(BLUE))

    with ThreadPoolExecutor(2) as pool:
        for work in (pool.submit(send), pool.submit(remove)):
            work.result()
    held = digest(BLUE) in product.catalog.datasets.digests(W, "d")
    assert kept(product, BLUE) == (held, held)


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches `kill -9`."""


def die(*_: object, **__: object) -> None:
    raise Killed


@pytest.mark.parametrize("step", ["service.catalog.Datasets.add", "features.drafts.Drafts.keep"])
def test_bytes_of_an_ingest_that_died_are_gone_after_the_next_start(
    product: Product, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = product.workspaces[W].blobs.path(digest(BLUE))
    if step.endswith("keep"):
        # What a write that was killed half-way leaves.
        path.parent.mkdir(parents=True)
        path.with_name(f".{path.name}.0123456789abcdef").write_bytes(BLUE)
    with monkeypatch.context() as patched:
        patched.setattr(step, die)
        with pytest.raises(Killed):
            ingest(product, W, "d", [upload(BLUE), upload(KNOWN)])
    assert BLUE in everything_under(product.settings.home)

    again = build(product.settings)

    assert BLUE not in everything_under(product.settings.home)
    assert kept(again, BLUE) == (False, False)
    assert kept(again, KNOWN) == (True, True)
    assert again.catalog.open_erasures() == []
    again.close()


def test_an_ingest_that_died_after_its_row_keeps_everything(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("service.workflows.ingest._heal", die)
        with pytest.raises(Killed):
            ingest(product, W, "d", [upload(BLUE)])

    again = build(product.settings)

    assert kept(again, BLUE) == (True, True)
    assert digest(BLUE) in again.catalog.datasets.digests(W, "d")
    again.close()


def test_a_start_leaves_alone_what_another_process_is_adding(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Datasets.add

    def start_another(*given: Any, **named: Any) -> Any:
        build(product.settings).close()
        return add(*given, **named)

    monkeypatch.setattr(Datasets, "add", start_another)
    assert ingest(product, W, "d", [upload(BLUE)])["added"] == 1
    assert kept(product, BLUE) == (True, True)


def test_a_catalog_that_fails_leaves_no_bytes_behind(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise CatalogUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Datasets, "add", fail)
        with pytest.raises(CatalogUnavailable):
            ingest(product, W, "d", [upload(BLUE)])

    assert kept(product, BLUE) == (False, False)
    assert BLUE not in everything_under(product.settings.home)
    assert ingest(product, W, "d", [upload(BLUE)])["added"] == 1
