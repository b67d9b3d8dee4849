"""An erasure reaches every space that a workspace ever had, not only the one that is served."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from in_process import files, opened, refused, settings_of
from live_server import picture

from features.errors import StoreUnavailable
from features.keys import EmbeddingSpace, Vectors, digest
from features.store import FeatureStore
from features.testing import ToyBackbone
from service.errors import ErasurePending, NotFound
from service.product import Product
from service.trainer import Trainer
from service.wiring import build
from service.workflows.erase import erase, finish_open

W = "default"
IMAGE = digest(picture("red", 0))
OLD = replace(ToyBackbone.space, layer="what an old backbone had")


def remember_in_old_space(product: Product, name: str) -> None:
    place = product.workspaces[W]
    row = place.store.rows([IMAGE])
    with place.store_in(OLD) as store:
        store.put([name], row)


def known_in(product: Product, space: EmbeddingSpace, name: str) -> bool:
    with product.workspaces[W].store_in(space) as store:
        return name in store


def everything_of(home: Path, part: bytes) -> list[Path]:
    return [f for f in home.rglob("*") if f.is_file() and part in f.read_bytes()]


def test_records_of_a_space_that_is_not_served_are_erased_too(product: Product, home: Path) -> None:
    remember_in_old_space(product, IMAGE)
    vector: Vectors = product.workspaces[W].store.rows([IMAGE])
    assert known_in(product, OLD, IMAGE)
    assert len(everything_of(home / "index", vector.embeddings.tobytes())) == 2

    erase(product, W, IMAGE)

    assert not known_in(product, OLD, IMAGE)
    assert not known_in(product, product.space, IMAGE)
    assert everything_of(home / "index", vector.embeddings.tobytes()) == []


def test_an_image_that_only_an_old_space_knows_can_be_erased(home: Path) -> None:
    stranger = digest(b"an image that was asked about when the old backbone was served")
    with opened(settings_of(home)) as http:
        remember_in_old_space(http.product, stranger)
        assert http.delete(f"/v1/images/{stranger}").json()["erased"]
        refused(http.delete(f"/v1/images/{stranger}"), 404, "image_not_found")


LATE = digest(b"an image that another worker has just been asked about")


def erase_what_comes_late(product: Product, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Another worker stores it between the two looks of the erasure."""
    store = product.workspaces[W].store
    row = store.rows([IMAGE])

    def meanwhile(_: float) -> None:
        store.put([LATE], row)

    with monkeypatch.context() as patched:
        patched.setattr("service.workflows.erase.time.sleep", meanwhile)
        return erase(product, W, LATE, actor="a person")


def note_of_late(product: Product) -> None:
    (last,) = product.catalog.audit.lines(W, limit=1)
    said = {"action": "image.erase", "which": LATE, "actor": "a person", "result": "done"}
    assert {name: last[name] for name in said} == said


def test_what_another_worker_stores_meanwhile_is_erased_too_and_said_to_be(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = erase_what_comes_late(product, monkeypatch)
    assert answer == {"digest": LATE, "erased": True, "datasets": 0, "heads": []}
    assert LATE not in product.workspaces[W].store
    note_of_late(product)
    with pytest.raises(NotFound):
        erase(product, W, LATE)


def test_it_is_noted_even_where_the_catalog_is_read_meanwhile(
    product: Product, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.catalog.database.BUSY_TIMEOUT_MS", 300)
    with closing(sqlite3.connect(home / "catalog.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM labels").fetchall()
        with pytest.raises(ErasurePending):
            erase_what_comes_late(product, monkeypatch)
    note_of_late(product)


def test_an_image_that_comes_again_meets_nobody_who_still_removes_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two erasures of one image at a time: the first that ends must not let it in too early."""
    monkeypatch.setattr("service.workflows.erase.SECOND_LOOK_S", 0.4)
    with opened(settings_of(home)) as http, ThreadPoolExecutor() as pool:
        first = pool.submit(http.delete, f"/v1/images/{IMAGE}")
        time.sleep(0.2)
        others = [
            pool.submit(http.delete, f"/v1/images/{IMAGE}"),
            pool.submit(finish_open, http.product),
        ]
        assert first.result().status_code == 200
        again = http.post(
            "/v1/datasets/again/images", files=files(picture("red", 0)), data={"labels": "red"}
        )
        assert again.status_code == 200, again.text
        for other in others:
            other.result()
        assert http.get("/v1/datasets/again").json()["images"] == 1
        place = http.product.workspaces[W]
        assert place.blobs.has(IMAGE)
        assert IMAGE in place.store
        assert http.product.catalog.open_erasures() == []


def test_an_erasure_that_cannot_reach_a_space_is_finished_at_the_next_start(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete = FeatureStore.delete

    def only_served(store: FeatureStore, digests: list[str]) -> int:
        if store.space == OLD:
            raise StoreUnavailable("a disk", "it is away", hint="Wait.")
        return delete(store, digests)

    product = build(settings_of(home))
    remember_in_old_space(product, IMAGE)
    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "delete", only_served)
        with pytest.raises(StoreUnavailable):
            erase(product, W, IMAGE)
    assert product.catalog.open_erasures() == [(W, IMAGE)]
    product.close()

    again = build(settings_of(home))
    assert again.catalog.open_erasures() == []
    assert not known_in(again, OLD, IMAGE)
    again.close()


def test_what_somebody_still_reads_is_pending_and_wiped_off_later(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite cannot empty its log while a reader needs it, and says so without failing."""
    monkeypatch.setattr("service.catalog.database.BUSY_TIMEOUT_MS", 300)
    with opened(settings_of(home)) as http:
        put = {"labels": [{"digest": IMAGE, "label": "red", "group": "PATIENT-4711"}]}
        assert http.put("/v1/datasets/colour/labels", json=put).status_code == 200
        with closing(sqlite3.connect(home / "catalog.sqlite", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM labels").fetchall()
            said = refused(http.delete(f"/v1/images/{IMAGE}"), 503, "erasure_pending")
            assert "should learn anew: colour@1" in said["detail"], "nobody can be told later"
            assert everything_of(home, b"PATIENT-4711")
            finish_open(http.product)
            assert http.product.catalog.open_erasures()
        Trainer(http.product, Event()).tend()
        assert http.product.catalog.open_erasures() == []
        assert everything_of(home, b"PATIENT-4711") == []
        refused(http.delete(f"/v1/images/{IMAGE}"), 404, "image_not_found")
