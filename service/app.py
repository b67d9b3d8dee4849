"""The BentoML service: mounts the HTTP contract, owns the life of the product and of the trainer.

Heavy libraries are imported by the worker that needs them, not by the parent that counts workers.
"""

import gc
import os
import sys
from threading import Thread
from typing import TYPE_CHECKING

import bentoml
import structlog
from _bentoml_sdk import Service

from service.control import take_no_commands
from service.leash import die_with_parent, name_as_parent
from service.memory import give_back
from service.names import PRIVATE, PROBES
from service.settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from service.http.porter import Answer, Porter

log = structlog.get_logger("app")

if name_as_parent():
    take_no_commands()
settings = Settings()

SWITCH_S = 0.002
"""How long a thread may keep Python from the others: the one that answers probes and refuses is one
among dozens, and would wait Python's usual 5 ms for each that is before it. With less, each would
do so little at a time that they spend more on taking turns."""

COLLECT_EVERY = 10_000
"""Objects made until circles among them are looked for; Python's own 700 are a few requests."""

PROTOCOL = "service.http.porter:PorterProtocol"
"""What speaks HTTP, by name: the parent that counts workers speaks none."""

PROBE_S = 10.0
"""How long BentoML lets a probe take."""


class Contract:
    """The HTTP contract, made by the worker: the parent that only counts workers stays small."""

    app: "ASGIApp"
    porter: "Porter | None" = None

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Hands a request on."""
        await self.app(scope, receive, send)

    def turn_away(self, scope: "Scope") -> "Answer | None":
        """The answer to a request for which there is no place; None where it must be let in."""
        return self.porter.turn_away(scope) if self.porter else None


contract = Contract()


class Ahead:
    """The contract before BentoML's own application, which has the life of the service and probes.

    BentoML has routes of its own, which ask for no key and carry none of our headers; and what it
    passes every request through takes as long as refusing one does.

    Args:
        bento: BentoML's application; it answers probes, which are about its processes too.
        ours: the application that answers all the rest.
    """

    def __init__(self, bento: "ASGIApp", *, ours: Contract) -> None:
        self._bento = bento
        self._ours = ours
        self.turn_away = ours.turn_away

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Hands one request to whoever should answer it."""
        is_ours = scope["type"] == "http" and scope["path"] not in PROBES
        await (self._ours if is_ours else self._bento)(scope, receive, send)


class ContractService(Service):  # type: ignore[misc]  # BentoML publishes no types
    """BentoML's service, but for the application that its workers run."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> "ASGIApp":  # noqa: FBT001, FBT002  BentoML's own
        """What a worker answers with."""
        from uvicorn.config import HTTP_PROTOCOLS

        # BentoML hands the application alone to uvicorn, which looks its own protocol up by name.
        HTTP_PROTOCOLS["auto"] = PROTOCOL
        return Ahead(super().to_asgi(is_main), ours=contract)


@bentoml.service(
    name="penultimate",
    workers=int(os.environ.get("PENULTIMATE_WORKERS", "1")),
    traffic={"timeout": PROBE_S},
    metrics={"enabled": False},  # BentoML's label the raw path; ours are at the same address
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": ".*"},  # a span for each request and message, sent to nobody
)
@bentoml.asgi_app(contract)
class Penultimate:
    """Many heads behind one endpoint."""

    def __init__(self) -> None:
        die_with_parent()
        os.umask(PRIVATE)

        from classifiers import kernels
        from service.http import create_app, entry
        from service.http.porter import Porter
        from service.logs import configure_logs
        from service.metrics import PrometheusMetrics
        from service.supervisor import Supervisor
        from service.tracing import TracedMetrics, from_environment
        from service.wiring import build

        configure_logs(settings)
        sys.setswitchinterval(SWITCH_S)
        self.tracing = from_environment()
        metrics = TracedMetrics(self.tracing) if self.tracing else PrometheusMetrics()
        api = create_app(settings, metrics, self.tracing, deadline_s=settings.request_timeout_s)
        contract.app = entry(api)
        # Lines, spans and what pages from elsewhere are told are made on the usual way alone.
        if not (settings.log_requests or self.tracing or settings.web_origins):
            contract.porter = Porter(api.state, metrics, settings.max_request_bytes)
        self.product = api.state.product = build(settings, metrics)
        if not self.product.catalog.keys.any():
            log.warning("no key yet: requests of this machine alone are answered")
        # Before any request is let in: the first must not wait for a compiler.
        self.product.engine.warm()
        kernels.load()
        self.supervisor = Supervisor(settings, self.product.catalog)
        self.supervisor.start()
        # What lives as long as the process is not looked through again by every collection.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_EVERY)
        # Beside the service, not before it: who asks meanwhile waits for a few of them at most.
        Thread(target=self._load_rest, name="load heads", daemon=True).start()

    def _load_rest(self) -> None:
        from features import resizing

        catalog = self.product.catalog
        try:
            resizing.load()
            for workspace in filter(catalog.heads.artefacts, catalog.workspaces()):
                self.product.served(workspace).load_champions()
        except Exception:
            log.exception("what is left is loaded when it is asked for")
        give_back()

    def __is_ready__(self) -> bool:
        """Whether requests can be answered; must not raise, for that hangs the probe."""
        try:
            self.product.catalog.heads.generation_anew()
        except Exception:  # noqa: BLE001 - whatever it is, the service is not ready
            return False
        return True

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML publishes no types
    def close(self) -> None:
        """Stops the trainer and makes everything durable."""
        self.supervisor.stop()
        self.product.close()
        if self.tracing:
            self.tracing.close()


# The decorator makes BentoML's class, and takes no other.
Penultimate.__class__ = ContractService  # type: ignore[method-assign]
