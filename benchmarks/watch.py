"""Asks a server's probes and looks at its memory, beside whatever else it is asked."""

import time
import urllib.request
from typing import Any

import psutil

from benchmarks.speed.client import HOST

PROBE_EVERY_S = 0.1
LOOK_EVERY_S = 1.0


class Watch:
    """What a `Child` does; for so long as it is told.

    Args:
        port: of the server.
        pids: its processes.
    """

    def __init__(self, port: int, pids: list[int]) -> None:
        self._port = port
        self._processes = [psutil.Process(pid) for pid in pids]

    def __call__(self, seconds: float) -> dict[str, Any]:
        """Looks for so long."""
        probes: list[float] = []
        memory: list[float] = []
        failed, begun = 0, time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            for path in ("livez", "readyz"):
                asked = time.perf_counter()
                address = f"http://{HOST}:{self._port}/{path}"
                try:
                    urllib.request.urlopen(address, timeout=10).read()
                    probes.append(time.perf_counter() - asked)
                except OSError:
                    failed += 1
            if now >= len(memory) * LOOK_EVERY_S:
                memory.append(sum(p.memory_info().rss for p in self._processes) / 2**20)
            time.sleep(PROBE_EVERY_S)
        return {"probes": probes, "failed": failed, "memory": memory}
