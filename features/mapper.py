"""Runs a compiled backbone for its maps; compiled when it is first asked. Imports no OpenVINO."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from features.errors import EngineFailed, NoMaps
from features.keys import EmbeddingSpace, UInt8, Vectors
from features.maps import Maps, add_outputs, from_layers
from features.runtime import Change


class Mapper:
    """The maps of one image at a time.

    Args:
        space: of the backbone.
        run: gives the vectors that maps must pool to.
        compile_with: compiles the backbone, after what it is given has changed the graph.
    """

    def __init__(
        self,
        space: EmbeddingSpace,
        run: Callable[[UInt8], Vectors],
        compile_with: Callable[[Change], Any],
    ) -> None:
        self._space, self._run, self._compile_with = space, run, compile_with
        self._outputs: list[int] = []
        self._request: Any = None
        self._closed = False
        self._lock = threading.Lock()

    def run(self, image: UInt8) -> Maps:
        """Return the maps of an image: uint8 (size, size, 3)."""
        self._space.preprocessing.check(image[np.newaxis])
        with self._lock:
            if self._closed:
                raise EngineFailed("it has been closed", hint="Open it again.")
            if self._request is None:
                self._request = self._opened()
            return self._look(self._request, image)

    def close(self) -> None:
        """Free the compiled backbone, after the call that is running."""
        with self._lock:
            self._closed, self._request = True, None

    def _opened(self) -> Any:  # noqa: ANN401  OpenVINO publishes no types
        """Return what runs it, seen to give maps that pool to the engine's own vectors."""
        request = self._compile_with(self._add_outputs).create_infer_request()
        size = self._space.preprocessing.size
        shape = (size, size, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        if not self._look(request, noise).pool_to(self._run(noise[np.newaxis])):
            raise NoMaps(self._space.backbone)
        return request

    def _add_outputs(self, model: Any) -> None:  # noqa: ANN401  the same
        self._outputs = add_outputs(model, self._space)

    def _look(self, request: Any, image: UInt8) -> Maps:  # noqa: ANN401  the same
        try:
            request.infer({0: np.ascontiguousarray(image[np.newaxis])})
            last, *stages = (request.get_output_tensor(i).data[0] for i in self._outputs)
        except RuntimeError as error:
            raise EngineFailed(f"OpenVINO failed while running ({error})") from error
        # This copies: the next image is written over what the request holds.
        return from_layers(last, stages)
