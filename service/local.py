"""The product without a server: the very same HTTP application, called in this process.

So the command line has one road, over a client, whether or not a server runs; only what carries its
requests differs. Knows no verb.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from threading import Lock

import httpx
from anyio.from_thread import start_blocking_portal

from service.access import operator
from service.client import Client
from service.http import create_app
from service.metrics import PrometheusMetrics
from service.names import DEFAULT_WORKSPACE, check_workspace
from service.settings import Settings
from service.supervisor import Supervisor
from service.wiring import build

ACCEPTED = 202
"""What is answered where a job was queued."""

CHUNK_BYTES = 2**20
"""How much of a body is handed over at once."""


def local_client(settings: Settings, workspace: str = DEFAULT_WORKSPACE) -> Client:
    """A client of the home folder itself; closing it closes everything.

    Whoever has the files is admin of every workspace; one that is new is made.
    """
    return Client("http://local", transport=LocalTransport(settings, workspace))


class LocalTransport(httpx.BaseTransport):
    """Carries requests to an application in this process, on an event loop of its own.

    The first job that is asked for starts a trainer, unless a server on the same home has one.

    Args:
        settings: which home, and how.
        workspace: whose things requests are about.

    Raises:
        BackboneUnavailable: the backbone or its weights cannot be had.
        CatalogUnavailable: the catalog cannot be opened.
        StoreUnavailable: the home folder cannot be written.
    """

    def __init__(self, settings: Settings, workspace: str = DEFAULT_WORKSPACE) -> None:
        check_workspace(workspace)
        with ExitStack() as opened:
            self.product = build(settings)  # without metrics: nobody could ask for them
            opened.callback(self.product.close)
            self.product.catalog.make_workspace(workspace)
            app = create_app(settings, PrometheusMetrics())
            app.state.product = self.product
            app.state.operator = operator(workspace)
            self._application = httpx.ASGITransport(app, raise_app_exceptions=False)
            self._supervisor: Supervisor | None = None
            self._lock = Lock()
            opened.callback(self._stop_trainer)
            self._portal = opened.enter_context(start_blocking_portal())
            self._opened = opened.pop_all()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answers one request; many threads may ask at once."""
        response = self._portal.call(self._answer, request)
        if response.status_code == ACCEPTED:
            self._start_trainer()
        return response

    def close(self) -> None:
        """Stops the trainer and makes everything durable."""
        self._opened.close()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - as all of httpx's are
        request.stream = _Gathered(request.stream)
        response = await self._application.handle_async_request(request)
        body = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=body)

    def _start_trainer(self) -> None:
        with self._lock:
            if self._supervisor is None:
                self._supervisor = Supervisor(self.product.settings, self.product.catalog)
                self._supervisor.start()

    def _stop_trainer(self) -> None:
        with self._lock:
            if self._supervisor is not None:
                self._supervisor.stop()
                self._supervisor = None


class _Gathered(httpx.AsyncByteStream):
    """A body in large pieces: httpx makes three small ones of each part of a form."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        held, size_bytes = list[bytes](), 0
        async for piece in self._body:
            held.append(piece)
            size_bytes += len(piece)
            if size_bytes >= CHUNK_BYTES:
                yield b"".join(held)
                held, size_bytes = [], 0
        yield b"".join(held)
