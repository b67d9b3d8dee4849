"""A real server over real HTTP: started, waited for, killed, started again."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from processes import below, kill_all

READY_WITHIN_S = 90.0
JOB_WITHIN_S = 120.0

SHARED = Path(__file__).parents[3] / "shared" / "data"


@dataclass
class Server:
    """One server process on a home folder of its own."""

    home: Path
    port: int
    backbone: str = "toy"
    workers: int = 1
    scheme: str = "http"
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Starts it; returns the seconds until it was ready."""
        environment = {
            **os.environ,
            "PENULTIMATE_HOME": str(self.home),
            "PENULTIMATE_BACKBONE": self.backbone,
        }
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "service.cli", "serve"),
                *("--port", str(self.port), "--workers", str(self.workers)),
            ],
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=(self.home.parent / f"server-{self.port}.log").open("ab"),
        )
        return self.wait()

    def wait(self) -> float:
        """Waits until the process that runs is ready; returns the seconds it took."""
        assert self.process
        begun = time.monotonic()
        while time.monotonic() - begun < READY_WITHIN_S:
            assert self.process.poll() is None, self.log()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return time.monotonic() - begun
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within {READY_WITHIN_S} s:\n{self.log()}")

    def kill(self) -> None:
        """Kills everything at once, as a power cut would."""
        if self.process is not None:
            # Workers have sessions of their own: a signal to the group would not reach them.
            kill_all([self.process.pid, *below(self.process.pid)])
        self._signal(9)

    def stop(self) -> None:
        """Asks it to stop, and waits."""
        self._signal(15)

    def log(self) -> str:
        path = self.home.parent / f"server-{self.port}.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    def _signal(self, number: int) -> None:
        if self.process is None:
            return
        group = self.process.pid
        with suppress(ProcessLookupError):
            os.killpg(group, number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(group, 9)
            self.process.wait()
        self.process = None
        self._wait_until_gone()

    def _wait_until_gone(self) -> None:
        """Workers live no longer than their parent: soon nobody listens any more."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    return
            time.sleep(0.05)
        raise AssertionError("a worker outlived its parent")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def picture(label: str, seed: int, side: int = 48) -> bytes:
    """A noisy picture of one of three things that the toy backbone can tell apart, as PNG."""
    noise = np.random.default_rng(seed).integers(0, 60, (side, side, 3))
    base = {"red": (190, 20, 20), "green": (20, 190, 20), "blue": (20, 20, 190)}[label]
    pixels = np.clip(noise + np.array(base), 0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def ingest(client: httpx.Client, dataset: str, labelled: list[tuple[str, bytes, str]]) -> Any:
    """Sends (filename, bytes, label) triples to a dataset."""
    answer = client.post(
        f"/v1/datasets/{dataset}/images",
        files=[("images", (name, data)) for name, data, _ in labelled],
        data={"labels": [label for _, _, label in labelled]},
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def learn(client: httpx.Client, head: str, dataset: str, **options: Any) -> Any:
    """Trains a head and waits for it; returns the finished job."""
    asked = client.post("/v1/heads", json={"name": head, "dataset": dataset, **options})
    assert asked.status_code == 202, asked.text
    return finished(client, asked.headers["Location"])


def finished(client: httpx.Client, location: str) -> Any:
    """The job once it has ended."""
    end = time.monotonic() + JOB_WITHIN_S
    while time.monotonic() < end:
        job = client.get(location).json()
        if job["state"] in ("succeeded", "failed", "cancelled"):
            return job
        time.sleep(0.05)
    raise AssertionError(f"job did not end: {job}")


def predict(client: httpx.Client, *images: bytes, **fields: Any) -> Any:
    """Asks for predictions; returns the answer's body."""
    answer = client.post(
        "/v1/predict",
        files=[("images", (f"{i}.png", data)) for i, data in enumerate(images)],
        data=fields,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def counter(client: httpx.Client, name: str) -> float:
    """One counter of the metrics page."""
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))
