"""Makes the vectors that `run.py` reads, with the product's own backbone.

    python benchmarks/heads/vectors.py --images IMAGES --out DIR [--home CACHE]

Every folder of IMAGES is an image set, every folder in it a class; `groups.csv` (path,group)
names the patient where the set has one. docs/heads-benchmark.md says which sets there are.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from features.call import Embedded
from features.embedder import Embedder
from features.engine import open_engine

BATCH = 256


def groups_of(folder: Path, paths: list[str]) -> list[str]:
    """The group of each path; empty where the set has no groups."""
    table = folder / "groups.csv"
    if not table.is_file():
        return [""] * len(paths)
    with table.open() as file:
        known = {row["path"]: row["group"] for row in csv.DictReader(file)}
    return [known.get(path, f"alone:{path}") for path in paths]


def write_vectors(folder: Path, embedder: Embedder, target: Path) -> None:
    """Embeds one image set and writes its vectors, labels and groups."""
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    embeddings, stages, paths = [], [], []
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        found = embedder.embed([(path.name, path.read_bytes()) for path in batch], None)
        for path, vectors in zip(batch, found, strict=True):
            if isinstance(vectors, Embedded):
                embeddings.append(vectors.embedding)
                stages.append(vectors.stages)
                paths.append(path.relative_to(folder).as_posix())
    np.savez(
        target,
        embeddings=np.stack(embeddings),
        stages=np.stack(stages),
        labels=np.array([path.split("/")[0] for path in paths]),
        groups=np.array(groups_of(folder, paths)),
        paths=np.array(paths),
    )
    print(f"{folder.name}: {len(paths)} images -> {target}")


def main() -> None:
    """Embeds every image set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path.home() / ".penultimate")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    engine = open_engine(cache=given.home / "cache" / "engines")
    embedder = Embedder(engine)
    for folder in sorted(path for path in given.images.iterdir() if path.is_dir()):
        write_vectors(folder, embedder, given.out / f"{folder.name}.npz")
    embedder.close()
    engine.close()


if __name__ == "__main__":
    main()
