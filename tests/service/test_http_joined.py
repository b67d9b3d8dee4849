"""Joined: the head of an answer and its body leave together, and nothing is kept back or lost."""

import asyncio
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.http.joined import JOINED_BYTES, Joined

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


class Sent(list[bytes]):
    """A transport that remembers what it was given."""

    closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def sent(*writes: bytes | None, turns: tuple[int, ...] = (), close: bool = False) -> Sent:
    """What leaves after some writes; the loop comes round before those of `turns`."""
    found = Sent()

    async def run() -> Sent:
        joined = Joined(cast("Any", found), asyncio.get_running_loop())
        for number, data in enumerate(writes):
            if number in turns:
                await asyncio.sleep(0)
            if data is not None:
                joined.write(data)
        if close:
            joined.close()
            assert joined.is_closing()
        return Sent(found)

    return asyncio.run(run())


def test_a_head_leaves_with_its_body() -> None:
    assert sent(HEAD, b"ok") == [HEAD + b"ok"]
    assert sent(HEAD, b"") == [HEAD]
    assert sent(HEAD, b"ok", b"more") == [HEAD + b"ok", b"more"]


def test_a_head_without_a_body_leaves_when_the_loop_comes_round() -> None:
    assert sent(HEAD) == []
    assert sent(HEAD, None, turns=(1,)) == [HEAD]
    assert sent(HEAD, b"ok", turns=(1,)) == [HEAD, b"ok"]


def test_who_may_go_on_is_told_at_once() -> None:
    assert sent(GO_ON) == [GO_ON]
    assert sent(GO_ON, HEAD, b"ok") == [GO_ON, HEAD + b"ok"]


def test_a_large_body_is_not_copied() -> None:
    body = bytes(JOINED_BYTES)
    found = sent(HEAD, body)
    assert found == [HEAD, body]
    assert found[1] is body


@pytest.mark.parametrize("writes", [(HEAD,), (HEAD, b"ok"), ()])
def test_what_waits_leaves_before_the_connection_is_closed(writes: tuple[bytes, ...]) -> None:
    assert b"".join(sent(*writes, close=True)) == b"".join(writes)


@given(
    st.lists(st.sampled_from([HEAD, GO_ON, b"", b"ok", b"x" * JOINED_BYTES])),
    st.sets(st.integers(0, 6)),
)
def test_whatever_is_written_arrives_in_order(writes: list[bytes], turns: set[int]) -> None:
    assert b"".join(sent(*writes, turns=tuple(turns), close=True)) == b"".join(writes)
