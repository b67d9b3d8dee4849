"""How long a request may wait for its answer to begin. Knows no routes and no product.

BentoML's own middleware for this leaves a timer behind for every request, until its time is over:
with a thousand answers a second, five minutes of them are hundreds of megabytes.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import TookTooLong
from service.http.answers import refuse


class Deadline:
    """A middleware that answers 504 where no answer has begun in time.

    Args:
        app: what it guards.
        seconds: how long it may take.
    """

    def __init__(self, app: ASGIApp, *, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
            await refuse(TookTooLong(self._seconds))(scope, receive, send)
