"""Servers to measure: started on free ports of this machine, waited for, and gone afterwards."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.speed.child import ROOT
from benchmarks.speed.client import HOST

READY_WITHIN_S = 120.0


@dataclass
class Server:
    """A server that runs.

    Args:
        port: where it listens.
        process: it, and the workers below it.
        ready_after_s: from its start to the first 200.
    """

    port: int
    process: psutil.Popen
    ready_after_s: float = 0.0

    def processes(self) -> list[psutil.Process]:
        """It and everything that it has started."""
        return [self.process, *self.process.children(recursive=True)]

    def resident_mib(self) -> float:
        """Memory of all its processes; what they share counts once."""
        return sum(float(p.memory_full_info().pss) for p in self.processes()) / 2**20

    def has_loaded(self, library: str) -> bool:
        """Whether one of its processes has mapped a shared library of this name."""
        return any(library in Path(m.path).name for p in self.processes() for m in p.memory_maps())


@contextmanager
def product(home: Path, *, workers: int = 1) -> Iterator[Server]:
    """The product on a home, as `penultimate serve` starts it."""
    port = _free_port()
    command = ["-m", "service.cli", "serve", "--port", str(port), "--workers", str(workers)]
    with _running(command, port, "/readyz", {"PENULTIMATE_HOME": str(home)}, home.parent) as server:
        yield server


@contextmanager
def rival(kind: str, folder: Path, *, heads: int) -> Iterator[Server]:
    """One of `rivals/`: `module` of an ASGI application, `module:bentoml` of a service."""
    port = _free_port()
    module, _, framework = kind.partition(":")
    name = f"benchmarks.speed.rivals.{module}"
    where = ["--host", HOST, "--port", str(port)]
    if framework == "bentoml":
        command = ["-m", "bentoml", "serve", f"{name}:Service", *where, "--working-dir", str(ROOT)]
    else:
        command = ["-m", "uvicorn", f"{name}:api", *where, "--log-level", "warning"]
    own = {
        "RIVAL_HEADS": str(heads),
        "BENTOML_HOME": str(folder / f"bentoml-{port}"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    Path(own["BENTOML_HOME"]).mkdir()
    with _running(command, port, "/livez", own, folder) as server:
        yield server


@contextmanager
def _running(
    command: list[str], port: int, ready: str, own: dict[str, str], folder: Path
) -> Iterator[Server]:
    log = folder / f"server-{port}.log"
    begun = time.monotonic()
    with log.open("wb") as said:
        process = psutil.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **own, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    server = Server(port, process)
    try:
        while not _answers(port, ready):
            if process.poll() is not None or time.monotonic() - begun > READY_WITHIN_S:
                raise SystemExit(f"The server is not ready:\n{log.read_text()[-4000:]}")
            time.sleep(0.02)
        server.ready_after_s = time.monotonic() - begun
        yield server
    finally:
        _end(server)


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _end(server: Server) -> None:
    """Asks every process to stop, then kills what is left."""
    try:
        left = server.processes()
    except psutil.NoSuchProcess:
        left = []
    for end in ("terminate", "kill"):
        for process in left:
            with suppress(psutil.NoSuchProcess):
                getattr(process, end)()
        left = psutil.wait_procs(left, timeout=10)[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
