"""The public list of the package is what exists, and costs what it must."""

import os
import subprocess
import sys

import pytest

import features

HEAVY = ("torch", "openvino", "faiss", "deltalake", "pyarrow", "numba")


@pytest.mark.parametrize("name", features.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(features, name).__module__.startswith("features.")


def test_the_list_is_sorted_and_names_nothing_twice() -> None:
    assert sorted(set(features.__all__)) == features.__all__


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError):
        _ = features.faiss


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ("import features", ()),
        ("from features import Embedder, Blobs, digest", ()),
        ("from features import FeatureStore", ("deltalake", "pyarrow")),
        ("from features import open_engine", ("openvino",)),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(
    statement: str, allowed: tuple[str, ...]
) -> None:
    script = f"{statement}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    ended = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert set(ended.stdout.split()) <= set(allowed)
