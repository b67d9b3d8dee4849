"""Rounds of requests, as throughput or as latency. Knows no road and no answer but its status."""

import socket
from collections.abc import Callable
from typing import Any

import orjson

from benchmarks.speed.bench import MS, Bench
from benchmarks.speed.child import Child
from benchmarks.speed.client import HOST
from benchmarks.speed.measuring import median
from benchmarks.speed.servers import Server

OK = "200"


class Load:
    """Requests for one server; each round goes on where the last one ended.

    Args:
        bench: starts the clients.
        server: who is asked.
        requests: whole requests, sent in turn.
    """

    def __init__(self, bench: Bench, server: Server, requests: list[bytes]) -> None:
        self._clients: Child = bench.clients(requests)
        self._port = server.port
        self._next = 0

    def throughput(self, clients: int, count: int) -> Callable[[], float]:
        """A program: answers a second, that many clients asking without a pause."""
        return lambda: count / float(self._round(clients, count)["total"])

    def latency(self, count: int, clients: int = 1) -> Callable[[], float]:
        """A program: the median of the milliseconds that an answer takes."""
        return lambda: MS * median(self._round(clients, count)["seconds"])

    def _round(self, clients: int, count: int) -> Any:  # noqa: ANN401  any JSON
        told = {"port": self._port, "clients": clients, "first": self._next, "count": count}
        answer = self._clients(**told)
        self._next += count
        if set(answer["statuses"]) != {OK}:
            raise SystemExit(f"Not every answer was a 200: {answer['statuses']}.")
        return answer


def body_of(server: Server, request: bytes) -> Any:  # noqa: ANN401  any JSON
    """The body of one answer."""
    with socket.create_connection((HOST, server.port)) as connection:
        connection.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        with connection.makefile("rb") as answer:
            return orjson.loads(answer.read().partition(b"\r\n\r\n")[2])
