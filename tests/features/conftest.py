"""Stores that are closed after the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_up import SPACE

from features.store import FeatureStore

Opener = Callable[..., FeatureStore]


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    """Open the store of this test, as often as wanted."""
    opened: list[FeatureStore] = []

    def open_store(compact_after_files: int = 64) -> FeatureStore:
        store = FeatureStore(
            str(tmp_path / "records"),
            tmp_path / "index",
            SPACE,
            compact_after_files=compact_after_files,
        )
        opened.append(store)
        return store

    yield open_store
    for store in opened:
        store.close()


@pytest.fixture
def store(opener: Opener) -> FeatureStore:
    """Open a store in which nothing is yet."""
    return opener()
