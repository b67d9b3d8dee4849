"""Kills the server, a worker, the trainer or all of them, again and again, under a mixed load.

    python tests/torture/kill_rounds.py --rounds 20 --workers 2 --record docs/reliability.json

Seeded: the same seed makes the same choices; the moments of the kills fall where they fall.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

import httpx  # noqa: E402  the paths come first
from actor import Actor, Wrong, require  # noqa: E402
from checks import Home, check  # noqa: E402
from live_server import Server, free_port  # noqa: E402
from processes import alive, below, kill_all  # noqa: E402
from record import write_record  # noqa: E402

from service.doctor import examine  # noqa: E402
from service.settings import Settings  # noqa: E402

VICTIMS = ("everything", "server", "worker", "trainer")
ACTORS = 3
GONE_WITHIN_S = 15.0
"""How long what hung on a killed process may outlive it."""


@dataclass
class Tally:
    """What the rounds came to."""

    kills: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    jobs: Counter[str] = field(default_factory=Counter)
    starts_s: list[float] = field(default_factory=list)


class Torture:
    """The rounds on one home.

    Args:
        folder: where the home and the server's log are.
        seed: of every choice.
        workers: processes that answer.
    """

    def __init__(self, folder: Path, seed: int, workers: int) -> None:
        self.server = Server(folder / "home", free_port(), workers=workers)
        self.server.home.mkdir()
        self.settings = Settings(home=self.server.home, backbone="toy", log_level="error")
        self.actors = [Actor(f"a{i}", seed * 10 + i) for i in range(ACTORS)]
        self.tally = Tally()
        self._random = random.Random(seed)

    def run(self, rounds: int) -> None:
        """Does the rounds; raises at the first thing that is wrong."""
        self.tally.starts_s.append(self.server.start())
        for number in range(rounds):
            victim = VICTIMS[number % len(VICTIMS)]
            self._load_and_kill(victim, self._random.uniform(0.3, 6.0))
            if not alive(self.server.process.pid if self.server.process else 0):
                self.server.kill()
                self.tally.starts_s.append(self.server.start())
            self._check()
            acknowledged = sum(sum(a.acknowledged.values()) for a in self.actors)
            say(f"round {number + 1}: killed {victim}; {acknowledged} acknowledged so far")
        self.server.stop()

    def _load_and_kill(self, victim: str, after_s: float) -> None:
        stop, wrong = Event(), list[BaseException]()

        def act(actor: Actor) -> None:
            try:
                actor.run(self.server.url, stop)
            except BaseException as error:  # noqa: BLE001 - told to the main thread
                wrong.append(error)

        threads = [Thread(target=act, args=(actor,)) for actor in self.actors]
        for thread in threads:
            thread.start()
        time.sleep(after_s)
        self._kill(victim)
        time.sleep(0.5)
        stop.set()
        for thread in threads:
            thread.join()
        if wrong:
            raise wrong[0]

    def _kill(self, victim: str) -> None:
        process = self.server.process
        require(process is not None, "there is no server")
        server = process.pid if process else 0
        tree = below(server)
        trainers = [pid for pid, command in tree.items() if "service.trainer" in command]
        workers = [pid for pid, command in tree.items() if "worker.service" in command]
        doomed = {
            "everything": [server, *tree],
            "server": [server],
            "worker": self._random.sample(workers, min(1, len(workers))),
            "trainer": trainers,
        }[victim]
        kill_all(doomed)
        self.tally.kills[victim if doomed else f"{victim} (there was none)"] += 1
        if victim in ("everything", "server") and process:
            process.wait()
            _wait_until_gone(tree)

    def _check(self) -> None:
        """Everything that was acknowledged, by every actor, and the doctor's opinion."""
        home = Home(self.settings)
        try:
            with httpx.Client(base_url=self.server.url, timeout=60) as client:
                _wait_until_ready(client)
                self._wait_for_workers(home)
                for actor in self.actors:
                    outcome = check(actor, client, home, self.tally.jobs)
                    self.tally.doubts[outcome] += 1
        finally:
            home.close()
        ill = [finding for finding in examine(self.settings) if not finding.sound]
        require(not ill, f"the doctor found: {ill}")

    def _wait_for_workers(self, home: Home) -> None:
        """A worker that was killed is started anew, and finishes what it was erasing or adding."""
        limit = time.monotonic() + 90
        pid = self.server.process.pid if self.server.process else 0
        while home.unfinished() or (
            sum("worker.service" in c for c in below(pid).values()) < self.server.workers
        ):
            require(time.monotonic() < limit, f"not whole again: {below(pid)}")
            time.sleep(0.2)


def _wait_until_ready(client: httpx.Client) -> None:
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        try:
            if client.get("/readyz", timeout=5).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise Wrong("the server is not ready again")


def _wait_until_gone(tree: dict[int, str]) -> None:
    limit = time.monotonic() + GONE_WITHIN_S
    while left := [f"{pid} {tree[pid][:80]}" for pid in tree if alive(pid)]:
        require(time.monotonic() < limit, f"outlived the server: {left}")
        time.sleep(0.05)


def summary(torture: Torture, seed: int, rounds: int, seconds: float) -> dict[str, Any]:
    """The record of a run."""
    acknowledged: Counter[str] = sum((a.acknowledged for a in torture.actors), Counter())
    starts = torture.tally.starts_s
    few = max(1, len(starts) // 3)
    files = [p for p in torture.server.home.rglob("*") if p.is_file()]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": seed,
        "workers": torture.server.workers,
        "rounds": rounds,
        "minutes": round(seconds / 60, 1),
        "kills": dict(torture.tally.kills),
        "acknowledged": dict(acknowledged),
        "in_doubt": dict(torture.tally.doubts),
        "jobs": dict(torture.tally.jobs),
        "start_s": {
            "first": round(statistics.median(starts[:few]), 1),
            "last": round(statistics.median(starts[-few:]), 1),
            "longest": round(max(starts), 1),
        },
        "home_mib": round(sum(p.stat().st_size for p in files) / 2**20, 1),
    }


def main() -> None:
    """Runs from a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--record", type=Path, help="JSON file to write what came of it into")
    parser.add_argument("--folder", type=Path, help="where the home is made; /tmp by default")
    given = parser.parse_args()
    say(f"seed {given.seed}, {given.workers} workers")
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-", dir=given.folder) as folder:
        torture = Torture(Path(folder), given.seed, given.workers)
        try:
            torture.run(given.rounds)
        except BaseException:
            say(f"--- the server's log:\n{torture.server.log()}")
            raise
        finally:
            torture.server.kill()
        said = summary(torture, given.seed, given.rounds, time.monotonic() - begun)
    say(str(said))
    if given.record:
        write_record(given.record, f"kill rounds, workers {given.workers}", said)


def say(text: str) -> None:
    """A line at once, also in a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
