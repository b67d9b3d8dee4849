"""The cache of converted backbones: what a second start loads, what is damaged, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import cut, flip
from engines import NAME, OPEN, answer, folders, noise, open_cpu, python, random_weights

from features import conversion
from features.backbones import Backbone
from features.errors import EngineFailed, StoreUnavailable
from features.keys import EmbeddingSpace, UInt8
from features.runtime import compile_graph

pytestmark = pytest.mark.usefixtures("one_thread")


def no_build(*_: object) -> None:
    raise AssertionError("this must not convert anything")


def believed(folder: Path) -> bool:
    """Whether an entry would be run: its label is read at opening, its files before compiling."""
    found = conversion._read(folder)
    return found is not None and found.is_whole()


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


def test_a_disk_that_is_full_while_a_backbone_is_written_is_told_in_words(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(conversion.openvino(), "save_model", full)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        open_cpu(weights, tmp_path)
