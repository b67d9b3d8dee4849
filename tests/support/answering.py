"""Clients without a network: what they ask goes to a function, which answers."""

from collections.abc import Callable

import httpx

from service.client import Client

Handler = Callable[[httpx.Request], httpx.Response]

PROBLEM = {
    "type": "about:blank",
    "title": "Not found",
    "status": 404,
    "detail": "There is no head 'x'.",
    "code": "head_not_found",
    "hint": "GET /v1/heads lists those there are.",
    "problems": [{"code": "a", "detail": "b"}],
}


def client_of(handler: Handler, key: str | None = None) -> Client:
    return Client("http://test", key, transport=httpx.MockTransport(handler))


def answering(*responses: httpx.Response) -> tuple[Handler, list[httpx.Request]]:
    """A server that gives these responses in turn, and what it was asked."""
    left, asked = list(responses), []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0)

    return handler, asked


def busy(status: int = 503, after: str = "0") -> httpx.Response:
    body = {**PROBLEM, "status": status, "code": "overloaded"}
    return httpx.Response(status, json=body, headers={"Retry-After": after})
