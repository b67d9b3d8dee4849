"""`python -m benchmarks.overload`: a server at its best, then asked five times as much.

Images that nobody has sent before, at a rate that does not wait for answers; meanwhile the probes
are asked, and the memory is looked at. A client that is refused keeps its connection, as HTTP
clients with a pool do, or goes away at once and another comes. Prints what it saw as JSON.
"""

import argparse
import importlib
import json
import os
import selectors
import shutil
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.speed import servers
from benchmarks.speed.child import ROOT, Child
from benchmarks.speed.client import Connection
from benchmarks.speed.images import Images, form_request

FACTOR = 5.0
BEST_CLIENTS, MOST_BEST_S = 16, 60.0
MOST_CONNECTIONS = 600
"""More than the places of the gate: who finds no connection free is counted as not sent."""


@dataclass
class Phase:
    """What one phase saw.

    Args:
        seconds: how long it was.
        statuses: answers by status; `unsent`, where every connection was taken.
        waits: seconds of each 200.
        refusals: seconds of each 503.
        ended: seconds after the start at which each 200 came.
    """

    seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)

    def rate(self) -> float:
        """Answers of 200 a second."""
        return len(self.waits) / self.seconds


class Crowd:
    """Clients in one thread.

    Args:
        port: whom they ask.
        images: what they ask about; one that was refused is sent again.
        stay: whether who is refused keeps the connection, as an HTTP client with a pool does, or
            goes away at once.
    """

    def __init__(self, port: int, images: Images, *, stay: bool) -> None:
        self._port, self._images, self._stay = port, images, stay
        self._answered: dict[Connection, int] = {}
        self._unseen: deque[bytes] = deque()
        self._sent: dict[Connection, bytes] = {}
        self._free: deque[Connection] = deque()
        self._watched = selectors.DefaultSelector()
        self._open = 0

    def run(self, seconds: float, *, clients: int = 0, rate: float = 0.0) -> Phase:
        """Asks for so long: so many clients without a pause, or at a rate whatever comes back."""
        phase, begun = Phase(), time.perf_counter()
        due = self._due(begun, clients, rate)
        underway = 0
        while (now := time.perf_counter()) < begun + seconds or underway:
            if now < begun + seconds:
                for _ in range(next(due) if rate else clients - underway):
                    underway += self._ask(phase)
            elif now > begun + seconds + 60:
                raise SystemExit(f"{underway} requests are not answered a minute after the end.")
            for key, events in self._watched.select(0.002):
                underway -= self._serve(key, events, phase, begun)
        phase.seconds = seconds
        return phase

    def _due(self, begun: float, clients: int, rate: float) -> Iterator[int]:
        sent = clients
        while True:
            asked = int((time.perf_counter() - begun) * rate) - sent
            sent += asked
            yield max(0, asked)

    def _ask(self, phase: Phase) -> int:
        if self._free:
            connection = self._free.popleft()
        elif self._open < MOST_CONNECTIONS:
            connection = Connection(self._port)
            self._watched.register(connection.socket, selectors.EVENT_READ, connection)
            self._open += 1
        else:
            phase.statuses["unsent"] += 1
            return 0
        request = self._unseen.popleft() if self._unseen else self._new()
        self._sent[connection] = request
        connection.begun = time.perf_counter()
        with suppress(ConnectionError):
            connection.ask(memoryview(request))
            if connection.send():
                both = selectors.EVENT_READ | selectors.EVENT_WRITE
                self._watched.modify(connection.socket, both, connection)
        return 1

    def _new(self) -> bytes:
        return form_request("/v1/embed", self._images.jpegs(1)[0])

    def _serve(self, key: Any, events: int, phase: Phase, begun: float) -> int:  # noqa: ANN401  SelectorKey
        """Sends and receives what can be; how many requests it has brought to their end."""
        connection: Connection = key.data
        left = False
        if events & selectors.EVENT_WRITE:
            with suppress(ConnectionError):  # refused before the body was read; the answer is there
                left = connection.send()
            if not left:
                self._watched.modify(connection.socket, selectors.EVENT_READ, connection)
        if events & selectors.EVENT_READ:
            try:
                status = connection.receive()
            except (ConnectionError, SystemExit):
                return self._lose(connection, phase)
            if status is not None:
                self._note(connection, status, phase, begun)
        status = self._answered.get(connection)
        if status is None or (self._stay and connection.left()):
            return 0
        return self._end(connection, stays=self._stay or status == 200, again=status != 200)

    def _note(self, connection: Connection, status: int, phase: Phase, begun: float) -> None:
        self._answered[connection] = status
        phase.statuses[str(status)] += 1
        now = time.perf_counter()
        (phase.waits if status == 200 else phase.refusals).append(now - connection.begun)
        phase.ended += [now - begun] * (status == 200)

    def _lose(self, connection: Connection, phase: Phase) -> int:
        """The server has closed a connection: one that is idle, as it may, or one that waited."""
        if connection in self._sent:
            phase.statuses["closed"] += 1
            return self._end(connection, stays=False, again=True)
        self._free.remove(connection)
        self._watched.unregister(connection.socket)
        connection.socket.close()
        self._open -= 1
        return 0

    def _end(self, connection: Connection, *, stays: bool, again: bool) -> int:
        self._answered.pop(connection, None)
        request = self._sent.pop(connection)
        if again:
            self._unseen.append(request)
        if stays:
            self._free.append(connection)
        else:
            self._watched.unregister(connection.socket)
            connection.socket.close()
            self._open -= 1
        return 1


def at(values: list[float], part: float) -> float:
    """A quantile in milliseconds; 0 of nothing."""
    return round(1000 * sorted(values)[int(part * (len(values) - 1))], 1) if values else 0.0


def seconds_until_usual(lone: Crowd, calm: Phase) -> float:
    """How long until a lone client waits at most twice as long as it did before."""
    ending, usual_ms = time.perf_counter(), 2 * at(calm.waits, 0.5)
    while at(lone.run(0.5, clients=1).waits, 0.5) > usual_ms:
        if time.perf_counter() > ending + 60:
            break
    return time.perf_counter() - ending


def measure(
    server: servers.Server, images: Images, seconds: float, *, stay: bool
) -> dict[str, Any]:
    """Runs the phases; what each saw."""
    crowd, lone = (Crowd(server.port, images, stay=stay) for _ in range(2))
    crowd.run(3, clients=BEST_CLIENTS)
    pids = [process.pid for process in server.processes()]
    best_s = min(MOST_BEST_S, seconds)
    with (
        Child("benchmarks.watch:Watch", port=server.port, pids=pids) as watch,
        ThreadPoolExecutor(1) as pool,
    ):
        # Asking probes takes a hundredth of the machine: it is done at the best too.
        pool.submit(watch, seconds=best_s)
        before = crowd.run(best_s, clients=BEST_CLIENTS)
        calm = lone.run(3, clients=1)
        seen = pool.submit(watch, seconds=seconds)
        over = crowd.run(seconds, rate=FACTOR * before.rate())
        probed = seen.result()
        back = seconds_until_usual(lone, calm)
        pool.submit(watch, seconds=best_s)
        after = crowd.run(best_s, clients=BEST_CLIENTS)
    # The machine's own pace changes by a tenth within minutes: what was between is compared to the
    # mean of what was before and after.
    best = (before.rate() + after.rate()) / 2
    tenths = Counter(int(10 * ended / seconds) for ended in over.ended)
    rates = [round(10 * tenths[tenth] / seconds, 1) for tenth in range(10)]
    memory = probed["memory"]
    quarter = max(1, len(memory) // 4)
    return {
        "seconds": seconds,
        "best a second, before and after": [round(before.rate(), 1), round(after.rate(), 1)],
        "asked a second": round(FACTOR * before.rate(), 1),
        "answers": dict(over.statuses),
        "a second, in each tenth of the time": rates,
        "throughput of the best": round(sum(rates) / 10 / best, 3),
        "wait of a 200, ms, median and 99 %": [at(over.waits, 0.5), at(over.waits, 0.99)],
        "wait of a 503, ms, median and 99 %": [at(over.refusals, 0.5), at(over.refusals, 0.99)],
        "probes, ms, median, 99 %, most": [at(probed["probes"], q) for q in (0.5, 0.99, 1.0)],
        "probes not answered": probed["failed"],
        "memory, MiB, second quarter and last": [
            round(max(memory[quarter : 2 * quarter] or [0])),
            round(max(memory[-quarter:] or [0])),
        ],
        "seconds until a lone wait is at most twice the usual": round(back, 1),
        "load of the machine": round(os.getloadavg()[0], 1),
    }


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser("benchmarks.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--engines", type=Path, help="a folder of converted backbones to copy")
    parser.add_argument("--leave", action="store_true", help="who is refused goes away at once")
    parser.add_argument("--record", type=Path, help="where to write it down, beside the page")
    asked = parser.parse_args()
    os.environ["PENULTIMATE_BACKBONE"] = asked.backbone
    images = Images(None, int(time.time()))
    images.jpegs(1)
    with TemporaryDirectory(prefix="penultimate-overload-") as folder:
        home = Path(folder) / "home"
        if asked.engines:
            shutil.copytree(asked.engines, home / "cache" / "engines")
        with servers.product(home) as server:
            seen = measure(server, images, asked.seconds, stay=not asked.leave)
    said = {
        "backbone": asked.backbone,
        "who is refused": "leaves" if asked.leave else "stays",
        **seen,
    }
    print(json.dumps(said, indent=1))
    if asked.record is not None:
        sys.path.insert(0, str(ROOT / "tests" / "torture"))
        write_record = importlib.import_module("record").write_record
        name = "overload, who is refused leaves" if asked.leave else "overload"
        write_record(asked.record, name, {"date": time.strftime("%Y-%m-%d"), **said})
    return 0


if __name__ == "__main__":
    sys.exit(main())
