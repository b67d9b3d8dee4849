"""How long a request may wait for its answer to begin. Knows no routes and no product.

BentoML's own middleware for this leaves a timer behind for every request, until its time is over:
with a thousand answers or refusals a second, five minutes of them are hundreds of megabytes. It
offers no option to leave it out, so this one is put in its place.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Message, Receive, Send], Awaitable[None]]


class Deadline:
    """A middleware that answers 504 where no answer has begun in time.

    Args:
        app: what it guards.
        timeout: seconds; the name is BentoML's.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app = app
        self._seconds = timeout

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Lets one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = asyncio.timeout(self._seconds)

        async def marked(message: Message) -> None:
            if not limit.expired():
                limit.reschedule(None)
            await send(message)

        try:
            # Not a task of its own: what is cancelled here waits for no thread, and answers soon.
            async with limit:
                await self._app(scope, receive, marked)
        except TimeoutError:
            if not limit.expired():
                raise
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        body = {
            "type": "about:blank",
            "title": "Gateway timeout",
            "status": 504,
            "detail": f"There was no answer within {self._seconds:g} seconds.",
            "code": "gateway_timeout",
            "hint": "Send less at once, or raise PENULTIMATE_REQUEST_TIMEOUT_S.",
        }
        headers = [(b"content-type", b"application/problem+json")]
        await send({"type": "http.response.start", "status": 504, "headers": headers})
        await send({"type": "http.response.body", "body": orjson.dumps(body)})
