"""What a route of the contract is: one that answers GET answers HEAD too. Knows no path."""

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send


class Route(APIRoute):
    """A route of the framework, which by itself knows nothing of HEAD (RFC 9110, 9.3.2).

    The server sends the same headers and leaves the body out.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this is the route of a request."""
        return super().matches(_read(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        await super().handle(_read(scope), receive, send)


def _read(scope: Scope) -> Scope:
    is_head = scope["type"] == "http" and scope["method"] == "HEAD"
    return {**scope, "method": "GET"} if is_head else scope
