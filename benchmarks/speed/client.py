"""Clients that saturate a server and cost it little: raw requests on kept-alive connections.

An HTTP library spends about a millisecond of a core on each request; on two cores that would be
measured instead of the server. Here one thread serves all connections with `selectors`, requests
are whole bytes made beforehand, and of an answer only the status and the length are read (0.05 ms).
It runs as a child process; only 127.0.0.1 is spoken to.
"""

import mmap
import selectors
import socket
import time
from collections.abc import Iterator
from pathlib import Path

HOST = "127.0.0.1"
LONGEST_S = 600.0


class Connection:
    """One client: sends a request, waits for all of its answer, sends the next."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self._waiting = memoryview(b"")
        self._answer = bytearray()
        self._wanted = 0
        self.begun = 0.0

    def ask(self, request: memoryview) -> None:
        """Begins a request."""
        self._waiting, self._wanted = request, 0
        self._answer.clear()
        self.begun = time.perf_counter()
        self.send()

    def send(self) -> bool:
        """Sends what fits; whether something is left."""
        try:
            while self._waiting:
                self._waiting = self._waiting[self.socket.send(self._waiting) :]
        except BlockingIOError:
            pass
        return bool(self._waiting)

    def left(self) -> bool:
        """Whether some of the request is not sent yet."""
        return bool(self._waiting)

    def receive(self) -> int | None:
        """Reads what is there; the status once the answer is whole."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise SystemExit("The server has closed a connection.")
        self._answer += data
        if not self._wanted:
            end = self._answer.find(b"\r\n\r\n")
            if end < 0:
                return None
            self._wanted = end + 4 + _length(bytes(self._answer[:end]).lower())
        if len(self._answer) < self._wanted:
            return None
        return int(self._answer[9:12])


def _length(head: bytes) -> int:
    name = b"content-length:"
    start = head.find(name)
    if start < 0:
        raise SystemExit("An answer does not say how long it is.")
    return int(head[start + len(name) :].split(b"\r", 1)[0])


class Clients:
    """Sends requests of a file.

    Args:
        requests: a file of whole requests, one after the other.
        lengths: of each of them, in bytes.
    """

    def __init__(self, requests: str, lengths: list[int]) -> None:
        with Path(requests).open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self._requests, start = [], 0
        for length in lengths:
            self._requests.append(whole[start : start + length])
            start += length

    def __call__(self, port: int, clients: int, first: int, count: int) -> dict[str, object]:
        """Sends `count` requests from the `first` on, each client one after the other.

        Returns:
            Seconds for all, seconds of each, and how often each status was answered.
        """
        some = iter([self._requests[n % len(self._requests)] for n in range(first, first + count)])
        watched = selectors.DefaultSelector()
        seconds: list[float] = []
        statuses: dict[str, int] = {}
        open_ones = [Connection(port) for _ in range(min(clients, count))]
        begun = time.perf_counter()
        for connection in open_ones:
            watched.register(connection.socket, selectors.EVENT_READ, connection)
            _next(watched, connection, some)
        while len(seconds) < count:
            if time.perf_counter() - begun > LONGEST_S:
                raise SystemExit(f"{count} requests took more than {LONGEST_S:.0f} s.")
            for key, events in watched.select(1.0):
                connection = key.data
                if events & selectors.EVENT_WRITE and not connection.send():
                    watched.modify(connection.socket, selectors.EVENT_READ, connection)
                if not events & selectors.EVENT_READ:
                    continue
                status = connection.receive()
                if status is not None:
                    seconds.append(time.perf_counter() - connection.begun)
                    statuses[str(status)] = statuses.get(str(status), 0) + 1
                    _next(watched, connection, some)
        total = time.perf_counter() - begun
        for connection in open_ones:
            connection.socket.close()
        return {"total": total, "seconds": seconds, "statuses": statuses}


def _next(
    watched: selectors.BaseSelector, connection: Connection, requests: Iterator[memoryview]
) -> None:
    request = next(requests, None)
    if request is None:
        return
    connection.ask(request)
    left = connection.send()
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if left else 0)
    watched.modify(connection.socket, events, connection)
