"""Builds everything from Settings, once. The only place where a part is told what it works with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from features.embedder import Embedder
from features.engine import Engine, open_engine
from features.keys import EmbeddingSpace
from features.limits import Limits
from service.access import Door
from service.backbones import weights_of
from service.catalog import Catalog
from service.home import open_catalog
from service.product import Metrics, NoMetrics, Product
from service.settings import Settings
from service.workflows import erase
from service.workspace import ENGINES, Workspace, Workspaces


def build(settings: Settings, metrics: Metrics | None = None) -> Product:
    """The product: catalog migrated, engine found, interrupted erasures finished.

    Raises:
        BackboneUnavailable: the backbone or its weights cannot be had.
        CatalogUnavailable: the catalog cannot be opened.
        StoreUnavailable: the home folder cannot be written.
    """
    metrics = metrics or NoMetrics()
    catalog = open_catalog(settings)
    engine = _engine(settings, settings.backbone)
    product = Product(
        settings,
        catalog,
        engine,
        _embedder(settings, engine, metrics),
        _workspaces(settings, engine.space, catalog),
        metrics,
        lambda backbone: _opened(settings, backbone),
        Door(catalog, settings.home),
    )
    erase.resume(product)
    return product


def _engine(settings: Settings, backbone: str) -> Engine:
    return open_engine(
        backbone,
        weights=weights_of(settings, backbone),
        device=settings.device,
        cache=settings.home / ENGINES,
        threads=settings.threads,
    )


def _embedder(settings: Settings, engine: Engine, metrics: Metrics) -> Embedder:
    return Embedder(
        engine,
        limits=image_limits(settings),
        decode_threads=settings.threads or os.cpu_count() or 1,
        max_batch=settings.max_batch,
        queue_images=settings.queue_images,
        observer=metrics,
    )


@contextmanager
def _opened(settings: Settings, backbone: str) -> Iterator[Embedder]:
    engine = _engine(settings, backbone)
    try:
        embedder = _embedder(settings, engine, NoMetrics())
        try:
            yield embedder
        finally:
            embedder.close()
    finally:
        engine.close()


def image_limits(settings: Settings) -> Limits:
    """The limits of one image."""
    return Limits(
        max_bytes=settings.max_image_bytes,
        max_megapixels=settings.max_image_megapixels,
        max_side=settings.max_image_side,
    )


def _workspaces(settings: Settings, space: EmbeddingSpace, catalog: Catalog) -> Workspaces:
    """Opens each workspace's places when they are first asked for."""
    return Workspaces(
        lambda name: Workspace(
            name,
            home=settings.home,
            store_uri=settings.effective_store_uri,
            space=space,
            note=lambda used: catalog.spaces.note(name, used.id, used.to_dict()),
        )
    )
