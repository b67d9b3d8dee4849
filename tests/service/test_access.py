"""The door: who comes in, what it remembers, and for how long."""

import stat
from pathlib import Path
from time import monotonic

import pytest

from service import access
from service.access import (
    ROLES,
    Door,
    Principal,
    announce_change,
    anonymous,
    hash_of,
    new_secret,
    operator,
)
from service.catalog import Catalog, Key
from service.errors import CatalogUnavailable, Forbidden, Unauthenticated


@pytest.fixture
def door(sqlite_catalog: Catalog, tmp_path: Path) -> Door:
    door = Door(sqlite_catalog, tmp_path)
    door.refresh()
    return door


def add(catalog: Catalog, secret: str, role: str = "train", expires: str | None = None) -> Key:
    return catalog.keys.add(
        "ward7", name=None, role=role, hashed=hash_of(secret), expires=expires, actor="test"
    )


def test_every_secret_is_another_one_of_256_bits() -> None:
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(s.removeprefix("penultimate_")) for s in secrets} == {43}  # 6 bits a letter


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_what_those_before_it_may(role: access.Role) -> None:
    who = Principal("w", role, "k")
    may = ROLES[: ROLES.index(role) + 1]
    assert tuple(r for r in ROLES if who.may(r)) == may
    for other in ROLES:
        if other in may:
            who.require(other)
        else:
            with pytest.raises(Forbidden, match=f"needs the role {other}"):
                who.require(other)


def test_a_change_on_the_same_home_is_seen_at_once(
    door: Door, sqlite_catalog: Catalog, tmp_path: Path
) -> None:
    assert door.is_fresh()
    assert not door.closed
    secret = new_secret()
    key = add(sqlite_catalog, secret)
    announce_change(tmp_path)
    assert not door.is_fresh()
    door.refresh()
    assert door.closed
    assert door.principal(secret) == Principal("ward7", "train", key.name)
    sqlite_catalog.keys.revoke("ward7", key.id, actor="test")
    announce_change(tmp_path)
    assert not door.is_fresh()
    door.refresh()
    assert door.closed
    with pytest.raises(Unauthenticated):
        door.principal(secret)


def test_a_hundred_changes_in_a_row_are_all_seen(door: Door, tmp_path: Path) -> None:
    for _ in range(100):
        announce_change(tmp_path)
        assert not door.is_fresh()
        door.refresh()
        assert door.is_fresh()


def test_a_change_that_nobody_announced_is_seen_within_two_seconds(
    door: Door, sqlite_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert access.REFRESH_S < 2
    secret = new_secret()
    add(sqlite_catalog, secret)
    assert door.is_fresh()
    later = monotonic()
    monkeypatch.setattr(access, "monotonic", lambda: later + access.REFRESH_S + 0.01)
    assert not door.is_fresh()
    door.refresh()
    assert door.principal(secret).workspace == "ward7"


def test_nobody_is_let_in_on_what_was_true_before(
    sqlite_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(sqlite_catalog, tmp_path)

    def away() -> list[Key]:
        raise CatalogUnavailable("away")

    monkeypatch.setattr(sqlite_catalog.keys, "all", away)
    assert not door.is_fresh()
    with pytest.raises(CatalogUnavailable):
        door.refresh()
    assert not door.is_fresh()


@pytest.mark.parametrize("expires", ["2020-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"])
def test_a_key_opens_nothing_after_its_time(
    door: Door, sqlite_catalog: Catalog, tmp_path: Path, expires: str
) -> None:
    secret = new_secret()
    add(sqlite_catalog, secret, expires=expires)
    announce_change(tmp_path)
    door.refresh()
    with pytest.raises(Unauthenticated):
        door.principal(secret)


def test_a_key_opens_before_its_time_is_over(
    door: Door, sqlite_catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = new_secret()
    add(sqlite_catalog, secret, expires="2030-01-01T00:00:00.000Z")
    announce_change(tmp_path)
    door.refresh()
    monkeypatch.setattr(access, "time", lambda: 1893455999.9)  # a tenth before
    assert door.principal(secret).role == "train"
    monkeypatch.setattr(access, "time", lambda: 1893456000.0)
    with pytest.raises(Unauthenticated):
        door.principal(secret)


def test_a_role_of_a_newer_release_opens_nothing(
    door: Door, sqlite_catalog: Catalog, tmp_path: Path
) -> None:
    secret = new_secret()
    add(sqlite_catalog, secret, role="superuser")
    announce_change(tmp_path)
    door.refresh()
    with pytest.raises(Unauthenticated):
        door.principal(secret)


@pytest.mark.parametrize("secret", ["", "x", "é\ud800", "penultimate_" + "A" * 43, "0" * 64])
def test_what_is_no_key_opens_nothing(door: Door, secret: str) -> None:
    with pytest.raises(Unauthenticated):
        door.principal(secret)


def test_a_hash_opens_nothing(door: Door, sqlite_catalog: Catalog, tmp_path: Path) -> None:
    secret = new_secret()
    add(sqlite_catalog, secret)
    announce_change(tmp_path)
    door.refresh()
    door.principal(secret)
    with pytest.raises(Unauthenticated):
        door.principal(hash_of(secret))


def test_the_stamp_is_for_its_owner_and_says_nothing(tmp_path: Path) -> None:
    announce_change(tmp_path)
    (stamp,) = (tmp_path / "run").iterdir()
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) & 0o077 == 0
    assert len(stamp.read_text()) == 16


def test_an_operator_cannot_be_taken_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ana")
    assert operator("ward7") == Principal("ward7", "admin", "operator:ana")
    assert anonymous("default").name == "anonymous"
