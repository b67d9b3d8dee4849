"""Servers that are gone when the test ends."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, free_port


@pytest.fixture
def server_of(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes servers that are gone when the test ends."""
    made: list[Server] = []

    def make(**options: Any) -> Server:
        home = options.pop("home", tmp_path / "home")
        server = Server(home, free_port(), **options)
        server.home.mkdir(exist_ok=True)
        made.append(server)
        return server

    yield make
    for server in made:
        server.kill()
