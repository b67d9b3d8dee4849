"""One home for each file of tests, and a head that was learnt in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import Run, runner
from live_server import picture
from typer.testing import Result

from service.client import Client
from service.local import local_client
from service.settings import Settings


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two colours, one broken file, and groups of two."""
    root = tmp_path_factory.mktemp("colours")
    rows = ["path,group"]
    for colour in ("red", "green"):
        (root / colour).mkdir()
        for i in range(12):
            (root / colour / f"{i:02}.png").write_bytes(picture(colour, i))
            rows.append(f"{colour}/{i:02}.png,{colour}-{i // 2}")
    (root / "red" / "broken.png").write_bytes(b"this is no image")
    (root / "groups.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    return runner(home)


@pytest.fixture(scope="module")
def learnt(run: Run, folder: Path) -> Result:
    """The output of the one command that teaches the head of a file of tests."""
    return run("learn", "colour", folder, "--groups", "groups.csv", "--author", "Ada")


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    with local_client(Settings(backbone="toy", home=home, log_level="error")) as client:
        yield client
