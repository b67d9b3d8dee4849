"""One call for vectors, from what was sent to what is answered. Takes no lock, knows no store."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from features.errors import FeatureError, ImageRejected
from features.keys import Float32
from features.pipeline import Row

Image = tuple[str | None, bytes]
"""File name, for messages only, and bytes."""

Found = dict[str, Row]
Underway = dict[str, Future[Row]]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """The vectors of one image; `cached` says that they were there already.

    embedding: float32 (dim,); stages: float32 (stages_dim,); both read-only.
    """

    digest: str
    embedding: Float32
    stages: Float32
    cached: bool

    @property
    def row(self) -> Float32:
        """The row of `Vectors.matrix()`: float32 (width,)."""
        return np.concatenate((self.embedding, self.stages))


Results = list[Embedded | ImageRejected]
"""The vectors of each image, or why it was rejected, in the order sent."""


class Outcome(NamedTuple):
    """What became of the images under way; `failure` is the first of the backbone, if any."""

    computed: Found
    rejected: dict[str, ImageRejected]
    failure: FeatureError | None


@dataclass(slots=True, eq=False)
class Call:
    """The images of one call, by digest: each of them is known or under way.

    Args:
        images: what was sent.
        digests: of the images, in their order; one may come twice.
        known: vectors that are stored already, or will be soon.
        pending: the latter.
        underway: what is being computed.
        brought: of that, what no other call had begun.
    """

    images: Sequence[Image]
    digests: Sequence[str]
    known: Found = field(default_factory=dict)
    pending: Found = field(default_factory=dict)
    underway: Underway = field(default_factory=dict)
    brought: Underway = field(default_factory=dict)

    @property
    def contents(self) -> Mapping[str, bytes]:
        """The bytes of each image, once."""
        return {key: data for key, (_, data) in zip(self.digests, self.images, strict=True)}

    def when_done(self, then: Callable[[], None]) -> None:
        """Have `then` called once, when nothing is under way any more, by who computes the last."""
        _after(iter(self.underway.values()), then)

    def forget(self) -> None:
        """Let go of what was under way, once it is done: it keeps what it has called."""
        self.underway, self.brought = {}, {}

    def wait(self) -> Outcome:
        """Return what became of all that is under way, once nothing is any more."""
        outcome = Outcome({}, {}, None)
        for key, future in self.underway.items():
            try:
                outcome.computed[key] = future.result()
            except ImageRejected as error:
                outcome.rejected[key] = error
            except FeatureError as error:
                outcome = outcome._replace(failure=outcome.failure or error)
        return outcome

    def results(
        self, computed: Mapping[str, Row], rejected: Mapping[str, ImageRejected]
    ) -> Results:
        """Put together what is answered."""
        results: Results = []
        for key, (filename, _) in zip(self.digests, self.images, strict=True):
            if key in rejected:
                results.append(_renamed(rejected[key], filename))
            else:
                row = self.known[key] if key in self.known else computed[key]
                results.append(Embedded(key, row.embedding, row.stages, cached=key in self.known))
        return results


def _after(futures: Iterator[Future[Row]], then: Callable[[], None]) -> None:
    for future in futures:
        if not future.done():
            future.add_done_callback(lambda _: _after(futures, then))
            return
    then()


def _renamed(error: ImageRejected, filename: str | None) -> ImageRejected:
    """Return the same refusal, of the file as this caller has named it."""
    return ImageRejected(error.code, error.detail, hint=error.hint, filename=filename)
