"""A span around every request that is no probe. Holds no logic of a route; names nothing."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.edge import METHODS
from service.http.gate import ANSWERS
from service.names import PROBES
from service.tracing import Tracing


class Traced:
    """A middleware around all others: it passes everything on as it is.

    Args:
        app: what it goes around.
        tracing: makes the spans.
    """

    def __init__(self, app: ASGIApp, *, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        status, request_id = 0, ""

        async def seen(message: Message) -> None:
            nonlocal status, request_id
            if message["type"] == "http.response.start":
                status = message["status"]
                request_id = Headers(raw=message["headers"]).get("x-request-id", "")
            await send(message)

        with self._tracing.request(Headers(scope=scope)) as span:
            await self._app(scope, receive, seen)
            method = scope["method"] if scope["method"] in METHODS else "other"
            refused_at = scope["path"] if scope["path"] in ANSWERS else "unmatched"
            route = str(getattr(scope.get("route"), "path", refused_at))
            self._tracing.answered(span, method, route, status, request_id)
