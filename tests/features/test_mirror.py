"""The mirror: what readers see of it, whoever writes meanwhile."""

from pathlib import Path

import numpy as np
import pytest
from made_up import SPACE, everything_under, made, name, names

from features import mirror as mirror_module
from features.mirror import Mirror
from features.view import MirrorDamaged, View


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    fresh = Mirror(tmp_path, SPACE)
    fresh.build("table", 1, ["a file"], [(names(5), made(5).matrix())])
    return fresh


def add(mirror: Mirror, view: View, *numbers: int) -> None:
    matrix = np.concatenate([made(1, number).matrix() for number in numbers])
    mirror.publish(mirror.extend(view.state, [name(number) for number in numbers], matrix))


def erase(mirror: Mirror, view: View, *numbers: int) -> None:
    mirror.publish(mirror.erase(view, [name(number) for number in numbers]))


def test_a_view_finds_and_reads_what_was_built(mirror: Mirror) -> None:
    view = mirror.view()
    assert view.find([name(3), name(9)]) == {name(3): 3}
    assert np.array_equal(view.read([4, 0]), made(5).matrix()[[4, 0]])
    assert np.allclose(np.linalg.norm(view.units(view.live), axis=1), 1)
    assert view.live.tolist() == [0, 1, 2, 3, 4]
    assert view.state.files == ("a file",)


def test_rows_of_digests_are_known_ones_in_order_and_each_once(mirror: Mirror) -> None:
    view = mirror.view()
    assert view.rows([name(4), name(9), name(1), name(4), name(0)]).tolist() == [0, 1, 4]
    assert view.rows([]).tolist() == view.rows({name(9)}).tolist() == []
    erase(mirror, view, 1)
    assert mirror.view().rows({name(1), name(2)}).tolist() == [2]


def test_without_a_mirror_there_is_no_view(tmp_path: Path) -> None:
    with pytest.raises(MirrorDamaged):
        Mirror(tmp_path / "nothing", SPACE).view()


def test_a_view_is_current_until_something_is_published(mirror: Mirror) -> None:
    view = mirror.view()
    assert view.is_current()
    state = mirror.extend(view.state, [name(7)], made(1).matrix())
    assert view.is_current()
    mirror.publish(state)
    assert not view.is_current()


def test_no_number_of_changes_makes_an_old_view_current_again(mirror: Mirror) -> None:
    view = mirror.view()
    for _ in range(50):
        mirror.publish(view.state)
        assert not view.is_current()


def test_an_older_view_does_not_see_what_was_added_later(mirror: Mirror) -> None:
    older = mirror.view()
    add(mirror, older, 7)
    newer = mirror.view(older)
    assert newer.find([name(7)]) == {name(7): 5}
    assert older.find([name(7)]) == {}
    assert older.rows([name(7)]).tolist() == []
    assert len(older.units(older.live)) == len(older) == 5
    assert np.array_equal(older.read([2]), newer.read([2]))


def test_a_later_view_reads_only_what_is_new(mirror: Mirror) -> None:
    older = mirror.view()
    units = older.units(older.live)
    add(mirror, older, 7, 8)
    newer = mirror.view(older)
    assert newer.generation is older.generation
    assert np.shares_memory(units, newer.units(newer.live)), "the units were mapped again"
    assert len(mirror.view(newer)) == 7


def test_units_are_mapped_again_when_there_is_no_more_room(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "_SPARE_UNITS", 2)
    view = mirror.view()
    for number in range(5, 12):
        view.units(view.live)
        add(mirror, view, number)
        view = mirror.view(view)
    wanted = np.concatenate([made(1, number).embeddings for number in range(5, 12)])
    assert np.allclose(
        view.units(view.live)[5:], wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    )


def test_an_erased_row_is_damage_to_an_older_view_and_unknown_to_a_later_one(
    mirror: Mirror,
) -> None:
    older = mirror.view()
    erase(mirror, older, 2)
    with pytest.raises(MirrorDamaged):
        older.read([1, 2])
    with pytest.raises(MirrorDamaged):
        older.units(older.live)
    assert np.array_equal(older.read([1]), made(5).matrix()[[1]])
    newer = mirror.view(older)
    assert newer.find([name(2)]) == {}
    assert newer.live.tolist() == [0, 1, 3, 4]
    assert len(newer.units(newer.live)) == 5
    add(mirror, newer, 2)
    assert mirror.view(newer).find([name(2)]) == {name(2): 5}


def test_a_view_outlives_the_files_it_was_made_of(mirror: Mirror, tmp_path: Path) -> None:
    view = mirror.view()
    mirror.build("table", 2, [], [(names(1), made(1, 9).matrix())])
    assert len(list(tmp_path.glob("*.rows"))) == 1
    assert np.array_equal(view.read([3]), made(5).matrix()[[3]])
    assert len(view.units(view.live)) == 5
    assert mirror.view(view).live.tolist() == [0]


def test_nothing_stays_of_what_a_killed_writer_left_behind_the_last_row(
    mirror: Mirror, tmp_path: Path
) -> None:
    view = mirror.view()
    killed = made(3, seed=6).matrix()
    mirror.extend(view.state, names(3, start=90), killed)
    add(mirror, view, 7)
    left = everything_under(tmp_path)
    assert bytes.fromhex(name(91)) not in left
    assert killed[1].tobytes() not in left
    assert len(mirror.view()) == 6


def test_an_erasure_that_was_killed_half_way_is_damage(mirror: Mirror) -> None:
    mirror.erase(mirror.view(), [name(2)])
    with pytest.raises(MirrorDamaged):
        mirror.view()


def test_a_mirror_that_is_replaced_by_an_older_copy_is_not_mistaken(
    mirror: Mirror, tmp_path: Path
) -> None:
    first = mirror.view()
    earlier = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    add(mirror, first, 7)
    later = mirror.view(first)
    for file, data in earlier.items():
        (tmp_path / file).write_bytes(data)
    add(mirror, first, 8, 9)
    with pytest.raises(MirrorDamaged):
        mirror.view(later)
    assert mirror.view().find([name(8), name(7)]) == {name(8): 5}
