"""A request that takes too long is told so, and nothing is left of one that did not."""

import asyncio
import gc
from threading import Event
from typing import Any

import pytest
from anyio import to_thread

from service.http.deadline import Deadline

HTTP = {"type": "http"}


def ask(app: Any, timeout: float) -> list[dict[str, Any]]:
    """The messages that one request is answered with."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    asyncio.run(Deadline(app, seconds=timeout)(HTTP, receive, send))
    return sent


async def prompt(_: Any, __: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_who_takes_too_long_is_told_so() -> None:
    async def slow(*_: Any) -> None:
        await asyncio.sleep(30)

    assert [message.get("status") for message in ask(slow, 0.05)] == [504, None]


def test_an_answer_that_has_begun_may_take_as_long_as_it_likes() -> None:
    async def long(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b""})

    assert [message.get("status") for message in ask(long, 0.05)] == [200, None]


def test_what_the_application_raises_is_raised_at_once() -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(broken, 30)


def test_who_waits_for_a_thread_is_told_before_it_is_done() -> None:
    async def blocked(*_: Any) -> None:
        await to_thread.run_sync(done.wait, 30)

    async def run() -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        try:
            async with asyncio.timeout(10):
                await Deadline(blocked, seconds=0.05)(HTTP, send, send)
        finally:
            done.set()
        return sent

    done = Event()
    assert [message.get("status") for message in asyncio.run(run())] == [504, None]


def test_what_takes_too_long_is_given_up() -> None:
    given_up = []

    async def slow(*_: Any) -> None:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            given_up.append(True)
            raise

    ask(slow, 0.05)
    assert given_up


def test_a_timeout_of_the_applications_own_is_its_own() -> None:
    async def impatient(*_: Any) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        ask(impatient, 30)


def test_no_timer_is_left_of_requests_that_were_answered() -> None:
    async def run() -> int:
        async def ignore(*_: Any) -> Any:
            return None

        for _ in range(300):
            await Deadline(prompt, seconds=300)(HTTP, ignore, ignore)
        gc.collect()
        scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        return sum(not timer.cancelled() for timer in scheduled)

    assert asyncio.run(run()) == 0
