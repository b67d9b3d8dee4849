"""The same things again and again: memory and files must not grow.

    python tests/torture/soak.py --cycles 1000 --predictions 100000 --record docs/reliability.json

A head is learnt, answers, and is deleted; then a known image is asked about. Toy backbone: what is
looked for is what stays behind, not time.
"""

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "torture")]

import psutil  # noqa: E402  the paths come first
from record import write_record  # noqa: E402

from benchmarks.speed import homes, servers  # noqa: E402
from benchmarks.speed.client import Clients  # noqa: E402
from benchmarks.speed.images import Images, form_request  # noqa: E402
from features.writer import LINGER_S  # noqa: E402
from service.names import DEFAULT_WORKSPACE  # noqa: E402
from service.product import Product, Upload  # noqa: E402
from service.settings import Settings  # noqa: E402
from service.wiring import build  # noqa: E402
from service.workflows.heads import delete_head  # noqa: E402
from service.workflows.predict import predict_images  # noqa: E402

CLIENTS = 8
WARM = 200
"""Requests before the first look: the first ones load and compile what answers them."""

LOOKS = 10
"""Times that memory and files are looked at."""

GROWTH_MIB = 24
"""More than what answers may grow by from the second look on."""


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=100)
    parser.add_argument("--predictions", type=int, default=10_000)
    parser.add_argument("--record", type=Path)
    asked = parser.parse_args()
    os.environ["PENULTIMATE_BACKBONE"] = "toy"
    with TemporaryDirectory(prefix="penultimate-soak-") as folder:
        said = {"date": time.strftime("%Y-%m-%d")}
        said |= register_and_delete(Path(folder) / "in-process", asked.cycles)
        said |= predict(Path(folder) / "served", asked.predictions)
    print(said)  # noqa: T201  a command
    if asked.record is not None:
        write_record(asked.record, "soak", said)
    return 0


def register_and_delete(home: Path, cycles: int) -> dict[str, Any]:
    """Registers a head, has it answer, deletes it; again and again, in this process."""
    product: Product = build(Settings(home=home, backbone="toy"))
    made = list(homes.made_heads(product.space, 2))
    image = Upload("a.jpg", Images(None, 1).jpegs(1)[0])
    looks = []
    for number in range(cycles):
        head = made[number % 2]
        homes.register(product, head)
        predict_images(product, DEFAULT_WORKSPACE, [image], heads=None)
        product.embedder.flush()  # the first has something to write
        delete_head(product, DEFAULT_WORKSPACE, head.card.name)
        if number % max(1, cycles // LOOKS) == 0 or number == cycles - 1:
            looks.append((psutil.Process().memory_info().rss / 2**20, files_under(home)))
    product.close()
    return {"register and delete, cycles": cycles, **grown("register and delete", looks)}


def predict(home: Path, count: int) -> dict[str, Any]:
    """Asks a server about one known image, from several clients."""
    product = build(Settings(home=home, backbone="toy"))
    for head in homes.made_heads(product.space, 1):
        homes.register(product, head)
    product.close()
    request = form_request("/v1/predict", Images(None, 1).jpegs(1)[0])
    (home.parent / "request").write_bytes(request)
    clients = Clients(str(home.parent / "request"), [len(request)])
    looks, statuses = [], Counter[str]()
    with servers.product(home) as server:
        clients(server.port, CLIENTS, 0, WARM)
        time.sleep(2 * LINGER_S)  # until what was new is written
        for _ in range(LOOKS):
            found = clients(server.port, CLIENTS, 0, count // LOOKS)
            statuses.update(found["statuses"])
            looks.append((resident_mib(server), files_under(home)))
    return {"predictions": dict(statuses), **grown("predictions", looks)}


def resident_mib(server: servers.Server) -> float:
    """Memory of the server without its trainer, which loads its libraries meanwhile."""
    answering = [p for p in server.processes() if "service.trainer" not in p.cmdline()]
    return sum(float(p.memory_info().rss) for p in answering) / 2**20


def grown(what: str, looks: list[tuple[float, int]]) -> dict[str, str]:
    """Memory and files along the way, in words; ends the run where they grow."""
    memory, files = zip(*looks, strict=True)
    if memory[-1] - memory[1] > GROWTH_MIB or files[-1] > files[1]:
        raise SystemExit(f"{what}: memory or files grow: {looks}")
    return {
        f"{what}, MiB": ", ".join(f"{m:.0f}" for m in memory),
        f"{what}, files": ", ".join(map(str, files)),
    }


def files_under(home: Path) -> int:
    """How many files there are."""
    return sum(path.is_file() for path in home.rglob("*"))


if __name__ == "__main__":
    sys.exit(main())
