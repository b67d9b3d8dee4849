"""Who is let in, before anything of a request is read; and the role that each route asks for.

Whatever is no probe is shut, so that a new route cannot be forgotten. Knows no route.
"""

import asyncio
import ipaddress
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Annotated
from urllib.parse import urlsplit

import structlog
from fastapi import BackgroundTasks, Request, Security
from fastapi.security import HTTPBearer, SecurityScopes
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, State
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import Door, Principal, Role, anonymous
from service.errors import CatalogUnavailable, Forbidden, ServiceError, Unauthenticated
from service.http.answers import refuse
from service.names import DEFAULT_WORKSPACE, PROBES
from service.problems import full_problem
from service.product import Product

log = structlog.get_logger("guard")

READING = ("GET", "HEAD")

SERVER_FAILED = 500
"""Statuses from here on are the server's own fault."""


class _Key(HTTPBearer):
    """Says in the OpenAPI document that a key is needed; the guard has read it already."""

    async def __call__(self, request: HTTPConnection) -> None:
        """Nothing is left to do."""


KEY = _Key(
    scheme_name="key",
    description="`penultimate keys create` makes one. Not needed as long as there never was a key.",
)


async def _principal(
    request: Request,
    scopes: SecurityScopes,
    after: BackgroundTasks,
    _: Annotated[None, Security(KEY)],
) -> Principal:
    """Who asks, if their role is high enough for the route."""
    role: Role = scopes.scopes[-1]  # type: ignore[assignment]  # a Role is all that is said below
    principal, note = admit(request, role)
    if note is not None:
        after.tasks.append(note)
    return principal


def admit(request: Request, role: Role) -> tuple[Principal, BackgroundTask | None]:
    """Who asks, and what is to be done once they are answered.

    Raises:
        Forbidden: their role is too low.
    """
    request.state.role = role
    principal: Principal = request.state.principal
    principal.require(role)
    if not _is_noted_question(request, role):
        return principal, None
    # Only where it is answered: a refusal has its own way.
    product: Product = request.app.state.product
    return principal, BackgroundTask(_note, product, principal, _action(request), "", "done")


Reader = Annotated[Principal, Security(_principal, scopes=["predict"])]
"""Somebody who may ask, search and read."""

Teacher = Annotated[Principal, Security(_principal, scopes=["train"])]
"""Somebody who may change datasets and heads too."""

Admin = Annotated[Principal, Security(_principal, scopes=["admin"])]
"""Somebody who may make keys, erase images and change protected heads too."""


class Guard:
    """A middleware: nobody reaches a route, or has a body read, without being somebody.

    Args:
        app: what it guards.
        state: of the application: has the product, and in one process with the command line the
            operator, who is let in as such.
        origins: web pages from elsewhere that may ask.
        admit: raises, given a path, where there is no place for the request.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        state: State,
        origins: tuple[str, ...],
        admit: Callable[[str], None],
    ) -> None:
        self._app = app
        self._state = state
        self._origins = origins
        self._admit = admit
        self._reading = asyncio.Lock()
        self._early: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or refuses it."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            try:
                principal = await self._admitted(scope)
            except ServiceError as error:
                await refuse(error)(scope, receive, send)
                return
            scope.setdefault("state", {})["principal"] = principal
            # After the key: how busy the server is, is nobody's business who has none.
            self._admit(scope["path"])
        await self._app(scope, receive, send)

    async def _admitted(self, scope: Scope) -> Principal:
        operator: Principal | None = getattr(self._state, "operator", None)
        if operator is not None:
            return operator
        door: Door = self._state.product.door
        if not door.is_fresh():
            await self._read(door)
        elif door.is_due() and (self._early is None or self._early.done()):
            self._early = asyncio.create_task(self._read_early(door))
        return caller(door, scope, Headers(scope=scope), self._origins)

    async def _read(self, door: Door) -> None:
        """Reads the keys again: in one thread, however many requests wait for that."""
        async with self._reading:
            if not door.is_fresh() or door.is_due():
                await run_in_threadpool(door.refresh)

    async def _read_early(self, door: Door) -> None:
        # Nobody waits for this one; who comes when they are no longer true is told what is wrong.
        with suppress(CatalogUnavailable):
            await self._read(door)


def caller(door: Door, scope: Scope, headers: Headers, origins: tuple[str, ...] = ()) -> Principal:
    """Who sends a request, by its key; by where it comes from as long as there never was one.

    Args:
        door: the keys, as new as the caller of this wants them.
        scope: the request.
        headers: its headers.
        origins: web pages from elsewhere that may ask.

    Raises:
        Unauthenticated: nobody who is let in.
    """
    if door.closed:
        return door.principal(_secret(headers))
    _check_at_home(scope, headers, origins)
    return anonymous(DEFAULT_WORKSPACE)


def noting(request: Request, error: Exception) -> BackgroundTask | None:
    """Writes down that somebody was refused a change, or what their role does not allow.

    It is done once the refusal is sent: how long it took tells nothing.
    """
    principal: Principal | None = getattr(request.state, "principal", None)
    role: Role = getattr(request.state, "role", "predict")
    is_change = role != "predict" and request.method not in READING
    said = full_problem(error)
    # A server that is too busy, or fails, has refused nobody; and must not be kept busier.
    is_refusal = said["status"] < SERVER_FAILED
    is_noted = is_change or isinstance(error, Forbidden) or _is_noted_question(request, role)
    if principal is None or not (is_refusal and is_noted):
        return None
    which = "/".join(str(value) for value in request.path_params.values())
    product: Product = request.app.state.product
    return BackgroundTask(_note, product, principal, _action(request), which, str(said["code"]))


def _is_noted_question(request: Request, role: Role) -> bool:
    """Whether this is a question to heads or records, and the settings want it written down."""
    product: Product = request.app.state.product
    is_question = role == "predict" and request.method not in READING
    return is_question and product.settings.audit_questions


def _action(request: Request) -> str:
    return f"{request.method} {request.scope['route'].path}"


def _note(product: Product, who: Principal, action: str, which: str, result: str) -> None:
    try:
        product.catalog.audit.add(who.workspace, who.name, action, which, result)
    except ServiceError as error:  # the catalog is away, which may be what was refused
        log.warning("not written down", action=action, result=result, reason=str(error))


def _secret(headers: Headers) -> str:
    said = headers.getlist("authorization")
    scheme, _, secret = (said[0] if len(said) == 1 else "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthenticated("This needs a key.", hint="Send it as `Authorization: Bearer KEY`.")
    return secret.strip()


def _check_at_home(scope: Scope, headers: Headers, origins: tuple[str, ...]) -> None:
    """Without keys this machine alone is answered, and no web page that it happens to show.

    A page from elsewhere can send forms here, and, by a name that it lets point here, read what
    comes back: such a request carries that page's `Origin`, or that name as its `Host`.
    """
    client = scope.get("client")
    host = headers.get("host", "")
    origin = headers.get("origin")
    is_ours = origin is None or origin in origins or _netloc_of(origin) == host
    if client and _is_loopback(client[0]) and _is_loopback(_name_of(host)) and is_ours:
        return
    raise Unauthenticated(
        "There are no keys yet: until there is one, this machine alone is answered.",
        hint="On the server, `penultimate keys create --role admin` makes the first.",
    )


def _netloc_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


@lru_cache(maxsize=256)
def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
