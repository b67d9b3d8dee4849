"""The benchmarks of heads where few image sets are there: they say so, without a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
DIM, WIDTH = 1280, 2688
SCRIPTS = ("novelty", "learning_curve")


def ask(script: str, vectors: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run one as people do."""
    return subprocess.run(
        [sys.executable, f"benchmarks/heads/{script}.py", "--vectors", vectors, *more],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def write_set(folder: Path, name: str, *labels: str, each: int) -> None:
    """Write vectors as `vectors.py` does; every class lies in a direction of its own."""
    rng = np.random.default_rng(len(name))
    kinds = np.repeat(np.arange(len(labels)), each)
    X = rng.standard_normal((len(kinds), WIDTH), np.float32)
    X[np.arange(len(kinds)), kinds + DIM - 20] += 40
    X[:, len(name)] += 40
    np.savez(
        folder / f"{name}.npz",
        embeddings=X[:, :DIM],
        stages=X[:, DIM:],
        labels=np.array(labels)[kinds],
        groups=np.full(len(kinds), ""),
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_any_image_set_a_sentence_says_what_is_missing(script: str, tmp_path: Path) -> None:
    ran = ask(script, tmp_path)
    assert ran.returncode == 1
    assert str(tmp_path) in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_one_set_of_few_images_is_too_little(script: str, tmp_path: Path) -> None:
    write_set(tmp_path, "hymenoptera", "ants", "bees", each=30)
    ran = ask(script, tmp_path, "--sizes", "400", "--draws", "1")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1


def test_two_kinds_are_enough_to_tell_the_foreign(tmp_path: Path) -> None:
    write_set(tmp_path, "hymenoptera", "ants", "bees", each=40)
    write_set(tmp_path, "trashnet", "glass", each=40)
    ran = ask("novelty", tmp_path, "--sizes", "40", "400", "--draws", "1")
    assert ran.returncode == 0
    assert "above 40" in ran.stdout
    assert ran.stdout.count("| 40 |") == 5


@pytest.mark.slow
def test_a_size_without_a_curve_leaves_the_others_whole(tmp_path: Path) -> None:
    write_set(tmp_path, "hymenoptera", "ants", "bees", each=40)
    ran = ask("learning_curve", tmp_path, "--sizes", "80", "400", "--draws", "1")
    assert ran.returncode == 0
    assert "80 images, 1 curves" in ran.stdout
    assert "400 images, no curves" in ran.stdout
