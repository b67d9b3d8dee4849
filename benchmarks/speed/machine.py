"""What a run was made on, and whether the machine was idle. Reads; changes nothing."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = ("openvino", "torch", "lightgbm", "faiss-cpu", "bentoml", "fastapi", "deltalake")

IDLE_PERCENT = 10.0
"""Processors busier than this, while nothing of ours runs, are used by others too."""

WATCHED_S = 3.0


def described(road: str, *, quick: bool) -> dict[str, Any]:
    """The entry of a run: machine, date, versions, and how busy it was before a road began.

    The load average alone would not do: it still has the road before.
    """
    busy = psutil.cpu_percent(interval=WATCHED_S)
    return {
        "kind": "run",
        "road": road,
        "quick": quick,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in LIBRARIES},
        "load": os.getloadavg()[0],
        "busy_percent": busy,
        "idle": busy < IDLE_PERCENT,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
