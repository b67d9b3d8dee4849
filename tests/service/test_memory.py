"""Nothing stays behind a request, whatever became of it: counted in Python's own blocks."""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from in_process import Http, files
from live_server import picture

from features.keys import digest

KNOWN = picture("red", 0)

WARM, ASKED, TIMES = 40, 100, 6
"""Requests before memory is looked at, and those that must leave nothing, so many times."""

MOST_BLOCKS = 80
"""In the best of the times: others make and free blocks too, but something that stays behind every
request is one block for each at least, every time."""

Asked = Callable[[int], tuple[str, str, dict[str, Any]]]

KINDS: dict[str, Asked] = {
    "an answer": lambda _: ("POST", "/v1/predict", {"files": files(KNOWN)}),
    "an answer to another image": lambda n: (
        *("POST", "/v1/predict"),
        {"files": files(picture("red", 5_000 + n)), "data": {"remember": "false"}},
    ),
    "a search": lambda _: ("POST", "/v1/search", {"json": {"digest": digest(KNOWN)}}),
    "a list": lambda _: ("GET", "/v1/heads", {}),
    "a head that is not there": lambda n: ("GET", f"/v1/heads/never-{n}", {}),
    "a route that is not there": lambda n: ("GET", f"/never-{n}", {}),
    "a method that nobody knows": lambda n: (f"MADE{n}UP", "/v1/heads", {}),
    "a head that cannot be asked": lambda n: (
        *("POST", "/v1/predict"),
        {"json": {"digests": [digest(KNOWN)], "heads": [f"never-{n}"]}},
    ),
    "a body of another shape": lambda n: ("PUT", "/v1/datasets/d/labels", {"json": {f"x{n}": n}}),
    "a form that is none": lambda n: (
        *("POST", "/v1/embed"),
        {"content": b"x" * n, "headers": {"Content-Type": f"multipart/form-data; boundary=b{n}"}},
    ),
    "no picture": lambda n: ("POST", "/v1/predict", {"files": files(b"no picture %d" % n)}),
}


@pytest.fixture(autouse=True)
def _unheard() -> Iterator[None]:
    """Pytest keeps every line of the log until a test ends."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_stays_behind_a_request(shared_http: Http, kind: str) -> None:
    async def ask(first: int, count: int) -> None:
        for n in range(first, first + count):
            await shared_http._send(*KINDS[kind](n))

    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    async def run() -> list[int]:
        await ask(0, WARM)
        seen = [blocks()]
        for time in range(TIMES):
            await ask(WARM + time * ASKED, ASKED)
            seen.append(blocks())
        return [after - before for before, after in pairwise(seen)]

    assert min(asyncio.run(run())) < MOST_BLOCKS
