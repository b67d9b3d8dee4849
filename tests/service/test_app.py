"""What a worker of BentoML's answers with: the contract, before anything that BentoML does."""

import asyncio
import logging
import os
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from service.http.porter import PorterProtocol
from service.leash import SERVER_PID
from service.logs import configure_logs
from service.settings import Settings


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What BentoML runs, with a contract that says which path it was asked for."""
    # The module names this process as a server's parent, which servers of other tests would heed.
    monkeypatch.setenv(SERVER_PID, str(os.getpid()))
    from service import app

    ours = Starlette()
    ours.add_route("/{path:path}", said, methods=["GET", "POST"])
    monkeypatch.setattr(app.contract, "app", ours, raising=False)
    return app.Penultimate.to_asgi()


async def said(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"ours: {request.url.path}")


def ask(application: Any, method: str, path: str) -> bytes:
    body = b""

    async def send(message: Any) -> None:
        nonlocal body
        body += message.get("body", b"")

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(application(scope, receive, send))
    return body


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/predict"), ("GET", "/"), ("GET", "/schema.json"), ("GET", "/healthz")],
)
def test_the_contract_answers_even_where_bentoml_has_a_route(
    application: Any, method: str, path: str
) -> None:
    assert ask(application, method, path) == f"ours: {path}".encode()


def test_probes_are_bentomls_which_knows_its_processes(application: Any) -> None:
    assert ask(application, "GET", "/livez") == b"\n"


def test_what_bentoml_gives_to_uvicorn_is_spoken_to_by_our_protocol(application: Any) -> None:
    config = uvicorn.Config(application)
    config.load()
    assert config.http_protocol_class is PorterProtocol
    assert application.turn_away({"path": "/v1/predict", "method": "POST"}) is None


def test_nobody_makes_a_line_for_each_answer_unasked() -> None:
    configure_logs(Settings())
    assert not logging.getLogger("uvicorn.access").hasHandlers()
