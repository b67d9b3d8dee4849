"""Small backbones with random weights, converted and opened; what another process sees of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features import networks
from features.engine import OpenVinoEngine, open_engine
from features.keys import UInt8

NAME = "timm/test_resnet"
timm: Any = networks.timm  # type: ignore[attr-defined]


def random_weights(folder: Path, name: str, seed: int) -> Path:
    torch.manual_seed(seed)
    torch.save(timm.create_model(name).state_dict(), folder / f"{name}-{seed}.pth")
    return folder / f"{name}-{seed}.pth"


def open_cpu(weights: Path, cache: Path, name: str = NAME, threads: int = 0) -> OpenVinoEngine:
    opened = open_engine(name, weights=weights, device="cpu", cache=cache, threads=threads)
    assert isinstance(opened, OpenVinoEngine)
    return opened


def folders(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def noise(n: int = 3, size: int = 160) -> UInt8:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def python(code: str, *arguments: object, home: Path | None = None) -> "subprocess.Popen[str]":
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path), "CI": ""}
    if home:
        environment["HOME"] = str(home)
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: "subprocess.Popen[str]") -> Any:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return json.loads(out)


OPEN = """
import json, sys
from pathlib import Path
import numpy as np
from features.engine import open_engine
backbone, weights, cache = sys.argv[1:]
weights = None if weights == "none" else Path(weights)
engine = open_engine(backbone, weights=weights, device="cpu", cache=Path(cache))
size = engine.space.preprocessing.size
vectors = engine.run(np.zeros((1, size, size, 3), np.uint8))
heavy = ("torch", "timm", "torchvision", "openvino", "openvino_telemetry")
loaded = [name for name in heavy if sys.modules.get(name)]
print(json.dumps({"loaded": loaded, "sum": float(vectors.matrix().sum())}))
"""
