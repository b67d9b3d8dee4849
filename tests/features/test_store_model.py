"""FeatureStore against a dictionary and brute force, in whatever order it is used."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from made_up import SPACE, made, name

from features.keys import Float32
from features.selection import Selection
from features.store import FeatureStore, Hit

Opener = Callable[..., FeatureStore]


def brute_force(vectors: dict[str, Float32], query: Float32, k: int) -> list[Hit]:
    """Return what search should: cosines in float64, ties by digest."""
    hits = []
    for digest, vector in vectors.items():
        x, q = vector[: SPACE.dim].astype(np.float64), query.astype(np.float64)
        lengths = np.sqrt((x * x).sum() * (q * q).sum())
        score = float(np.clip((x * q).sum() / lengths, -1, 1)) if lengths else 0.0
        hits.append(Hit(digest, score))
    return sorted(hits, key=lambda hit: (-hit.score, hit.digest))[:k]


class Machine(RuleBasedStateMachine):
    """Random calls, compared with a dictionary and brute force."""

    folder: Path

    @initialize(number=st.uuids())
    def begin(self, number: object) -> None:
        self.home = self.folder / str(number)
        self.model: dict[str, Float32] = {}
        self.store = self.opened()

    def opened(self) -> FeatureStore:
        where = str(self.home / "records"), self.home / "index"
        return FeatureStore(*where, SPACE, compact_after_files=3)

    @rule(numbers=st.lists(st.integers(0, 15), max_size=5), seed=st.integers(0, 3))
    def put(self, numbers: list[int], seed: int) -> None:
        digests, vectors = [name(n) for n in numbers], made(len(numbers), seed)
        matrix, expected = vectors.matrix(), []
        for digest, vector in zip(digests, matrix, strict=True):
            expected.append(digest not in self.model)
            self.model.setdefault(digest, vector)
        assert self.store.put(digests, vectors) == expected

    @rule(numbers=st.sets(st.integers(0, 15), max_size=4))
    def erase(self, numbers: set[int]) -> None:
        digests = {name(n) for n in numbers}
        expected = sum(self.model.pop(digest, None) is not None for digest in digests)
        assert self.store.delete(digests) == expected

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule(lose_index=st.booleans(), closed=st.booleans())
    def reopen(self, *, lose_index: bool, closed: bool) -> None:
        if closed:
            self.store.close()
        if lose_index:
            shutil.rmtree(self.home / "index")
        self.store = self.opened()

    @rule()
    def lose_the_index_while_open(self) -> None:
        shutil.rmtree(self.home / "index")

    @rule(
        seed=st.integers(0, 3),
        k=st.integers(0, 20),
        among=st.none() | st.sets(st.integers(0, 16)),
        exclude=st.sets(st.integers(0, 16), max_size=3),
        named=st.booleans(),
    )
    def search(
        self, seed: int, k: int, among: set[int] | None, exclude: set[int], *, named: bool
    ) -> None:
        query = made(1, seed).embeddings[0]
        allowed = self.model.keys() if among is None else {name(n) for n in among}
        left = {
            digest: vector
            for digest, vector in self.model.items()
            if digest in allowed and digest not in {name(n) for n in exclude}
        }
        # Its name outlives every change of the store; what it stands for is found anew.
        selection = Selection(frozenset(allowed), lambda: allowed) if named else allowed
        found = self.store.search(
            query,
            k,
            among=None if among is None else selection,
            exclude=[name(n) for n in exclude],
        )
        expected = brute_force(left, query, k)
        assert [hit.digest for hit in expected] == [hit.digest for hit in found]
        assert np.allclose([hit.score for hit in expected], [hit.score for hit in found], atol=1e-9)

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def same_as_the_model(self) -> None:
        assert self.store.digests() == self.model.keys()
        assert len(self.store) == len(self.model)
        rows = self.store.rows(list(self.model))
        if self.model:
            assert np.array_equal(rows.matrix(), np.stack(list(self.model.values())))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            assert self.store.check() == []
            self.store.close()
            shutil.rmtree(self.home)


def test_any_sequence_of_calls_gives_what_a_dictionary_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Flushing takes most of the time, and no power is cut here.
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(Machine, "folder", tmp_path, raising=False)
    run_state_machine_as_test(Machine, settings=settings(max_examples=30, stateful_step_count=25))
