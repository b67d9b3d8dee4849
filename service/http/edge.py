"""What every HTTP request passes first and last: limits, an id, headers, the clock, the last catch.

Nothing may escape from here: an exception that leaves the outermost middleware hangs the request
until the server's own timeout.
"""

import re
from random import Random
from time import perf_counter

import orjson
import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.errors import Overloaded
from service.errors import CompressedRequest, RequestTooLarge
from service.metrics import PrometheusMetrics
from service.names import PROBES
from service.problems import problem, retry_after_s

log = structlog.get_logger("http")

PROBLEM_JSON = "application/problem+json"

POLICY = "default-src 'none'; frame-ancestors 'none'"
"""What a browser may do with an answer that is no page: nothing."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The same for the documentation, which starts its viewer by a line of script in the page."""

HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")


Pairs = list[tuple[bytes, bytes]]
"""Headers as they are sent: names in lower case, and values."""


def _headers(policy: str) -> Pairs:
    """What every answer carries, as pairs of bytes: what is sent, and made only once."""
    said = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": policy,
    }
    return [(name.encode(), value.encode()) for name, value in said.items()]


OF_ANSWERS, OF_PAGES = _headers(POLICY), _headers(PAGE_POLICY)

FORM, LABELS = "multipart/form-data", "/labels"

TEXT_BYTES = 2**21
"""Most bytes of a body that is no form: ten thousand heads, or a vector. Whoever may ask at all may
send one, and while it is read nobody else is answered; in memory it is thirty times as much."""

LABELS_BYTES = 2**24
"""The same where there is an entry for each of many images."""

PLAIN = ("", "identity")
"""Codings of a body that is sent as it is."""

LENGTH_DIGITS = 19
"""Of a length, as many as the parser of HTTP takes; Python refuses to read a few thousand."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_IDS = Random()  # noqa: S311  ids are no secrets, and asking the system lets go of the interpreter
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


def id_of(headers: Headers) -> str:
    """What a request is called: what its client calls it, or a name of ours."""
    offered = headers.get("x-request-id", "")
    return offered if REQUEST_ID.fullmatch(offered) else f"{_IDS.getrandbits(128):032x}"


def announced_bytes(headers: Headers) -> int:
    """How long a request says that its body is; 0 where it does not."""
    said = headers.get("content-length", "").lstrip("0")[:LENGTH_DIGITS]
    return int(said) if said.isdecimal() else 0


def most_bytes(path: str, headers: Headers, at_most: int) -> int:
    """How long the body of a request may be: files are long, what is read as JSON is not."""
    if headers.get("content-type", "").lower().startswith(FORM):
        return at_most
    return min(at_most, LABELS_BYTES if path.endswith(LABELS) else TEXT_BYTES)


def refusal(error: Exception, request_id: str) -> tuple[int, Pairs, bytes]:
    """(status, headers, body) of a request that got nowhere; still to be `marked`."""
    body = {**problem(error), "request_id": request_id}
    raw = orjson.dumps(body)
    headers = [
        (b"content-type", PROBLEM_JSON.encode()),
        (b"content-length", str(len(raw)).encode()),
    ]
    wait_s = retry_after_s(error)
    if wait_s is not None:
        headers.append((b"retry-after", str(wait_s).encode()))
    return body["status"], headers, raw


def marked(headers: Pairs, scheme: str, request_id: str) -> Pairs:
    """The headers of an answer, and those that every answer has."""
    said = {name.lower(): value for name, value in headers}
    is_page = said.get(b"content-type", b"").startswith(b"text/html")
    added = [pair for pair in (OF_PAGES if is_page else OF_ANSWERS) if pair[0] not in said]
    if scheme == "https" and HTTPS_ONLY[0] not in said:
        added.append(HTTPS_ONLY)
    return [*headers, *added, (b"x-request-id", request_id.encode())]


class Edge:
    """The outermost middleware.

    Args:
        app: what it guards.
        metrics: where requests are counted.
        max_request_bytes: most bytes of a body, announced or not.
        log_requests: whether each request is written to the log.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        metrics: PrometheusMetrics,
        max_request_bytes: int,
        log_requests: bool = False,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._max_bytes = max_request_bytes
        self._log_requests = log_requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._max_bytes)
        await exchange.run(self._app, self._metrics, log_it=self._log_requests)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._read = 0
        self._status = 0
        self._headers = Headers(scope=scope)
        self._max_bytes = most_bytes(scope["path"], self._headers, max_bytes)
        self._id = id_of(self._headers)

    async def run(self, app: ASGIApp, metrics: PrometheusMetrics, *, log_it: bool) -> None:
        """Lets the request through, and answers in the application's place where it fails."""
        start, refused_at = perf_counter(), "unmatched"
        # Never unbound: a request is a task, with a context of its own.
        structlog.contextvars.bind_contextvars(request=self._id)
        try:
            self._check_coding()
            self._check_announced()
            await app(self._scope, self._receive_counted, self._send_marked)
        except Overloaded as error:
            # Only the guard raises it here, of paths that it knows; inside, it is an answer.
            refused_at = self._scope["path"]
            await self._refuse(error)
        except (RequestTooLarge, CompressedRequest) as error:
            await self._refuse(error)
        except Exception as error:
            log.exception("request failed", method=self._scope["method"])
            await self._refuse(error)
        route = getattr(self._scope.get("route"), "path", refused_at)
        if route not in PROBES:
            # A client may make methods up; each would be a series of its own.
            method = self._scope["method"] if self._scope["method"] in METHODS else "other"
            seconds = perf_counter() - start
            metrics.request(method, route, self._status, seconds)
            if log_it:
                said = {"method": method, "route": route, "status": self._status}
                log.info("answered", **said, ms=round(1000 * seconds, 2))

    def _check_coding(self) -> None:
        coding = self._headers.get("content-encoding", "")
        if coding.strip().lower() not in PLAIN:
            raise CompressedRequest(coding)

    def _check_announced(self) -> None:
        if announced_bytes(self._headers) > self._max_bytes:
            raise self._too_large()

    async def _receive_counted(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > self._max_bytes:
            raise self._too_large()
        return message

    async def _send_marked(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            scheme = self._scope.get("scheme", "http")
            message["headers"] = marked(message["headers"], scheme, self._id)
        await self._send(message)

    async def _refuse(self, error: Exception) -> None:
        if self._status:
            return  # the answer has begun; all that is left is to end the connection
        status, headers, raw = refusal(error, self._id)
        start: Message = {"type": "http.response.start", "status": status, "headers": headers}
        await self._send_marked(start)
        await self._send_marked({"type": "http.response.body", "body": raw})

    def _too_large(self) -> RequestTooLarge:
        return RequestTooLarge(
            f"The request's body is larger than {self._max_bytes} bytes.",
            hint="Send less at once; of forms, PENULTIMATE_MAX_REQUEST_BYTES is the limit.",
        )
