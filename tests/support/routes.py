"""Every route as the OpenAPI document lists it, and the role that it asks for."""

from typing import Any

from service.access import ROLES, Role
from service.http import create_app
from service.metrics import PrometheusMetrics
from service.settings import Settings

PROBES = {"GET /livez", "GET /readyz", "GET /metrics"}


DOCUMENT: dict[str, Any] = create_app(Settings(), PrometheusMetrics()).openapi()
OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
GUARDED = sorted(OPERATIONS.keys() - PROBES)
CHANGING = [name for name in GUARDED if not name.startswith("GET ")]


def role_of(name: str) -> Role:
    (needed,) = OPERATIONS[name]["security"]
    (role,) = needed["key"]
    assert role in ROLES
    return role  # type: ignore[no-any-return]  # it was looked for among them
