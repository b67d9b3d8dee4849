"""A head in the zoo is whole or absent, never changes, and says so when somebody changed it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import cut, flip
from made_heads import small_head

from classifiers.errors import HeadDamaged, HeadNotFound
from classifiers.zoo import LEFTOVER_SECONDS, Zoo

HEAD = small_head()
OTHER = small_head(seed=1)


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return Zoo(tmp_path / "zoo")


def folder(zoo: Zoo, artefact: str) -> Path:
    return zoo._root / artefact


def leftovers(zoo: Zoo) -> list[str]:
    return [path.name for path in zoo._root.iterdir() if path.name.startswith(".")]


def test_a_head_comes_back_as_it_was(zoo: Zoo) -> None:
    artefact = zoo.add(HEAD)
    assert zoo.load(artefact).to_files() == HEAD.to_files()
    assert Zoo(zoo._root).load(artefact).to_files() == HEAD.to_files()
    assert leftovers(zoo) == []


def test_the_artefact_is_named_by_its_content(zoo: Zoo) -> None:
    assert zoo.add(HEAD) != zoo.add(OTHER)
    assert len(list(zoo.artefacts())) == 2
    assert sorted(zoo.artefacts()) == list(zoo.artefacts())


def test_adding_again_changes_nothing(zoo: Zoo) -> None:
    artefact = zoo.add(HEAD)
    before = {path: path.stat().st_mtime_ns for path in folder(zoo, artefact).iterdir()}
    assert zoo.add(HEAD) == artefact
    assert {path: path.stat().st_mtime_ns for path in folder(zoo, artefact).iterdir()} == before


def test_a_removed_head_is_gone_and_can_be_added_again(zoo: Zoo) -> None:
    artefact = zoo.add(HEAD)
    assert zoo.remove(artefact)
    assert not zoo.remove(artefact)
    assert list(zoo.artefacts()) == leftovers(zoo) == []
    with pytest.raises(HeadNotFound) as caught:
        zoo.load(artefact)
    assert caught.value.artefact == artefact
    assert zoo.add(HEAD) == artefact


@pytest.mark.parametrize("name", ["", "..", "0" * 63, "A" * 64, "0" * 64, "../" + "0" * 61])
def test_what_is_no_artefact_is_not_found_and_not_removed(zoo: Zoo, name: str) -> None:
    with pytest.raises(HeadNotFound):
        zoo.load(name)
    assert not zoo.remove(name)
    assert zoo._root.is_dir()


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, cut, flip, make_folder])
@pytest.mark.parametrize("name", sorted(HEAD.to_files()))
def test_damage_is_noticed_named_and_healed_by_adding_again(
    zoo: Zoo, name: str, damage: Callable[[Path], None]
) -> None:
    artefact = zoo.add(HEAD)
    zoo.add(OTHER)
    damage(folder(zoo, artefact) / name)
    with pytest.raises(HeadDamaged) as caught:
        zoo.load(artefact)
    assert caught.value.artefact == artefact
    assert "backup" in caught.value.hint
    (said,) = zoo.check()
    assert artefact in said
    assert zoo.add(HEAD) == artefact
    assert zoo.check() == leftovers(zoo) == []


def test_a_card_that_was_exchanged_with_another_is_noticed(zoo: Zoo) -> None:
    artefact, other = zoo.add(HEAD), zoo.add(OTHER)
    shutil.rmtree(folder(zoo, artefact))
    shutil.copytree(folder(zoo, other), folder(zoo, artefact))
    with pytest.raises(HeadDamaged):
        zoo.load(artefact)


def test_a_file_that_does_not_belong_there_is_noticed(zoo: Zoo) -> None:
    artefact = zoo.add(HEAD)
    (folder(zoo, artefact) / "more.txt").write_text("")
    with pytest.raises(HeadDamaged, match=r"more\.txt"):
        zoo.load(artefact)


def test_what_a_dead_process_left_is_cleared_and_a_living_ones_work_is_not(zoo: Zoo) -> None:
    old, fresh = (zoo._root / f".unfinished-{name}" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.mkdir()
        (path / "card.json").write_text("half")
    past = old.stat().st_mtime - LEFTOVER_SECONDS - 1
    os.utime(old, (past, past))
    again = Zoo(zoo._root)
    assert leftovers(again) == [fresh.name]
    assert list(again.artefacts()) == []
    assert again.check() == []


SYNCED = len(HEAD.to_files()) + 2
"""Its files, their folder, and at last the zoo's own: each is made durable in turn."""


@pytest.mark.parametrize("call", range(1, SYNCED + 1))
def test_a_disk_that_fails_half_way_leaves_nothing_or_all(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    real, calls = os.fsync, []

    def failing(handle: int) -> None:
        calls.append(handle)
        if len(calls) == call:
            raise OSError(28, "no space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="no space"):
        zoo.add(HEAD)
    monkeypatch.undo()
    assert leftovers(zoo) == []
    assert zoo.check() == []
    assert len(list(zoo.artefacts())) == (call == SYNCED)
    assert zoo.load(zoo.add(HEAD)).card == HEAD.card


ADD_MANY = """
import sys
from pathlib import Path
from classifiers import Head, Zoo
root, source = Path(sys.argv[1]), Path(sys.argv[2])
head = Head.from_files({p.name: p.read_bytes() for p in source.iterdir()})
zoo = Zoo(root)
for _ in range(30):
    assert zoo.load(zoo.add(head)).card == head.card
print(zoo.add(head))
"""


def test_processes_that_add_the_same_head_at_once_agree(zoo: Zoo, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name, data in HEAD.to_files().items():
        (source / name).write_bytes(data)
    command = [sys.executable, "-c", ADD_MANY, str(zoo._root), str(source)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    (artefact,) = said
    assert zoo.load(artefact).card == HEAD.card
    assert leftovers(zoo) == []
