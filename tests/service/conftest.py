"""Catalogs on both databases, and the product wired on the toy backbone."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog
import throwaway_postgres as postgres
from in_process import Http, opened, settings_of, teach
from live_server import picture
from sqlalchemy import URL

from service.backup import back_up
from service.catalog import Catalog
from service.catalog.tables import metadata
from service.product import Product
from service.wiring import build
from service.workflows.ingest import LabelledUpload, ingest


@pytest.fixture(autouse=True)
def plain_logs() -> None:
    """Whatever a command that ran in this process has set up."""
    structlog.reset_defaults()
    structlog.configure(
        # The library's default draws every traceback with its variables, which takes seconds.
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    reason = postgres.reason_to_skip()
    if reason:
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url(postgres_server: URL) -> Iterator[str]:
    with postgres.database(postgres_server) as url:
        Catalog(url).close()
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def new_catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a catalog that nobody has opened yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'catalog.sqlite'}"
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty catalog."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.sqlite'}"
    url = str(request.getfixturevalue("postgres_url"))
    postgres.empty(url, metadata)
    return url


@pytest.fixture
def open_catalog(catalog_url: str) -> Iterator[Callable[[], Catalog]]:
    """Opens the same catalog again and again, as several processes do."""
    with ExitStack() as stack:

        def make() -> Catalog:
            catalog = Catalog(catalog_url)
            stack.callback(catalog.close)
            return catalog

        yield make


@pytest.fixture
def catalog(open_catalog: Callable[[], Catalog]) -> Catalog:
    return open_catalog()


@pytest.fixture
def sqlite_catalog(tmp_path: Path) -> Iterator[Catalog]:
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.sqlite'}")
    yield catalog
    catalog.close()


@pytest.fixture
def register(catalog: Catalog) -> Callable[..., int]:
    """Registers a version of a head, as a finished training does."""

    def make(name: str = "h", **given: Any) -> int:
        values = {
            "artefact": "a" * 64,
            "space_id": "space",
            "dataset": "d",
            "training": {},
            "actor": "test",
            **given,
        }
        with catalog.database.write() as connection:
            return catalog.heads.register(connection, "default", name, **values)

    return make


@pytest.fixture(scope="session")
def taught_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose workspace has learnt two heads from one dataset; copied, never changed."""
    home = tmp_path_factory.mktemp("taught") / "home"
    product = build(settings_of(home))
    pictures = [(c, picture(c, n)) for c in ("red", "green") for n in range(12)]
    for head, names in {"colour": ("red", "green"), "is-red": ("yes", "no")}.items():
        name_of = dict(zip(("red", "green"), names, strict=True))
        uploads = [
            LabelledUpload(f"{c}-{n}.png", data, name_of[c], f"patient {n}")
            for n, (c, data) in enumerate(pictures)
        ]
        ingest(product, "default", head, uploads)
        job = teach(product, head, head)
        assert job.state == "succeeded", job.error
    product.close()
    return home


@pytest.fixture
def home(taught_home: Path, tmp_path: Path) -> Path:
    """A copy of the taught home."""
    return Path(shutil.copytree(taught_home, tmp_path / "home"))


@pytest.fixture
def product(home: Path) -> Iterator[Product]:
    """The product on a copy of the taught home."""
    product = build(settings_of(home))
    yield product
    product.close()


@pytest.fixture
def http(home: Path) -> Iterator[Http]:
    """The whole application, in this process, on a copy of the taught home."""
    with opened(settings_of(home)) as http:
        yield http


@pytest.fixture(scope="session")
def shared_http(taught_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """The same, for tests whose requests change nothing."""
    home = shutil.copytree(taught_home, tmp_path_factory.mktemp("shared") / "home")
    with opened(settings_of(home)) as http:
        yield http


@pytest.fixture
def empty_http(tmp_path: Path) -> Iterator[Http]:
    """The whole application on a new home."""
    with opened(settings_of(tmp_path / "empty")) as http:
        yield http


@pytest.fixture(scope="module")
def backup(taught_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of the taught home; copied, never changed."""
    return back_up(settings_of(taught_home), tmp_path_factory.mktemp("kept") / "backup").path
