"""Stores and embedders that are closed after the test, and converted backbones."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from embedding import Notes, Watched
from engines import folders, open_cpu, random_weights
from made_up import SPACE
from small_networks import fresh

from features.embedder import Embedder
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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads of torch that fight for busy cores make these small networks ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"), "test_resnet", seed=0)


@pytest.fixture(scope="module")
def built(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the backbone is converted already."""
    cache = tmp_path_factory.mktemp("built")
    open_cpu(weights, cache).close()
    return cache


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    """A copy of that cache, to be damaged."""
    [folder] = folders(built)
    copy = tmp_path / "cache" / folder.name
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy.parent


@pytest.fixture
def engine() -> Watched:
    return Watched()


@pytest.fixture
def make(engine: Watched, opener: Opener) -> Iterator[Callable[..., Embedder]]:
    # The opener is asked for so that stores are closed after the embedders.
    made_here: list[Embedder] = []

    def build(**options: int | Notes) -> Embedder:
        embedder = Embedder(engine, **options)  # type: ignore[arg-type]
        made_here.append(embedder)
        return embedder

    yield build
    engine.open.set()
    for embedder in made_here:
        embedder.close()


@pytest.fixture
def embedder(make: Callable[..., Embedder]) -> Embedder:
    return make()


@pytest.fixture
def elsewhere() -> Iterator[ThreadPoolExecutor]:
    """Threads to call from."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture(scope="module")
def resnet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a small network's weights."""
    file = tmp_path_factory.mktemp("weights") / "resnet.pth"
    torch.save(fresh("test_resnet").state_dict(), file)
    return file
