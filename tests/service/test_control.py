"""Nobody but its own process commands the one that starts the workers."""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import DEVNULL, Popen

import psutil
import pytest
from bentoml._internal.utils.circus import create_standalone_arbiter
from live_server import Server, free_port

from service.control import COMMANDS, EVENTS, take_no_commands


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "home", free_port(), workers=2)
    yield server
    server.kill()


def listening(server: Server) -> set[tuple[str, int]]:
    assert server.process
    family = psutil.Process(server.process.pid)
    return {
        tuple(connection.laddr)
        for process in [family, *family.children(recursive=True)]
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.server
def test_a_server_listens_at_its_own_port_and_nowhere_else(server: Server) -> None:
    server.start()
    assert listening(server) == {("127.0.0.1", server.port)}


@pytest.mark.server
def test_a_server_that_bentoml_starts_listens_nowhere_else_either(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENULTIMATE_HOME", str(server.home))
    monkeypatch.setenv("PENULTIMATE_BACKBONE", "toy")
    at = ["--host", "127.0.0.1", "--port", str(server.port)]
    command = [sys.executable, "-m", "bentoml", "serve", "service.app:Penultimate", *at]
    server.process = Popen(command, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True)
    server.wait()
    assert listening(server) == {("127.0.0.1", server.port)}


def test_a_plugin_is_a_process_of_its_own_and_can_still_give_commands() -> None:
    take_no_commands()
    take_no_commands()
    alone = create_standalone_arbiter([])
    beside = create_standalone_arbiter([], plugins=[{"use": "circus.plugins.CircusPlugin"}])
    assert (alone.endpoint, alone.pubsub_endpoint) == (COMMANDS, EVENTS)
    assert beside.endpoint.startswith("tcp://127.0.0.1:")
