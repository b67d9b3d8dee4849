"""Opening engines, and running them: what is refused, what is compiled, whose row is whose."""

import ctypes
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engines import NAME, OPEN, answer, noise, open_cpu, python, random_weights

from features import engine
from features.backbones import TorchEngine
from features.engine import open_engine
from features.errors import BackboneUnavailable, EngineFailed
from features.keys import Vectors
from features.runtime import NICENESS
from features.testing import ToyBackbone

pytestmark = pytest.mark.usefixtures("one_thread")


# What is opened


def test_the_toy_needs_neither_torch_nor_openvino(tmp_path: Path) -> None:
    assert answer(python(OPEN, "toy", "none", tmp_path))["loaded"] == []
    assert list(tmp_path.iterdir()) == []
    assert isinstance(open_engine("toy", cache=tmp_path), ToyBackbone)


def test_an_unknown_device_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device must be"):
        open_engine("toy", device="tpu", cache=tmp_path)


def test_an_unknown_backbone_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BackboneUnavailable):
        open_engine("efficientnet_lite9", cache=tmp_path / "cache")

    assert not (tmp_path / "cache").exists()


def test_auto_is_the_cpu_where_there_is_no_gpu(
    weights: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", no_driver)

    assert open_engine(NAME, weights=weights, cache=built).device == "cpu"


@pytest.mark.parametrize(("usable", "device"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_cuda_only_where_torch_can_use_the_gpu(
    usable: bool,  # noqa: FBT001  a case of the table
    device: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)

    assert engine._has_cuda() == (device == "cuda")


def test_cuda_without_a_gpu_is_refused(weights: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineFailed) as caught:
        open_engine(NAME, weights=weights, device="cuda", cache=tmp_path)

    assert "cpu" in caught.value.hint


def test_reference_is_torch_itself(weights: Path, built: Path) -> None:
    reference = open_engine(NAME, weights=weights, device="reference", cache=built)

    assert isinstance(reference, TorchEngine)
    assert reference.space == open_cpu(weights, built).space


def test_a_backbone_without_stages_runs_too(tmp_path: Path) -> None:
    weights = random_weights(tmp_path, "test_vit", seed=0)

    vectors = open_cpu(weights, tmp_path, "timm/test_vit").run(noise())

    reference = open_engine("timm/test_vit", weights=weights, device="reference", cache=tmp_path)
    assert vectors.stages.shape == (3, 0)
    np.testing.assert_allclose(reference.run(noise()).embeddings, vectors.embeddings, atol=1e-5)


def test_the_number_of_threads_changes_no_bit(weights: Path, built: Path) -> None:
    one, all_of_them = open_cpu(weights, built, threads=1), open_cpu(weights, built)

    np.testing.assert_array_equal(one.run(noise()).matrix(), all_of_them.run(noise()).matrix())


def test_a_closed_engine_refuses_to_run(weights: Path, built: Path) -> None:
    opened = open_cpu(weights, built)
    opened.close()
    opened.close()

    for n in (1, 2):
        with pytest.raises(EngineFailed, match="closed"):
            opened.run(noise(n))


@pytest.mark.parametrize("good", [0, 3])
def test_a_failed_run_is_named_and_the_next_one_works(
    weights: Path, built: Path, good: int
) -> None:
    opened = open_cpu(weights, built)
    expected = opened.run(noise()).matrix()
    coming = deque([*noise(good), *noise(2, size=150), *noise(5)])

    with pytest.raises(EngineFailed, match="while running"):
        list(opened.stream(coming.popleft))

    np.testing.assert_array_equal(expected, opened.run(noise()).matrix())


def test_the_next_images_are_taken_before_all_that_are_under_way_are_done(
    weights: Path, built: Path
) -> None:
    opened = open_cpu(weights, built)
    pixels = noise(9)
    coming = deque(pixels[:6])
    stream = opened.stream(lambda: coming.popleft() if coming else None)

    found = [next(stream)]
    assert 0 < len(found[0]) < 6
    coming.extend(pixels[6:])
    found.append(next(stream))

    assert not coming
    assert sum(map(len, found)) < 6
    together = Vectors.concat([*found, *stream]).matrix()
    np.testing.assert_array_equal(opened.run(pixels).matrix(), together)


def test_an_image_that_others_are_behind_does_not_get_all_cores_and_looks_the_same(
    weights: Path, built: Path
) -> None:
    opened = open_cpu(weights, built)
    coming = deque(noise(1))
    (found,) = opened.stream(lambda: coming.popleft() if coming else None, lambda: False)
    assert opened._lone._graph is None
    np.testing.assert_array_equal(opened.run(noise(1)).matrix(), found.matrix())
    assert opened._lone._graph is not None


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40])
def test_each_row_is_of_its_own_image_however_many_there_are(
    weights: Path, built: Path, n: int
) -> None:
    opened = open_cpu(weights, built)
    pixels = noise(n)
    alone = [opened.run(pixels[i : i + 1]).matrix()[0] for i in range(n)]
    np.testing.assert_allclose(opened.run(pixels).matrix(), np.stack(alone), rtol=1e-4, atol=1e-5)


PRIORITIES = """
import json, os, sys
from pathlib import Path
import numpy as np
from features.engine import open_engine
def priorities():
    threads = [int(folder.name) for folder in Path("/proc/self/task").iterdir()]
    return {thread: os.getpriority(os.PRIO_PROCESS, thread) for thread in threads}
weights, cache = map(Path, sys.argv[1:])
opened = open_engine("timm/test_resnet", weights=weights, device="cpu", cache=cache)
before = priorities()
for n in (1, 4):
    opened.run(np.zeros((n, 160, 160, 3), np.uint8))
print(json.dumps({"before": before, "after": priorities()}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no priority here")
def test_the_threads_of_a_backbone_give_way_to_the_others(weights: Path, built: Path) -> None:
    seen = answer(python(PRIORITIES, weights, built))
    before, after = seen["before"], seen["after"]
    (usual,) = set(before.values())
    assert {after[thread] for thread in before} == {usual}
    (started,) = {after[thread] for thread in after.keys() - before.keys()}
    assert started == usual + NICENESS > usual


def test_opening_compiles_nothing_and_warming_all_that_runs(
    weights: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = watch(monkeypatch)
    opened = open_cpu(weights, built)
    assert compiled == []
    opened.warm()
    assert compiled == ["LATENCY", "THROUGHPUT"]
    opened.run(noise(1))
    opened.run(noise(3))
    assert compiled == ["LATENCY", "THROUGHPUT"]


@pytest.mark.parametrize(("images", "hint"), [(1, "LATENCY"), (2, "THROUGHPUT")])
def test_who_comes_first_compiles_what_is_needed_and_no_more_however_many_come_at_once(
    images: int, hint: str, weights: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = watch(monkeypatch)
    opened = open_cpu(weights, built)
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: opened.run(noise(images)).matrix(), range(8)))
    assert compiled == [hint]
    assert all(np.array_equal(answers[0], found) for found in answers)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hints of what is compiled from now on."""
    compiled: list[str] = []
    original = engine.compile_graph

    def watched(graph: Path, precision: str, hint: Any, *rest: Any) -> Any:
        compiled.append(hint)
        return original(graph, precision, hint, *rest)

    monkeypatch.setattr(engine, "compile_graph", watched)
    return compiled
