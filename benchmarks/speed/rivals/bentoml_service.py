"""The rival as a BentoML service: adaptive batching, one worker, as its documentation shows."""

import os
from typing import Any

import bentoml
from PIL.Image import Image


@bentoml.service(workers=1, traffic={"timeout": 600})
class Service:
    """Answers with every head."""

    def __init__(self) -> None:
        from benchmarks.speed.rivals.eager import Answers

        self._answers = Answers(int(os.environ["RIVAL_HEADS"]))

    # A bound below the time of a batch would shed requests with 503.
    @bentoml.api(batchable=True, max_batch_size=16, max_latency_ms=60_000)  # type: ignore[untyped-decorator]
    def predict(self, images: list[Image]) -> list[dict[str, Any]]:
        """The probabilities of each head, for each image."""
        return self._answers(images)
