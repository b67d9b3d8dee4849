"""Heads in the catalog: versions never change, numbers never come again, aliases keep a history."""

import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import event

from service.catalog import ELSEWHERE, Catalog, HeadEntry
from service.errors import NotFound

W = "default"
A, B = "a" * 64, "b" * 64

Register = Callable[..., int]


def numbers(entry: HeadEntry) -> list[int]:
    return [v.version for v in entry.versions]


def test_versions_count_from_one_and_say_what_they_are(
    catalog: Catalog, register: Register
) -> None:
    assert register("h", artefact=A, space_id="s", dataset="d") == 1
    assert register("h", artefact=B) == 2
    entry = catalog.heads.entry(W, "h")
    first = entry.versions[0]
    assert (first.head, first.version, first.artefact) == ("h", 1, A)
    assert (first.space_id, first.dataset) == ("s", "d")
    assert numbers(entry) == [1, 2]


def test_the_first_version_becomes_champion_and_later_ones_do_not(
    catalog: Catalog, register: Register
) -> None:
    register()
    register()
    assert catalog.heads.entry(W, "h").aliases == {"champion": 1}
    (move,) = catalog.heads.history(W, "h")
    assert (move.alias, move.version, move.previous) == ("champion", 1, None)
    assert (move.reason, move.actor) == ("first version", "test")


def test_heads_are_listed_by_name_each_with_its_own(catalog: Catalog, register: Register) -> None:
    for name in ("b", "B", "a", "a"):
        register(name)
    listed = [(e.name, numbers(e), dict(e.aliases)) for e in catalog.heads.entries(W)]
    assert listed == [
        ("B", [1], {"champion": 1}),
        ("a", [1, 2], {"champion": 1}),
        ("b", [1], {"champion": 1}),
    ]
    assert catalog.heads.entries("other") == []


def test_an_alias_moves_and_its_history_says_who_and_why(
    catalog: Catalog, register: Register
) -> None:
    register()
    register()
    catalog.heads.point(W, "h", "shadow", 2, reason="try it", actor="ana")
    catalog.heads.point(W, "h", "shadow", 1, reason="worse", actor="ben")
    assert catalog.heads.entry(W, "h").aliases == {"champion": 1, "shadow": 1}
    newest, older, _ = catalog.heads.history(W, "h")
    assert (newest.alias, newest.version, newest.previous) == ("shadow", 1, 2)
    assert (newest.reason, newest.actor) == ("worse", "ben")
    assert (older.version, older.previous, older.actor) == (2, None, "ana")
    assert newest.at >= older.at


@pytest.mark.parametrize("version", [0, 2, -1, 2**31, 2**70])
def test_a_version_that_is_not_there_is_named(
    catalog: Catalog, register: Register, version: int
) -> None:
    register()
    with pytest.raises(NotFound) as refused:
        catalog.heads.point(W, "h", "a", version, reason="", actor="")
    assert (refused.value.what, refused.value.which) == ("version", f"h@{version}")
    with pytest.raises(NotFound):
        catalog.heads.remove_version(W, "h", version, actor="")
    assert catalog.heads.entry(W, "h").aliases == {"champion": 1}


def test_a_head_that_is_not_there_is_named(catalog: Catalog) -> None:
    for call in (
        lambda: catalog.heads.entry(W, "h"),
        lambda: catalog.heads.history(W, "h"),
        lambda: catalog.heads.remove(W, "h", actor=""),
        lambda: catalog.heads.remove_version(W, "h", 1, actor=""),
        lambda: catalog.heads.point(W, "h", "a", 1, reason="", actor=""),
    ):
        with pytest.raises(NotFound) as refused:
            call()
        assert (refused.value.what, refused.value.which) == ("head", "h")


def test_a_removed_champion_is_succeeded_by_the_newest_left(
    catalog: Catalog, register: Register
) -> None:
    for _ in range(3):
        register()
    catalog.heads.point(W, "h", "pinned", 1, reason="", actor="")
    catalog.heads.remove_version(W, "h", 1, actor="ana")
    entry = catalog.heads.entry(W, "h")
    assert (numbers(entry), entry.aliases) == ([2, 3], {"champion": 3})
    moves = {m.alias: m for m in catalog.heads.history(W, "h")[:2]}
    assert (moves["champion"].version, moves["champion"].previous) == (3, 1)
    assert (moves["pinned"].version, moves["pinned"].previous) == (None, 1)
    assert {m.actor for m in moves.values()} == {"ana"}


def test_removing_another_version_leaves_the_champion(catalog: Catalog, register: Register) -> None:
    register()
    register()
    catalog.heads.remove_version(W, "h", 2, actor="")
    assert catalog.heads.entry(W, "h").aliases == {"champion": 1}


def test_a_number_is_never_given_twice(catalog: Catalog, register: Register) -> None:
    register()
    register()
    catalog.heads.remove_version(W, "h", 2, actor="")
    assert register() == 3
    catalog.heads.remove(W, "h", actor="")
    assert catalog.heads.entries(W) == []
    assert register() == 4
    assert catalog.heads.entry(W, "h").aliases == {"champion": 4}
    assert numbers(catalog.heads.entry(W, "h")) == [4]


def test_artefacts_that_nothing_uses_any_more_are_named(
    catalog: Catalog, register: Register
) -> None:
    register("h", artefact=A)
    register("h", artefact=B)
    register("g", artefact=A)
    assert catalog.heads.artefacts(W) == {A, B}
    assert catalog.heads.remove_version(W, "h", 1, actor="") == set()  # g still uses it
    assert catalog.heads.remove(W, "h", actor="") == {B}
    assert catalog.heads.remove(W, "g", actor="") == {A}
    assert catalog.heads.artefacts(W) == set()


def test_training_images_belong_to_one_version(catalog: Catalog, register: Register) -> None:
    register("h", training={A: "x"})
    register("h", training={A: "y", B: "x"})
    assert catalog.heads.training_labels(W, "h", 1) == {A: "x"}
    assert catalog.heads.training_labels(W, "h", 2) == {A: "y", B: "x"}
    catalog.heads.remove_version(W, "h", 1, actor="")
    assert catalog.heads.training_labels(W, "h", 1) == {}
    assert catalog.heads.training_labels(W, "h", 2) == {A: "y", B: "x"}


def test_every_change_moves_the_generation_for_every_process(
    catalog: Catalog, register: Register, open_catalog: Callable[[], Catalog]
) -> None:
    other = open_catalog()
    seen = [other.heads.generation()]
    register()
    seen.append(other.heads.generation())
    register()
    seen.append(other.heads.generation())
    catalog.heads.point(W, "h", "a", 2, reason="", actor="")
    seen.append(other.heads.generation())
    catalog.heads.remove_version(W, "h", 2, actor="")
    seen.append(other.heads.generation())
    catalog.heads.remove(W, "h", actor="")
    seen.append(other.heads.generation())
    assert seen == sorted(set(seen))
    with pytest.raises(NotFound):
        catalog.heads.remove(W, "h", actor="")
    assert other.heads.generation() == seen[-1]


def test_a_generation_that_stands_is_not_asked_for_again(
    catalog: Catalog, register: Register, open_catalog: Callable[[], Catalog]
) -> None:
    """Neither by who made the last change nor by another process, whatever else is written."""
    register()
    other = open_catalog()
    asked: list[object] = []
    for one in (catalog, other):
        if one.database.changes() is None:
            pytest.skip("PostgreSQL has no number of changes")
        one.heads.generation()
        event.listen(one.database._engine, "before_cursor_execute", lambda *_: asked.append(_))
    for one in (catalog, other):
        one.heads.generation()
    assert asked == []


def test_a_registration_that_fails_leaves_no_trace(catalog: Catalog, register: Register) -> None:
    register()
    generation = catalog.heads.generation()

    def fail() -> None:
        with catalog.database.write() as connection:
            version = catalog.heads.register(
                connection,
                W,
                "h",
                artefact=B,
                space_id="s",
                dataset="d",
                training={B: "x"},
                actor="t",
            )
            assert version == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert numbers(catalog.heads.entry(W, "h")) == [1]
    assert catalog.heads.generation() == generation
    assert register() == 2


def test_versions_registered_at_the_same_time_get_different_numbers(
    open_catalog: Callable[[], Catalog],
) -> None:
    catalogs = [open_catalog() for _ in range(4)]
    given: list[int] = []

    def work(catalog: Catalog) -> None:
        for _ in range(5):
            with catalog.database.write() as connection:
                given.append(
                    catalog.heads.register(
                        connection,
                        W,
                        "h",
                        artefact=A,
                        space_id="s",
                        dataset="d",
                        training={},
                        actor="t",
                    )
                )

    threads = [threading.Thread(target=work, args=(c,)) for c in catalogs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(1, 21))
    assert numbers(catalogs[0].heads.entry(W, "h")) == list(range(1, 21))


NAMES = st.sampled_from(["x", "y"])
ALIASES = st.sampled_from(["champion", "shadow", "pinned"])


class HeadsAgainstAModel(RuleBasedStateMachine):
    """What the catalog says of heads is what a dictionary says."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.catalog = Catalog(f"sqlite:///{Path(self.folder.name) / 'catalog.sqlite'}")
        self.versions: dict[str, dict[int, str]] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.last: dict[str, int] = {}
        self.moves: dict[str, list[tuple[str, int | None, int | None]]] = {}

    def teardown(self) -> None:
        self.catalog.close()
        self.folder.cleanup()

    def move(self, name: str, alias: str, version: int | None) -> None:
        of_head = self.aliases.setdefault(name, {})
        previous = of_head.pop(alias, None)
        if version is not None:
            of_head[alias] = version
        self.moves.setdefault(name, []).append((alias, version, previous))

    @rule(name=NAMES, artefact=st.sampled_from("ab"))
    def register(self, name: str, artefact: str) -> None:
        with self.catalog.database.write() as connection:
            version = self.catalog.heads.register(
                connection,
                W,
                name,
                artefact=artefact,
                space_id="s",
                dataset="d",
                training={},
                actor="t",
            )
        self.last[name] = self.last.get(name, 0) + 1
        assert version == self.last[name]
        self.versions.setdefault(name, {})[version] = artefact
        if "champion" not in self.aliases.get(name, {}):
            self.move(name, "champion", version)

    @precondition(lambda self: any(self.versions.values()))
    @rule(data=st.data(), alias=ALIASES)
    def point(self, data: st.DataObject, alias: str) -> None:
        name, version = self.some(data)
        self.catalog.heads.point(W, name, alias, version, reason="", actor="t")
        self.move(name, alias, version)

    @precondition(lambda self: any(self.versions.values()))
    @rule(data=st.data())
    def remove_version(self, data: st.DataObject) -> None:
        name, version = self.some(data)
        unused = self.catalog.heads.remove_version(W, name, version, actor="t")
        assert unused == self.drop(name, [version])

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        if not self.versions.get(name):
            with pytest.raises(NotFound):
                self.catalog.heads.remove(W, name, actor="t")
            return
        unused = self.catalog.heads.remove(W, name, actor="t")
        assert unused == self.drop(name, list(self.versions[name]))

    @rule()
    def reopen(self) -> None:
        url = f"sqlite:///{Path(self.folder.name) / 'catalog.sqlite'}"
        self.catalog.close()
        self.catalog = Catalog(url)

    def some(self, data: st.DataObject) -> tuple[str, int]:
        there = sorted((n, v) for n, held in self.versions.items() for v in held)
        return data.draw(st.sampled_from(there))

    def drop(self, name: str, gone: list[int]) -> set[str]:
        dropped = {self.versions[name].pop(v) for v in gone}
        left = self.versions[name]
        for alias, version in sorted(self.aliases[name].items()):
            if version in gone:
                heir = max(left, default=None) if alias == "champion" else None
                self.move(name, alias, heir)
        return dropped - {a for held in self.versions.values() for a in held.values()}

    @invariant()
    def the_catalog_agrees(self) -> None:
        said = {e.name: e for e in self.catalog.heads.entries(W)}
        expected = {n: held for n, held in self.versions.items() if held}
        assert {n: {v.version: v.artefact for v in e.versions} for n, e in said.items()} == expected
        for name, entry in said.items():
            assert dict(entry.aliases) == self.aliases[name]
            assert entry.aliases.get("champion") in self.versions[name]
            moves = [(m.alias, m.version, m.previous) for m in self.catalog.heads.history(W, name)]
            assert sorted(moves, key=str) == sorted(self.moves[name], key=str)


TestHeadsAgainstAModel = HeadsAgainstAModel.TestCase
TestHeadsAgainstAModel.settings = settings(max_examples=15, stateful_step_count=20)


def test_a_head_is_asked_whether_it_has_an_artefact(catalog: Catalog, register: Register) -> None:
    register("h", artefact="a" * 64)
    taken = register("h", artefact="b" * 64, dataset=ELSEWHERE)
    register("h", artefact="b" * 64, dataset=ELSEWHERE)
    register("other", artefact="c" * 64)
    with catalog.database.write() as connection:
        found = [
            catalog.heads.version_of(connection, "default", "h", letter * 64) for letter in "abc"
        ]
    assert found == [1, taken, None]
    actions = [line["action"] for line in catalog.audit.lines("default", limit=4)[::-1]]
    assert actions == ["head.register", "head.import", "head.import", "head.register"]
