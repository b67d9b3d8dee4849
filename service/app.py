"""The BentoML service: mounts the HTTP contract, owns the life of the product and of the trainer.

Heavy libraries are imported by the worker that needs them, not by the parent that counts workers.
"""

import os

import bentoml

from service.http import create_app
from service.logs import configure_logs
from service.metrics import PrometheusMetrics
from service.settings import Settings

settings = Settings()
metrics = PrometheusMetrics()
api = create_app(settings, metrics)


@bentoml.service(
    name="penultimate",
    workers=int(os.environ.get("PENULTIMATE_WORKERS", "1")),
    traffic={"timeout": settings.request_timeout_s},
    metrics={"enabled": False},  # BentoML's label the raw path; ours are at the same address
    logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(api)
class Penultimate:
    """Many heads behind one endpoint."""

    def __init__(self) -> None:
        from service.leash import die_with_parent
        from service.supervisor import Supervisor
        from service.wiring import build

        die_with_parent()
        configure_logs(settings)
        self.product = build(settings, metrics)
        api.state.product = self.product
        self.supervisor = Supervisor(settings, self.product.catalog)
        self.supervisor.start()

    def __is_ready__(self) -> bool:
        """Whether requests can be answered; must not raise, for that hangs the probe."""
        try:
            self.product.catalog.heads.generation()
        except Exception:  # noqa: BLE001 - whatever it is, the service is not ready
            return False
        return True

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML publishes no types
    def close(self) -> None:
        """Stops the trainer and makes everything durable."""
        self.supervisor.stop()
        self.product.close()
