"""Opening engines: the cache of converted backbones, what a second start loads, what is refused."""

import ctypes
import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from features import conversion, engine, networks
from features.backbones import Backbone, TorchEngine
from features.engine import OpenVinoEngine, open_engine
from features.errors import BackboneUnavailable, EngineFailed, StoreUnavailable
from features.keys import EmbeddingSpace, UInt8, Vectors
from features.runtime import NICENESS, compile_graph
from features.testing import ToyBackbone

NAME = "timm/test_resnet"
timm: Any = networks.timm  # type: ignore[attr-defined]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads of torch that fight for busy cores make these small networks ten times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_weights(tmp_path_factory.mktemp("weights"), "test_resnet", seed=0)


@pytest.fixture(scope="module")
def built(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the backbone is converted already."""
    cache = tmp_path_factory.mktemp("built")
    open_cpu(weights, cache).close()
    return cache


@pytest.fixture
def cache(built: Path, tmp_path: Path) -> Path:
    """A copy of that cache, to be damaged."""
    [folder] = folders(built)
    copy = tmp_path / "cache" / folder.name
    copy.mkdir(parents=True)
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy.parent


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


def no_build(*_: object) -> None:
    raise AssertionError("this must not convert anything")


def believed(folder: Path) -> bool:
    """Whether an entry would be run: its label is read at opening, its files before compiling."""
    found = conversion._read(folder)
    return found is not None and found.is_whole()


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


# The cache


def test_a_second_opening_converts_nothing_and_gives_the_same_bits(
    weights: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_cpu(weights, built).run(noise())
    monkeypatch.setattr(conversion, "_build", no_build)

    np.testing.assert_array_equal(first.matrix(), open_cpu(weights, built).run(noise()).matrix())


def test_a_second_start_imports_no_torch(weights: Path, built: Path) -> None:
    assert answer(python(OPEN, NAME, weights, built))["loaded"] == ["openvino"]


def test_opening_what_is_converted_loads_no_openvino(weights: Path, built: Path) -> None:
    opening = "\n".join(line for line in OPEN.splitlines() if "run(" not in line)
    opening = opening.replace("float(vectors.matrix().sum())", "0")

    assert answer(python(opening, NAME, weights, built))["loaded"] == []


def test_the_space_lies_beside_the_graph(weights: Path, built: Path) -> None:
    [folder] = folders(built)
    label = json.loads((folder / "space.json").read_text())

    assert EmbeddingSpace.from_dict(label["space"]) == open_cpu(weights, built).space
    assert {"backbone.xml", "backbone.bin", "space.json"} == {f.name for f in folder.iterdir()}


def test_other_weights_are_another_entry_and_another_space(
    weights: Path, cache: Path, tmp_path: Path
) -> None:
    other = open_cpu(random_weights(tmp_path, "test_resnet", seed=1), cache)

    assert len(folders(cache)) == 2
    assert other.space.id != open_cpu(weights, cache).space.id
    assert not np.array_equal(
        other.run(noise()).matrix(), open_cpu(weights, cache).run(noise()).matrix()
    )


@pytest.mark.parametrize("what", ["BUILD", "version"])
def test_another_version_is_another_entry(
    what: str, weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, what, 999 if what == "BUILD" else lambda _: "999")

    open_cpu(weights, cache)

    assert len(folders(cache)) == 2


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def remove(file: Path) -> None:
    file.unlink()


def other_json(file: Path) -> None:
    file.write_text("{}")


def no_object(file: Path) -> None:
    file.write_text("[]")


@pytest.mark.parametrize("name", ["backbone.xml", "backbone.bin", "space.json"])
@pytest.mark.parametrize("damage", [cut, flip, empty, remove, other_json, no_object])
def test_damage_of_any_kind_is_seen(name: str, damage: Any, cache: Path) -> None:
    [folder] = folders(cache)
    damage(folder / name)

    assert not believed(folder)


def test_a_damaged_cache_is_built_again(weights: Path, cache: Path, built: Path) -> None:
    [folder] = folders(cache)
    flip(folder / "backbone.bin")

    mended, expected = open_cpu(weights, cache), open_cpu(weights, built)

    np.testing.assert_array_equal(expected.run(noise()).matrix(), mended.run(noise()).matrix())
    assert mended.space == expected.space
    assert believed(folder)


def test_a_label_that_was_edited_is_not_believed(weights: Path, cache: Path) -> None:
    [folder] = folders(cache)
    label = json.loads((folder / "space.json").read_text())
    label["space"]["preprocessing"]["size"] = 161
    (folder / "space.json").write_text(json.dumps(label))

    assert not believed(folder)
    assert open_cpu(weights, cache).space.preprocessing.size == 160


def test_what_a_crash_left_half_written_is_cleared_away(weights: Path, tmp_path: Path) -> None:
    open_cpu(weights, tmp_path)
    [folder] = folders(tmp_path)
    draft = folder.rename(tmp_path / f".{folder.name}")
    cut(draft / "backbone.bin")
    (draft / "stray").write_text("of an older version")

    open_cpu(weights, tmp_path)

    assert folders(tmp_path) == [folder]
    assert {"backbone.xml", "backbone.bin", "space.json"} == {f.name for f in folder.iterdir()}


def test_a_failed_conversion_leaves_no_entry(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", fail)

    with pytest.raises(StoreUnavailable) as caught:
        open_cpu(weights, tmp_path)

    assert "space" in caught.value.hint
    assert not [folder for folder in folders(tmp_path) if not folder.name.startswith(".")]


def test_a_cache_that_cannot_be_made_is_named(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnavailable) as caught:
        open_cpu(weights, tmp_path / "file" / "cache")

    assert str(tmp_path) in caught.value.place


def test_processes_that_start_together_convert_once(weights: Path, tmp_path: Path) -> None:
    processes = [python(OPEN, NAME, weights, tmp_path) for _ in range(3)]
    answers = [answer(process) for process in processes]

    assert sorted("torch" in each["loaded"] for each in answers) == [False, False, True]
    assert len({each["sum"] for each in answers}) == 1
    assert len(folders(tmp_path)) == 1


def test_nothing_is_reported_to_anyone_and_nothing_is_written_home(
    weights: Path, tmp_path: Path
) -> None:
    """OpenVINO does both as soon as it is imported, unless it is kept from it."""
    home = tmp_path / "home"
    home.mkdir()

    loaded = answer(python(OPEN, NAME, weights, tmp_path / "cache", home=home))["loaded"]

    assert "torch" in loaded
    assert "openvino_telemetry" not in loaded
    assert not (home / "intel").exists()


# Conversion


def test_a_conversion_that_gives_other_vectors_is_refused(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Backbone.traced

    def skewed(self: Backbone, pixels: UInt8) -> torch.jit.ScriptModule:
        self.shift += 0.01
        return original(self, pixels)

    monkeypatch.setattr(Backbone, "traced", skewed)

    with pytest.raises(EngineFailed, match="other vectors"):
        open_cpu(weights, tmp_path)

    assert folders(tmp_path) == []


def test_a_conversion_that_fails_is_named(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Backbone, pixels: UInt8) -> None:
        raise NotImplementedError("aten::new")

    monkeypatch.setattr(Backbone, "traced", fail)

    with pytest.raises(EngineFailed, match="aten::new") as caught:
        open_cpu(weights, tmp_path)

    assert "reference" in caught.value.hint


def test_a_graph_that_does_not_compile_is_named(weights: Path, built: Path) -> None:
    graph = folders(built)[0] / "damaged.xml"
    graph.write_text("<xml/>")

    with pytest.raises(EngineFailed, match="cannot compile"):
        compile_graph(graph, "f32", "LATENCY", 0)

    graph.unlink()
