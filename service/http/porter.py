"""Turns requests away from their head alone where there is no place: what refusing costs least.

With a thousand refusals a second their way through layers and tasks takes a tenth of what answers
could be made of. Only what is sure to be refused for want of a place is turned away here, with what
the guard and the edge would say; all else goes their way. Knows no route but by its path.
"""

from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from starlette.datastructures import Headers, State
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from features.errors import Overloaded
from service.access import Door
from service.errors import Unauthenticated
from service.http.edge import announced_bytes, id_of, marked, most_bytes, refusal
from service.http.gate import ANSWERS, Gates
from service.http.guard import caller
from service.http.intake import LimitedProtocol
from service.http.joined import Joined
from service.metrics import PrometheusMetrics

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

Answer = tuple[int, bytes]
"""Status, and what follows the lines that the server begins every answer with."""

ELSEWHERE = frozenset({b"expect", b"x-forwarded-proto"})
"""Headers of requests that are not what they seem, or that wait for more than an answer."""

FROM = b"x-forwarded-for"
"""Says who asks through a proxy; where a key says who it is, that does not matter."""

ID = "~"
"""Stands for each character of a request's id, and is in no text of ours."""


class Porter:
    """Says what is answered to a request for which there is no place.

    Args:
        state: of the application: has the product and its gates.
        metrics: where requests are counted.
        max_request_bytes: most bytes of a body.
    """

    def __init__(self, state: State, metrics: PrometheusMetrics, max_request_bytes: int) -> None:
        self._state = state
        self._metrics = metrics
        self._max_bytes = max_request_bytes

    def turn_away(self, scope: Scope) -> Answer | None:
        """The answer to a request that is refused, and counted; None where it must be let in."""
        start = perf_counter()
        path = scope["path"]
        if path not in ANSWERS or scope["method"] != "POST":
            return None
        gates: Gates = self._state.gates
        wait_s = gates.answers.wait_s()
        if not wait_s:
            return None
        headers = Headers(scope=scope)
        if not self._is_sure(scope, headers):
            return None
        request_id = id_of(headers)
        status, raw = _answer(wait_s, scope["scheme"], len(request_id))
        self._metrics.request("POST", path, status, perf_counter() - start)
        return status, raw.replace(ID.encode() * len(request_id), request_id.encode())

    def _is_sure(self, scope: Scope, headers: Headers) -> bool:
        """Whether neither the edge nor the guard would say something else."""
        door: Door = self._state.product.door
        # No look at the stamp: a key taken back a moment ago hears that there is no place, no more.
        at_most = most_bytes(scope["path"], headers, self._max_bytes)
        if not door.is_recent() or announced_bytes(headers) > at_most:
            return False
        if any(n in ELSEWHERE or (n == FROM and not door.closed) for n, _ in headers.raw):
            return False
        try:
            caller(door, scope, headers)
        except Unauthenticated:
            return False
        return True


@lru_cache(maxsize=256)
def _answer(wait_s: int, scheme: str, id_length: int) -> Answer:
    """What is said, for an id of that length. Kept: what is not run is not fetched from memory."""
    request_id = ID * id_length
    status, headers, body = refusal(Overloaded(wait_s), request_id)
    lines = [b"%s: %s\r\n" % pair for pair in marked(headers, scheme, request_id)]
    return status, b"".join([*lines, b"\r\n", body])


class Turning(Protocol):
    """An application that can turn requests away."""

    def turn_away(self, scope: Scope) -> Answer | None:
        """The answer to a request that is refused; None where it must be let in."""


class PorterProtocol(LimitedProtocol):
    """Uvicorn's protocol, but for requests that its application turns away: they make no task.

    The head of any other answer leaves with its body.

    It overrides a method that uvicorn does not publish. Where that is not called any more, all
    requests go the usual way.
    """

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: "ASGI3Application") -> None:
        turning: Turning = self.config.app  # type: ignore[assignment]  # see `Ahead`
        # What waits in the pipeline is begun from within the end of what was before it.
        is_plain = cycle.keep_alive and not self.pipeline and not self.flow.write_paused
        said = turning.turn_away(cycle.scope) if is_plain else None  # type: ignore[arg-type]
        if said is None:
            # No body comes after the head of HEAD, but another answer may.
            if cycle.scope["method"] != "HEAD":
                cycle.transport = Joined(self.transport, self.loop)  # type: ignore[assignment]  # enough of one
            super()._start_asgi_task(cycle, app)
            return
        status, raw = said
        lines = [b"%s: %s\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, raw]))
        cycle.response_started = cycle.response_complete = True
        self.on_response_complete()

    def on_message_complete(self) -> None:
        """Whoever was answered before all of their body came has the usual time from here on."""
        super().on_message_complete()
        is_answered = self.cycle is not None and self.cycle.response_complete
        if is_answered and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            after_s, end = self.timeout_keep_alive, self.timeout_keep_alive_handler
            self.timeout_keep_alive_task = self.loop.call_later(after_s, end)
