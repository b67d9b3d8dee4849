"""One client of a server that is killed: what it does, and what it then knows to be true.

Each actor has datasets, heads and images of its own, so what it knows is exact: what was
acknowledged, and of the one request without an answer that either all of it happened or nothing.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import httpx
from live_server import picture

from features.keys import digest

COLOURS = ("red", "green")
ENDED = ("succeeded", "failed", "cancelled")
ENOUGH, FEWEST = 24, 8
"""Images from which on there is something to erase, and of a label, to learn from."""

BUSY = (503, 409)
"""Answers that say: not now. Nothing has happened, or it may be asked again."""


class Wrong(AssertionError):
    """An answer that contradicts what was acknowledged."""


class NotNow(Exception):
    """The server cannot do it at this moment."""


@dataclass
class Doubt:
    """A request that has had no answer.

    Args:
        kind: which operation.
        given: what it was about.
    """

    kind: str
    given: dict[str, Any]


@dataclass
class Known:
    """What one actor knows.

    Args:
        images: digest → label of what its dataset holds.
        erased: digests that are gone for good.
        versions: head → versions → what it answered to the probe; None before the first time.
        champions: head → version.
        jobs: id → the head, for jobs that were accepted and whose end is not known.
        doubt: the request without an answer.
    """

    images: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    versions: dict[str, dict[int, Any]] = field(default_factory=dict)
    champions: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    doubt: Doubt | None = None


class Actor:
    """Does one thing after another, chosen by a seed.

    Args:
        name: prefix of its datasets and heads.
        seed: of its choices.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.dataset = f"{name}-images"
        self.known = Known()
        self.acknowledged: Counter[str] = Counter()
        self.random = random.Random(seed)
        self._number = seed * 1_000_000
        self._probe = picture("red", seed + 17)

    def run(self, url: str, stop: Event) -> None:
        """Works until told to stop, or until a request has no answer."""
        ways: list[tuple[Callable[[httpx.Client], None], int]] = [
            (self.ingest, 5),
            (self.predict, 6),
            (self.search, 2),
            (self.erase, 3),
            (self.learn, 2),
            (self.promote, 2),
            (self.delete_version, 1),
            (self.delete_head, 1),
        ]
        with httpx.Client(base_url=url, timeout=60) as client:
            try:
                if len(self.known.images) < ENOUGH:
                    self.ingest(client, ENOUGH)
                while not stop.is_set():
                    self.random.choices([w for w, _ in ways], [n for _, n in ways])[0](client)
            except (httpx.TransportError, NotNow):
                return  # what is in doubt is looked up when the server is back

    def ingest(self, client: httpx.Client, count: int = 0) -> None:
        """Adds some images."""
        new = {}
        for _ in range(count or self.random.randint(1, 6)):
            self._number += 1
            colour = self.random.choice(COLOURS)
            new[picture(colour, self._number)] = colour
        labels = {digest(data): colour for data, colour in new.items()}
        body = self._ask(
            client,
            Doubt("ingest", {"labels": labels}),
            "POST",
            f"/v1/datasets/{self.dataset}/images",
            files=[("images", ("x.png", data)) for data in new],
            data={"labels": list(new.values())},
        )
        require(not body["rejected"], f"rejected: {body['rejected']}")
        self.known.images.update(labels)

    def erase(self, client: httpx.Client) -> None:
        """Erases one image."""
        if len(self.known.images) < ENOUGH:
            return
        victim = self.random.choice(sorted(self.known.images))
        doubt = Doubt("erase", {"digest": victim})
        self._ask(client, doubt, "DELETE", f"/v1/images/{victim}")
        del self.known.images[victim]
        self.known.erased.add(victim)

    def predict(self, client: httpx.Client) -> None:
        """Asks every head of its own; the same version must say the same for ever."""
        wanted = [f"{h}@{v}" for h, vs in self.known.versions.items() for v in vs]
        if not wanted:
            return
        body = self._ask(
            client,
            Doubt("predict", {}),
            "POST",
            "/v1/predict",
            files={"images": self._probe},
            data={"heads": wanted[:20]},
        )
        for said in body["results"][0]["predictions"]:
            require(said["error"] is None, f"{said['head']}@{said['version']}: {said['error']}")
            versions = self.known.versions[said["head"]]
            before = versions[said["version"]]
            versions[said["version"]] = said["probabilities"]
            require(before in (None, said["probabilities"]), f"{said['head']} changed its mind")

    def search(self, client: httpx.Client) -> None:
        """Looks for images like one of its own: itself first, and never an erased one."""
        if not self.known.images:
            return
        wanted = self.random.choice(sorted(self.known.images))
        body = self._ask(
            client,
            Doubt("search", {}),
            "POST",
            "/v1/search",
            json={"digest": wanted, "k": 50, "dataset": self.dataset},
        )
        found = {hit["digest"] for hit in body["hits"]}
        require(not found & self.known.erased, "an erased image was found")
        strange = found - self.known.images.keys()
        require(not strange, f"images were found that are not in the dataset: {strange}")

    def learn(self, client: httpx.Client) -> None:
        """Asks for a head; does not wait."""
        head = f"{self.name}-{self.random.choice('ab')}"
        rarest = min(Counter(self.known.images.values()).values(), default=0)
        if head in self.known.jobs.values() or rarest < FEWEST:
            return
        key = f"{self.name}-{self.random.getrandbits(64):x}"
        asked = {"name": head, "dataset": self.dataset, "options": {"allow_no_signal": True}}
        body = self._ask(
            client,
            Doubt("learn", {"key": key, "asked": asked}),
            "POST",
            "/v1/heads",
            json=asked,
            headers={"Idempotency-Key": key},
        )
        self.known.jobs[body["id"]] = head

    def promote(self, client: httpx.Client) -> None:
        """Lets another version answer."""
        if (chosen := self._settled_head()) is None:
            return
        version = self.random.choice(sorted(self.known.versions[chosen]))
        doubt = Doubt("promote", {"head": chosen, "version": version})
        asked = {"version": version, "reason": "torture"}
        path = f"/v1/heads/{chosen}/aliases/champion"
        self._ask(client, doubt, "PUT", path, json=asked)
        self.known.champions[chosen] = version

    def delete_version(self, client: httpx.Client) -> None:
        """Deletes one version of several; a champion is succeeded by the newest left."""
        head = self._settled_head()
        if head is None or len(self.known.versions[head]) < 3:
            return
        version = self.random.choice(sorted(self.known.versions[head]))
        doubt = Doubt("delete", {"head": head, "versions": [version]})
        path = f"/v1/heads/{head}/versions/{version}"
        self._ask(client, doubt, "DELETE", path)
        self.forget(head, [version])

    def delete_head(self, client: httpx.Client) -> None:
        """Deletes a head that has become rich."""
        head = self._settled_head()
        if head is None or len(self.known.versions[head]) < 4:
            return
        versions = list(self.known.versions[head])
        doubt = Doubt("delete", {"head": head, "versions": versions})
        self._ask(client, doubt, "DELETE", f"/v1/heads/{head}")
        self.forget(head, versions)

    def forget(self, head: str, versions: list[int]) -> None:
        """Takes note that versions are gone."""
        left = {v: said for v, said in self.known.versions[head].items() if v not in versions}
        if not left:
            del self.known.versions[head], self.known.champions[head]
            return
        self.known.versions[head] = left
        if self.known.champions[head] not in left:
            self.known.champions[head] = max(left)

    def register(self, head: str, version: int) -> None:
        """Takes note that a version has come."""
        self.known.versions.setdefault(head, {})[version] = None
        self.known.champions.setdefault(head, version)

    def _settled_head(self) -> str | None:
        """A head of which nothing is on its way."""
        settled = sorted(self.known.versions.keys() - set(self.known.jobs.values()))
        return self.random.choice(settled) if settled else None

    def _ask(
        self, client: httpx.Client, doubt: Doubt, method: str, path: str, **options: Any
    ) -> Any:
        """One request; the answer's body. What has no answer, or `not now`, stays in doubt."""
        self.known.doubt = doubt
        answer = client.request(method, path, **options)
        if answer.status_code in BUSY:
            raise NotNow
        require(answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        self.known.doubt = None
        self.acknowledged[doubt.kind] += 1
        return answer.json()


def require(true: bool, what: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not true:
        raise Wrong(what)
