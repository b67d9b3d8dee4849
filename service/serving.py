"""The heads that answer: loaded once, packed, and checked against the catalog at every request."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from classifiers.card import Card
from classifiers.errors import SpaceMismatch
from classifiers.forest import Forest
from classifiers.head import Head
from service.catalog import CHAMPION, Catalog, HeadEntry, Version
from service.errors import NotFound
from service.names import HeadReference, parse_reference
from service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Asked:
    """One head that a request asked for.

    Args:
        name: the head, as far as it could be read.
        version: which one answers, where there is one.
        dataset: what it was trained on.
        head: itself, loaded.
        slot: its place in the forest.
        error: why it cannot answer, where it cannot.
    """

    name: str
    version: int | None = None
    dataset: str | None = None
    head: Head | None = None
    slot: int = -1
    error: Exception | None = None

    @property
    def card(self) -> Card:
        """What it says of itself."""
        return self._able.card

    def usualness(self, units: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """How usual images are among those it learnt from: float64 (n_images,), a p-value.

        Args:
            units: float32 (n_images, dim), embeddings of length 1.
        """
        return self._able.novelty.p_value(units)

    def alone(self, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Its answers outside any forest: float64 (n_images, n_answers)."""
        return self._able.answers(X)

    @property
    def _able(self) -> Head:
        assert self.head is not None  # noqa: S101 - only heads without an error are asked
        return self.head


class ServedHeads:
    """The heads of one workspace that this process has loaded, as one packed forest.

    Args:
        catalog: says which heads there are.
        workspace: has their artefacts.
    """

    def __init__(self, catalog: Catalog, workspace: Workspace) -> None:
        self._catalog = catalog
        self._workspace = workspace
        self._lock = Lock()
        self._generation = -1
        self._entries: dict[str, HeadEntry] = {}
        self._slots: dict[tuple[str, int], int] = {}
        self._heads: dict[tuple[str, int], Head] = {}
        self._labels: dict[tuple[str, int], dict[str, str]] = {}
        self._forest = Forest([])

    def ask(self, references: Sequence[str] | None) -> list[Asked]:
        """Finds the heads asked for, loading those not yet loaded; None asks for every champion.

        A head that cannot answer has its error in its own place.
        """
        with self._lock:
            self._refresh()
            if references is None:
                references = [n for n, e in self._entries.items() if CHAMPION in e.aliases]
            return [self._find(reference) for reference in references]

    def answers(
        self, X: npt.NDArray[np.float32], asked: Sequence[Asked]
    ) -> list[npt.NDArray[np.float64]]:
        """Every asked head on every image, in one packed call.

        Args:
            X: float32 (n_images, width), the matrix of embeddings and stages.
            asked: heads without an error.

        Returns:
            For each head, float64 (n_images, n_answers).
        """
        try:
            return self._forest.answers(X, [a.slot for a in asked])
        except KeyError:  # one was deleted since it was found; this request may still have it
            return [a.alone(X) for a in asked]

    def training_labels(self, asked: Asked) -> dict[str, str]:
        """Digest → label of the images that a head was trained on."""
        assert asked.version is not None  # noqa: S101 - only heads that answer are asked for evidence
        key = (asked.name, asked.version)
        with self._lock:
            if key not in self._labels:
                self._labels[key] = self._catalog.heads.training_labels(self._workspace.name, *key)
            return self._labels[key]

    def _refresh(self) -> None:
        generation = self._catalog.heads.generation()
        if generation == self._generation:
            return
        entries = self._catalog.heads.entries(self._workspace.name)
        self._entries = {e.name: e for e in entries}
        self._labels.clear()
        alive = {(v.head, v.version) for e in entries for v in e.versions}
        for key in set(self._slots) - alive:
            self._forest.remove(self._slots.pop(key))
            del self._heads[key]
        self._generation = generation

    def _find(self, text: str) -> Asked:
        try:
            version = self._version(parse_reference(text))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one head stays in its place
            return Asked(text, error=error)
        try:
            return self._loaded(version)
        except Exception as error:  # noqa: BLE001 - the same
            return Asked(version.head, version.version, version.dataset, error=error)

    def _version(self, reference: HeadReference) -> Version:
        entry = self._entries.get(reference.name)
        if entry is None:
            raise NotFound("head", reference.name, hint="GET /v1/heads lists those there are.")
        number = reference.version
        if number is None:
            alias = reference.alias or CHAMPION
            number = entry.aliases.get(alias)
            if number is None:
                raise NotFound(
                    "alias",
                    f"{entry.name}@{alias}",
                    hint=f"PUT /v1/heads/{entry.name}/aliases/{alias} makes it.",
                )
        found = next((v for v in entry.versions if v.version == number), None)
        if found is None:
            raise NotFound(
                "version",
                f"{entry.name}@{number}",
                hint=f"GET /v1/heads/{entry.name} lists its versions.",
            )
        return found

    def _loaded(self, version: Version) -> Asked:
        if version.space_id != self._workspace.space.id:
            raise SpaceMismatch(version.space_id, self._workspace.space.id)
        key = (version.head, version.version)
        if key not in self._slots:
            head = self._workspace.zoo.load(version.artefact)
            self._slots[key] = self._forest.add(head)
            self._heads[key] = head
        return Asked(
            version.head, version.version, version.dataset, self._heads[key], self._slots[key]
        )
