"""Selections: the rows are those of their digests, looked up once while nothing changes."""

from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from made_up import SPACE, made, name, names

from features.selection import KEPT, Selection
from features.store import FeatureStore

QUERY = made(1).embeddings[0]


class Asked:
    """Gives digests, and counts how often."""

    def __init__(self, digests: Collection[str]) -> None:
        self.digests, self.times = digests, 0

    def __call__(self) -> Collection[str]:
        self.times += 1
        return self.digests


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    made_store = FeatureStore(str(tmp_path / "records"), tmp_path / "index", SPACE)
    made_store.put(names(9), made(9))
    return made_store


def found(store: FeatureStore, asked: Asked, called: str = "some") -> set[str]:
    return {hit.digest for hit in store.search(QUERY, 100, among=Selection(called, asked))}


def test_its_digests_are_asked_for_once(store: FeatureStore) -> None:
    asked = Asked([name(2), name(7), name(999)])
    for _ in range(3):
        assert found(store, asked) == {name(2), name(7)}
    assert asked.times == 1


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda store: store.put(names(3, start=9), made(3, seed=1)), {name(2), name(10)}),
        (lambda store: store.delete([name(2)]), set()),
        (lambda store: store.compact(), {name(2)}),
    ],
)
def test_what_has_changed_is_looked_up_again(
    store: FeatureStore, change: Callable[[FeatureStore], object], left: set[str]
) -> None:
    store.put(names(1, start=20), made(1, seed=2))
    asked = Asked([name(2), name(10)])
    assert found(store, asked) == {name(2)}
    change(store)
    assert found(store, asked) == left


def test_each_has_its_own_rows(store: FeatureStore) -> None:
    first, second = Asked([name(1)]), Asked([name(2)])
    assert found(store, first, "first") == {name(1)}
    assert found(store, second, "second") == {name(2)}
    assert found(store, first, "first") == {name(1)}
    assert (first.times, second.times) == (1, 1)


def test_those_asked_for_last_are_kept(store: FeatureStore) -> None:
    old, recent = Asked([name(1)]), Asked([name(2)])
    found(store, old, "old")
    found(store, recent, "recent")
    for number in range(KEPT - 1):
        found(store, Asked([name(3)]), f"other {number}")
        found(store, recent, "recent")
    assert found(store, old, "old") == {name(1)}
    assert (old.times, recent.times) == (2, 1)
