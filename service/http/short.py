"""A short way to the routes that are asked most, past the framework. Holds no rule of its own.

The framework looks for a route among many, solves its dependencies anew for each request, and wraps
it all in exit stacks: half of the time of an answer about a known image. The routes here take what
two dependencies give, so that these are asked directly; what they do is written once, elsewhere.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import Principal
from service.http.answers import REFUSED, is_operator, refuse
from service.http.gate import ANSWERS, Gates, Turn
from service.http.guard import admit, noting

Endpoint = Callable[[Request, Principal, Turn], Awaitable[Response]]
"""What a route with the dependencies `Reader` and `Answering` is."""


class ShortWay:
    """The innermost middleware: what it does not know, the framework answers.

    Args:
        app: the framework.
        routes: the framework's own, by path: what answers, and what logs and metrics call it.
    """

    def __init__(self, app: ASGIApp, *, routes: Mapping[str, APIRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, or hands it on."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        gates: Gates = request.app.state.gates
        try:
            who, after = admit(request, "predict")
            with gates.answers.place():
                response = await route.endpoint(request, who, Turn(request, gates.answers))
                response.background = after
                await response(scope, receive, send)
        except REFUSED as error:
            said = refuse(error, noting(request, error), to_operator=is_operator(request))
            await said(scope, receive, send)


def shortened(routes: Iterable[BaseRoute]) -> dict[str, APIRoute]:
    """Those of some routes that have a short way."""
    return {r.path: r for r in routes if isinstance(r, APIRoute) and r.path in ANSWERS}
