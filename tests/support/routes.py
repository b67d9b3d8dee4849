"""Every route as the OpenAPI document lists it, and the role that it asks for."""

from typing import Any

from service.access import ROLES, Role
from service.http import create_app
from service.metrics import PrometheusMetrics
from service.settings import Settings

PROBES = {"GET /livez", "GET /readyz", "GET /metrics"}


def operations() -> dict[str, dict[str, Any]]:
    app = create_app(Settings(), PrometheusMetrics())
    return {
        f"{method.upper()} {path}": operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


OPERATIONS = operations()
GUARDED = sorted(OPERATIONS.keys() - PROBES)
CHANGING = [name for name in GUARDED if not name.startswith("GET ")]


def role_of(name: str) -> Role:
    (needed,) = OPERATIONS[name]["security"]
    (role,) = needed["key"]
    assert role in ROLES
    return role  # type: ignore[no-any-return]  # it was looked for among them
