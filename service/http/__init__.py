"""The HTTP contract: one short function a route. Holds no logic; knows no SQL, vector or tree."""

from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from fastapi_offline import FastAPIOffline
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from service.gauges import Gauges
from service.http import datasets, heads, images, keys
from service.http.answers import add_refusals, answer
from service.http.deadline import Deadline
from service.http.edge import Edge
from service.http.gate import Gates
from service.http.guard import Guard, noting
from service.http.openapi import PROBLEMS, probe
from service.http.routes import Route
from service.http.short import ShortWay, shortened
from service.http.traced import Traced
from service.metrics import PrometheusMetrics
from service.product import Product
from service.schemas import Alive, Ready, Starting
from service.settings import Settings
from service.tracing import Tracing
from service.version import VERSION

DESCRIPTION = (
    "Many small heads on one frozen backbone: teach a computer a new visual question from a few "
    "hundred labelled images, and ask all of them about an image at the cost of one look."
)

SHARED: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
    "expose_headers": ["Location", "Retry-After", "X-Request-ID"],
    "allow_credentials": False,
}
"""What web pages from elsewhere may send and see, where they may ask at all."""


def create_app(
    settings: Settings,
    metrics: PrometheusMetrics,
    tracing: Tracing | None = None,
    *,
    deadline_s: float | None = None,
) -> FastAPI:
    """The application; `app.state.product` must be set before its first request.

    Args:
        settings: its limits.
        metrics: where requests are counted.
        tracing: where they are told, if anywhere.
        deadline_s: how long a request may take until its answer begins; None is for ever.

    Where `app.state.operator` is set too, every request is theirs: there is no network between.
    """
    app = FastAPIOffline(
        title="Penultimate", version=VERSION, description=DESCRIPTION, responses=PROBLEMS
    )
    app.router.route_class = Route
    app.state.product = None
    app.state.gates = Gates.of(settings, metrics)
    app.state.operator = None
    app.include_router(images.router)
    app.include_router(datasets.router)
    app.include_router(heads.router)
    app.include_router(heads.jobs)
    app.include_router(keys.router)
    _add_operations(app, metrics)
    add_refusals(app, noting)
    origins = settings.web_origins
    app.add_middleware(ShortWay, routes=shortened(images.router.routes))
    if deadline_s is not None:
        app.add_middleware(Deadline, seconds=deadline_s)
    app.add_middleware(Guard, state=app.state, origins=origins, admit=app.state.gates.check)
    app.add_middleware(
        Edge,
        metrics=metrics,
        max_request_bytes=settings.max_request_bytes,
        log_requests=settings.log_requests,
    )
    if origins:
        # Around the edge: a page that may ask must be able to read its refusals too.
        app.add_middleware(CORSMiddleware, allow_origins=origins, **SHARED)
    if tracing is not None:
        app.add_middleware(Traced, tracing=tracing)
    return app


def entry(app: FastAPI) -> ASGIApp:
    """The application less FastAPI's own first step.

    That looks in the environment, at each request, whether telemetry is wanted; ours is `Traced`.
    """

    async def enter(scope: Scope, receive: Receive, send: Send) -> None:
        await Starlette.__call__(app, scope, receive, send)

    return enter


def _add_operations(app: FastAPI, metrics: PrometheusMetrics) -> None:
    @app.get("/", include_in_schema=False)
    def index() -> Response:
        """Leads to the documentation."""
        return RedirectResponse("/docs")

    plain = partial(app.get, tags=["operations"], response_class=PlainTextResponse)
    not_ready = {"content": probe(Starting) | PROBLEMS["default"]["content"]}

    @plain("/livez", responses={200: {"content": probe(Alive)}})
    def livez() -> Response:
        """Answers as long as the process does."""
        return answer({"status": "alive"})

    @plain("/readyz", responses={200: {"content": probe(Ready)}, 503: not_ready})
    def readyz(request: Request) -> Response:
        """Answers 200 when requests can be answered, 503 before and where the catalog is away."""
        product: Product | None = request.app.state.product
        if product is None:
            return answer({"status": "starting"}, 503)
        product.catalog.heads.generation_anew()
        return answer({"status": "ready", "space": product.space.id})

    @plain("/metrics")
    def exposition(request: Request) -> Response:
        """Metrics for Prometheus."""
        product: Product | None = request.app.state.product
        text, media_type = metrics.exposition(*([Gauges(product)] if product else []))
        return Response(text, media_type=media_type)
