"""The guard: keys are read again before they are no longer true, and once for all who wait."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from threading import Event
from time import monotonic
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.datastructures import State
from starlette.responses import PlainTextResponse

from service import access
from service.access import Door
from service.catalog import Catalog, Key
from service.errors import CatalogUnavailable
from service.http.guard import Guard

SCOPE = {
    "type": "http",
    "method": "GET",
    "path": "/v1/heads",
    "headers": [(b"host", b"127.0.0.1:3000")],
    "client": ("127.0.0.1", 1),
}

Ask = Callable[[], Awaitable[int]]


@pytest.fixture
def door(sqlite_catalog: Catalog, tmp_path: Path) -> Door:
    return Door(sqlite_catalog, tmp_path)


@pytest.fixture
def ask(door: Door) -> Ask:
    """Sends a request through a guard; returns the status of its answer."""
    state = State({"product": SimpleNamespace(door=door)})
    guard = Guard(PlainTextResponse("in"), state=state, origins=(), admit=lambda _: None)

    async def send_one() -> int:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        await guard(dict(SCOPE), None, send)  # type: ignore[arg-type]  # nothing is received
        return statuses[0]

    return send_one


def half_as_old_as_they_may_be(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    door.refresh()
    later = monotonic() + 0.6 * access.REFRESH_S
    monkeypatch.setattr(access, "monotonic", lambda: later)
    assert door.is_fresh()


def test_keys_are_read_by_one_thread_however_many_wait_for_them(
    door: Door, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    refresh = Door.refresh

    def slowly(self: Door) -> None:
        calls.append(1)
        time.sleep(0.05)
        refresh(self)

    monkeypatch.setattr(Door, "refresh", slowly)

    async def many() -> list[int]:
        return await asyncio.gather(*(ask() for _ in range(60)))

    assert asyncio.run(many()) == [200] * 60
    assert len(calls) == 1


def test_keys_are_read_again_while_what_is_known_is_still_true(
    door: Door, ask: Ask, sqlite_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_as_old_as_they_may_be(door, monkeypatch)
    read, go_on, calls = sqlite_catalog.keys.all, Event(), list[int]()

    def held() -> list[Key]:
        calls.append(1)
        assert go_on.wait(10)
        return read()

    monkeypatch.setattr(sqlite_catalog.keys, "all", held)

    async def several() -> None:
        for _ in range(5):
            assert await ask() == 200  # while the keys are being read
        go_on.set()
        await asyncio.sleep(0.2)

    asyncio.run(several())
    assert not door.is_due()
    assert len(calls) == 1


def test_a_catalog_that_is_away_is_told_once_what_is_known_may_be_wrong(
    door: Door, ask: Ask, sqlite_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_as_old_as_they_may_be(door, monkeypatch)

    def away() -> list[Key]:
        raise CatalogUnavailable("away")

    monkeypatch.setattr(sqlite_catalog.keys, "all", away)

    async def meanwhile_and_later() -> list[int]:
        first = [await ask() for _ in range(3)]
        await asyncio.sleep(0.1)
        old = monotonic() + 2 * access.REFRESH_S
        monkeypatch.setattr(access, "monotonic", lambda: old)
        return [*first, await ask()]

    assert asyncio.run(meanwhile_and_later()) == [200, 200, 200, 503]
