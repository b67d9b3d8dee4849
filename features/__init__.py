"""Images in, vectors out: the public list of the package. Everything not named here may change.

What needs Delta Lake or a network is fetched when it is first named, so that who asks for a digest
loads neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from features.blobs import Blobs
from features.call import Embedded
from features.embedder import Embedder
from features.errors import (
    BackboneUnavailable,
    EngineFailed,
    FeatureError,
    ImageRejected,
    NoMaps,
    Overloaded,
    SpaceMismatch,
    StoreDamaged,
    StoreUnavailable,
    UnknownDigest,
)
from features.images import decode, thumbnail, upright_size
from features.keys import (
    Block,
    EmbeddingSpace,
    Preprocessing,
    Stage,
    Vectors,
    digest,
    is_digest,
)
from features.limits import Limits
from features.maps import Maps
from features.pipeline import Observer

if TYPE_CHECKING:
    from features.engine import Engine, open_engine
    from features.selection import Selection
    from features.store import FeatureStore, Hit, Record

__all__ = [
    "BackboneUnavailable",
    "Blobs",
    "Block",
    "Embedded",
    "Embedder",
    "EmbeddingSpace",
    "Engine",
    "EngineFailed",
    "FeatureError",
    "FeatureStore",
    "Hit",
    "ImageRejected",
    "Limits",
    "Maps",
    "NoMaps",
    "Observer",
    "Overloaded",
    "Preprocessing",
    "Record",
    "Selection",
    "SpaceMismatch",
    "Stage",
    "StoreDamaged",
    "StoreUnavailable",
    "UnknownDigest",
    "Vectors",
    "decode",
    "digest",
    "is_digest",
    "open_engine",
    "thumbnail",
    "upright_size",
]

_LATE = {
    "Engine": "engine",
    "open_engine": "engine",
    "FeatureStore": "store",
    "Hit": "store",
    "Record": "store",
    "Selection": "selection",
}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module 'features' has no attribute {name!r}")
    return getattr(import_module(f"features.{_LATE[name]}"), name)
