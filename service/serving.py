"""The heads that answer: loaded once, packed, and checked against the catalog at every request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Event, Lock

import numpy as np

from classifiers.errors import SpaceMismatch
from classifiers.forest import Forest, View
from classifiers.head import Head
from service.catalog import CHAMPION, Catalog, HeadEntry, Version
from service.errors import NotFound
from service.names import HeadReference, parse_reference
from service.panel import Able, Asked, Panel
from service.workspace import Workspace

WHOLE = 8
"""Heads kept whole beside the packed ones: those that were explained last."""

AT_ONCE = 16
"""Heads loaded in one go: whoever waits for another one waits no longer than for these."""

PANELS = 32
"""Panels kept at a time: what so many kinds of requests ask for."""

_Key = tuple[str, int]


@dataclass
class _Known:
    """What the catalog says at one generation, and which references were found in it.

    `panels` are the last few that were asked, by their references: most requests ask the same.
    """

    generation: int
    entries: dict[str, HeadEntry]
    champions: list[str]
    view: View
    found: dict[str, Asked] = field(default_factory=dict)
    panels: dict[tuple[str, ...] | None, Panel] = field(default_factory=dict)

    def keep(self, references: Sequence[str] | None, panel: Panel) -> None:
        """Keep a panel of heads that can all answer."""
        if len(self.panels) >= PANELS:
            self.panels.clear()
        self.panels[_together(references)] = panel


class ServedHeads:
    """The heads of one workspace that this process has loaded, as one packed forest.

    Who asks for heads that are loaded waits for nobody who loads others.

    Args:
        catalog: says which heads there are.
        workspace: has their artefacts.
    """

    def __init__(self, catalog: Catalog, workspace: Workspace) -> None:
        self._catalog = catalog
        self.workspace = workspace
        self._loading, self._lock, self._warm = Lock(), Lock(), Event()
        self._able: dict[_Key, Able] = {}
        self._labels: dict[_Key, dict[str, str]] = {}
        self._forest = Forest()
        self._known = _Known(-1, {}, [], self._forest.view)
        self._whole = lru_cache(WHOLE)(workspace.zoo.load)

    def ask(self, references: Sequence[str] | None) -> Panel:
        """Finds the heads asked for, loading those not yet loaded; None asks for every champion.

        A head that cannot answer has its error in its own place.
        """
        while True:
            known = self._current()
            if (kept := known.panels.get(_together(references))) is not None:
                return kept
            texts = known.champions if references is None else references
            new = [text for text in dict.fromkeys(texts) if text not in known.found]
            failed = self._find(known, new) if new else {}
            if failed is not None:
                asked = [known.found.get(text) or failed[text] for text in texts]
                panel = Panel.of(asked, known.view, self._warm)
                if not failed:
                    known.keep(references, panel)
                return panel

    def ask_now(self, references: Sequence[str] | None, *, at_most: int) -> Panel | None:
        """The same, of a few heads that have been asked before; None where that needs waiting."""
        known = self._known
        if not self._warm.is_set() or self._catalog.heads.generation_now() != known.generation:
            return None
        texts = known.champions if references is None else references
        if len(texts) > at_most:
            return None
        kept = known.panels.get(_together(references))
        if kept is None and all(text in known.found for text in texts):
            kept = Panel.of([known.found[text] for text in texts], known.view, self._warm)
            known.keep(references, kept)
        return kept

    def load_champions(self) -> None:
        """Loads what the next request may ask for, and compiles what answers it."""
        width = self.workspace.space.width
        self.ask(None).answers(np.zeros((1, width), np.float32))

    def whole(self, asked: Asked) -> Head:
        """A head with all that it has; raises as `Zoo.load`."""
        return self._whole(asked.artefact)

    def training_labels(self, asked: Asked) -> dict[str, str]:
        """Digest → label of the images that a head was trained on."""
        assert asked.version is not None  # noqa: S101 - only heads that answer are asked for evidence
        key = (asked.name, asked.version)
        with self._lock:
            if key not in self._labels:
                self._labels[key] = self._catalog.heads.training_labels(self.workspace.name, *key)
            return self._labels[key]

    def _current(self) -> _Known:
        generation = self._catalog.heads.generation()
        known = self._known
        if generation == known.generation:
            return known
        with self._lock:
            if generation != self._known.generation:
                self._known = self._refreshed(generation)
            return self._known

    def _refreshed(self, generation: int) -> _Known:
        entries = self._catalog.heads.entries(self.workspace.name)
        self._labels.clear()
        alive = {(v.head, v.version) for e in entries for v in e.versions}
        gone = [key for key in self._able if key not in alive]
        self._forest.remove(*(self._able.pop(key).slot for key in gone))
        champions = [e.name for e in entries if CHAMPION in e.aliases]
        return _Known(generation, {e.name: e for e in entries}, champions, self._forest.view)

    def _find(self, known: _Known, texts: Sequence[str]) -> dict[str, Asked] | None:
        """Find heads, and keep what was found for the next time.

        Returns:
            Those that cannot answer, by reference; None if the catalog has changed meanwhile.
        """
        versions: dict[str, Version] = {}
        failed: dict[str, Asked] = {}
        for text in texts:
            try:
                versions[text] = _version(known.entries, parse_reference(text))
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one head stays in its place
                failed[text] = Asked(text, error=error)
        unique = {_key(version): version for version in versions.values()}
        missing = [version for key, version in unique.items() if key not in self._able]
        errors = self._load(known, missing)
        with self._lock:
            if known is not self._known:
                return None
            known.view = self._forest.view  # before what is found in it: others look without a lock
            known.panels.clear()  # they hold what the forest was before, all of it
            for text, version in versions.items():
                about = (version.head, version.version, version.dataset, version.artefact)
                able = self._able.get(_key(version))
                if able is None:
                    failed[text] = Asked(*about, error=errors.get(_key(version)))
                else:
                    known.found[text] = Asked(*about, able)
        return failed

    def _load(self, known: _Known, versions: Sequence[Version]) -> dict[_Key, Exception]:
        """Load those that nobody has loaded meanwhile; return why some cannot be."""
        errors: dict[_Key, Exception] = {}
        for start in range(0, len(versions), AT_ONCE):
            with self._loading:
                heads: dict[_Key, Head] = {}
                for version in versions[start : start + AT_ONCE]:
                    try:
                        if _key(version) not in self._able:
                            heads[_key(version)] = self._read(version)
                    except Exception as error:  # noqa: BLE001 - it stays in the place of its head
                        errors[_key(version)] = error
                with self._lock:
                    if known is self._known:
                        self._take_in(heads, errors)
        return errors

    def _take_in(self, heads: Mapping[_Key, Head], errors: dict[_Key, Exception]) -> None:
        try:
            slots = dict(zip(heads, self._forest.extend(heads.values()), strict=True))
        except Exception:  # noqa: BLE001 - which one it was is found below
            slots = {}
            for key, head in heads.items():
                try:
                    slots[key] = self._forest.add(head)
                except Exception as error:  # noqa: BLE001 - it stays in the place of its head
                    errors[key] = error
        for key, slot in slots.items():
            self._able[key] = Able(slot, heads[key].card.question, heads[key].card.sets, {})

    def _read(self, version: Version) -> Head:
        if version.space_id != self.workspace.space.id:
            raise SpaceMismatch(version.space_id, self.workspace.space.id)
        head = self.workspace.zoo.load(version.artefact)
        if (head.card.space_id, head.card.width) != (version.space_id, self.workspace.space.width):
            raise SpaceMismatch(version.space_id, head.card.space_id)
        return head


def _together(references: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if references is None else tuple(references)


def _key(version: Version) -> _Key:
    return version.head, version.version


def _version(entries: Mapping[str, HeadEntry], reference: HeadReference) -> Version:
    entry = entries.get(reference.name)
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
