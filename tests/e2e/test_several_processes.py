"""Two workers, their trainer and the command line on one home answer as one process alone does.

The same requests in the same order, drawn at random: on one home each comes through whichever
process, on the other all come through one. Every answer must be the same.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from in_process import settings_of
from live_server import Server, finished, picture

from features.keys import digest
from service.doctor import examine
from service.local import LocalTransport

Request = tuple[str, str, dict[str, Any]]

LESSONS, STEPS = 4, 20
"""How often a head is learnt, and how many requests are drawn after each."""

OWN = {
    *("timings_ms", "request_id", "cached", "id", "location", "actor", "by", "author"),
    *("created", "started", "finished", "when", "at", "moved", "trained", "registered", "erased"),
    *("artefact", "seconds", "instance", "progress", "stage"),
}
"""What an answer says of its process and moment."""

COLOURS = ("red", "green")

IMAGES = [picture(COLOURS[n % 2], 300 + n) for n in range(24)]

NEVER_SENT = [picture("red", 400), picture("green", 401)]


class Draw:
    """Draws requests: about few things, so that they get in each other's way.

    Args:
        seed: the same one draws the same requests.
    """

    def __init__(self, seed: int) -> None:
        self._choices = random.Random(seed)
        self._kinds: list[Callable[[], Request]] = [
            *(self._add, self._erase, self._regroup, self._predict, self._predict, self._predict),
            *(self._search, self._promote, self._promote, self._read, self._delete_version),
        ]

    def request(self) -> Request:
        return self._choices.choice(self._kinds)()

    def door(self, doors: list[httpx.Client]) -> httpx.Client:
        return self._choices.choice(doors)

    def _which(self) -> int:
        return self._choices.randrange(len(IMAGES))

    def _add(self) -> Request:
        some = [self._which() for _ in range(4)]
        files = [("images", (f"{n}.png", IMAGES[n])) for n in some]
        labels = [COLOURS[n % 2] for n in some]
        return "POST", "/v1/datasets/colour/images", {"files": files, "data": {"labels": labels}}

    def _erase(self) -> Request:
        return "DELETE", f"/v1/images/{digest(IMAGES[self._which()])}", {}

    def _regroup(self) -> Request:
        n, group = self._which(), f"patient {self._choices.randrange(9)}"
        change = {"digest": digest(IMAGES[n]), "label": COLOURS[n % 2], "group": group}
        return "PUT", "/v1/datasets/colour/labels", {"json": {"labels": [change]}}

    def _predict(self) -> Request:
        image = self._choices.choice([*IMAGES, *NEVER_SENT])
        heads = self._choices.choice(([], [], ["colour@1"], ["colour@2", "colour@9", "never"]))
        data = {"heads": heads, "evidence": "2", "remember": "false"}
        return "POST", "/v1/predict", {"files": [("images", ("a.png", image))], "data": data}

    def _search(self) -> Request:
        asked = {"digest": digest(IMAGES[self._which()]), "k": 4, "dataset": "colour"}
        return "POST", "/v1/search", {"json": asked}

    def _promote(self) -> Request:
        moved = {"version": self._choices.choice((1, 2, 3)), "reason": "drawn"}
        return "PUT", "/v1/heads/colour/aliases/champion", {"json": moved}

    def _read(self) -> Request:
        what = ("datasets", "datasets/colour", "heads", "heads/colour", "heads/colour/history")
        return "GET", f"/v1/{self._choices.choice(what)}", {}

    def _delete_version(self) -> Request:
        return "DELETE", f"/v1/heads/colour/versions/{self._choices.choice((2, 3))}", {}


@pytest.fixture
def doors(server_of: Callable[..., Server]) -> Iterator[list[httpx.Client]]:
    """The ways into a home with a server of two workers: each worker may get it, or a command."""
    server = server_of(workers=2)
    server.start()
    here = httpx.Client(transport=LocalTransport(settings_of(server.home)), base_url="http://local")
    # A connection for each request, or one worker would get them all.
    limits = httpx.Limits(max_keepalive_connections=0)
    with here, httpx.Client(base_url=server.url, timeout=60, limits=limits) as there:
        yield [there, there, here]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[httpx.Client]:
    """One process on a home of its own."""
    transport = LocalTransport(settings_of(tmp_path / "alone"))
    with closing(transport), httpx.Client(transport=transport, base_url="http://local") as client:
        yield client


def shared(said: Any) -> Any:
    """An answer without what is its process's own."""
    if isinstance(said, dict):
        return {name: shared(value) for name, value in said.items() if name not in OWN}
    return [shared(one) for one in said] if isinstance(said, list) else said


def same(request: Request, one: httpx.Client, other: httpx.Client) -> None:
    """Sends a request both ways and compares what comes back."""
    found, wanted = (client.request(*request[:2], **request[2]) for client in (one, other))
    assert found.status_code == wanted.status_code, (request[:2], found.text, wanted.text)
    assert shared(found.json()) == shared(wanted.json()), request[:2]
    if found.status_code == 202:
        jobs = [
            finished(client, a.headers["location"]) for client, a in ((one, found), (other, wanted))
        ]
        assert shared(jobs[0]) == shared(jobs[1])
        assert jobs[0]["state"] == "succeeded", jobs[0]


LEARN: Request = (
    *("POST", "/v1/heads"),
    {"json": {"name": "colour", "dataset": "colour", "options": {"report": "fast"}}},
)


def questions() -> Iterator[Request]:
    """What tells whether a process knows all that the others did."""
    yield "GET", "/v1/heads/colour", {}
    yield "GET", "/v1/datasets/colour", {}
    for heads in ([], ["colour@1", "colour@2", "colour@3", "colour@4"]):
        files = [("images", (f"{n}.png", image)) for n, image in enumerate(NEVER_SENT)]
        data = {"heads": heads, "evidence": "5", "remember": "false"}
        yield "POST", "/v1/predict", {"files": files, "data": data}
    for image in IMAGES[:8]:
        asked = {"digest": digest(image), "dataset": "colour"}
        yield "POST", "/v1/search", {"json": asked}


def test_several_processes_answer_as_one(
    doors: list[httpx.Client], alone: httpx.Client, tmp_path: Path
) -> None:
    draw = Draw(seed=1)
    files = [("images", (f"{n}.png", IMAGES[n])) for n in range(16)]
    data = {"labels": [COLOURS[n % 2] for n in range(16)]}
    same(
        ("POST", "/v1/datasets/colour/images", {"files": files, "data": data}),
        *(draw.door(doors), alone),
    )
    for _ in range(LESSONS):
        same(LEARN, draw.door(doors), alone)
        for _ in range(STEPS):
            same(draw.request(), draw.door(doors), alone)
    for door in doors:
        for request in questions():
            same(request, door, alone)
    findings = examine(settings_of(tmp_path / "home"))
    assert all(f.sound for f in findings if f.about not in ("packages", "disk")), findings
