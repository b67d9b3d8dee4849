"""Runs a compiled backbone for its maps; compiled when it is first asked. Imports no OpenVINO."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from features.errors import EngineFailed, NoMaps
from features.keys import UInt8
from features.maps import Maps, from_layers

if TYPE_CHECKING:
    from features.engine import Engine


class Mapper:
    """The maps of one image at a time.

    Args:
        engine: has the vectors that maps must pool to.
        compiled: gives the backbone, compiled, with its maps as outputs behind the vectors.
    """

    def __init__(self, engine: "Engine", compiled: Callable[[], Any]) -> None:
        self._engine, self._compiled = engine, compiled
        self._request: Any = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, image: UInt8) -> Maps:
        """Return the maps of an image: uint8 (size, size, 3)."""
        self._engine.space.preprocessing.check(image[np.newaxis])
        with self._lock:
            if self._closed:
                raise EngineFailed("it has been closed", hint="Open it again.")
            if self._request is None:
                self._request = self._proved(self._compiled().create_infer_request())
            return _look(self._request, image)

    def close(self) -> None:
        """Free the compiled backbone, after the call that is running."""
        with self._lock:
            self._closed, self._request = True, None

    def _proved(self, request: Any) -> Any:  # noqa: ANN401  OpenVINO publishes no types
        """Return the request, seen to give maps that pool to the engine's own vectors."""
        space = self._engine.space
        shape = (space.preprocessing.size, space.preprocessing.size, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        if not _look(request, noise).pool_to(self._engine.run(noise[np.newaxis])):
            raise NoMaps(space.backbone)
        return request


def _look(request: Any, image: UInt8) -> Maps:  # noqa: ANN401  OpenVINO publishes no types
    try:
        outputs = request.infer({0: np.ascontiguousarray(image[np.newaxis])}).values()
    except RuntimeError as error:
        raise EngineFailed(f"OpenVINO failed while running ({error})") from error
    # `from_layers` copies: the next image is written over these.
    _, _, last, *stages = (output[0] for output in outputs)
    return from_layers(last, stages)
