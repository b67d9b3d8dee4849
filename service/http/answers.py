"""What is sent back: JSON, and problems for every kind of refusal. Knows no routes."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from python_multipart.multipart import parse_options_header
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from classifiers.errors import ClassifierError
from features.errors import FeatureError
from service.catalog import Job
from service.errors import InvalidRequest, NothingAnswered, ServiceError, Unauthenticated
from service.http.edge import PROBLEM_JSON
from service.http.forms import invalid, media_type
from service.problems import full_problem, problem, retry_after_s

Noting = Callable[[Request, Exception], BackgroundTask | None]
"""What is to be done about a refusal once it is sent."""

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
"""What a route may have."""

VARY = {"Vary": "Accept"}
"""What is said where the answer's kind depends on what the client accepts."""

REFUSED = (FeatureError, ClassifierError, ServiceError)
"""Errors of the product: each is a problem in words."""


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - whatever JSON can say
    """A JSON answer; an array is a list of numbers."""
    raw = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(raw, status, headers, media_type="application/json")


def prefers(request: Request, kind: str) -> bool:
    """Whether a client names a media type, and would not rather have JSON (RFC 9110, 12.5.1)."""
    weights = {"application/json": 0.0, kind: 0.0}
    for line in request.headers.getlist("accept"):
        for part in line.split(","):
            name, options = parse_options_header(part)
            with suppress(ValueError):
                weights[name.decode("latin-1")] = float(options.get(b"q", b"1"))
    return weights[kind] > 0 and weights[kind] >= weights["application/json"]


def accepted(job: Job) -> Response:
    """The answer where a job was queued: 202, and where to look at it."""
    return answer(describe_job(job), 202, {"Location": f"/v1/jobs/{quote(job.id)}"})


def describe_job(job: Job) -> dict[str, Any]:
    """A job as it stands."""
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "progress": job.progress,
        "stage": job.stage,
        "request": {k: v for k, v in job.request.items() if k != "space"},
        "result": job.result,
        "error": job.error,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
    }


def refuse(
    error: Exception, after: BackgroundTask | None = None, *, to_operator: bool = False
) -> Response:
    """A problem for an error, and what is to be done once it is sent.

    Args:
        error: why.
        after: what is to be done.
        to_operator: nothing is kept from whoever has the home folder.
    """
    body = full_problem(error) if to_operator else problem(error)
    if isinstance(error, NothingAnswered):
        body |= error.answer
    wait_s = retry_after_s(error)
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(orjson.dumps(body), body["status"], headers, PROBLEM_JSON, after)


def is_operator(request: Request) -> bool:
    """Whether whoever asks has the home folder, and no network between."""
    return request.app.state.operator is not None


def add_refusals(app: FastAPI, noting: Noting) -> None:
    """Every refusal of the product and of the framework becomes a problem.

    Args:
        app: where.
        noting: what is to be done about a refusal of the product once it is sent.
    """

    async def refuse_error(request: Request, error: Exception) -> Response:
        return refuse(error, noting(request, error), to_operator=is_operator(request))

    for kind in REFUSED:
        app.add_exception_handler(kind, refuse_error)
    app.add_exception_handler(RequestValidationError, _refuse_shape)
    app.add_exception_handler(HTTPException, _refuse_http)


async def _refuse_shape(request: Request, error: Exception) -> Response:
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    of_body = [e for e in errors if e["loc"][:1] == ("body",)]
    broken = next((e for e in of_body if e["type"] == "json_invalid"), None)
    if broken is not None:
        why = f"{broken['ctx']['error']} at character {broken['loc'][-1]}"
        return refuse(InvalidRequest(f"The body is not JSON: {why}.", hint="Send JSON."))
    kind = media_type(request)
    if of_body and not kind.endswith("json"):
        detail = f"Expected application/json, got '{kind[:80] or 'nothing'}'."
        hint = "Send JSON with the header `Content-Type: application/json`."
        return refuse(InvalidRequest(detail, hint=hint))
    return refuse(invalid(errors))


async def _refuse_http(request: Request, error: Exception) -> Response:
    if isinstance(error.__cause__, ServiceError):
        return refuse(error.__cause__)  # a body over the limit, which the framework calls broken
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == HTTPStatus.BAD_REQUEST:
        why = str(error.__cause__ or error).partition(";")[0]
        return refuse(InvalidRequest(f"The body cannot be read: {why}.", hint="Send JSON."))
    title = {404: "Not found", 405: "Method not allowed"}.get(status, "Invalid request")
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": f"{request.method} {request.url.path[:200]}: {title.lower()}.",
        "code": title.lower().replace(" ", "_"),
        "hint": "The page /docs lists every route.",
    }
    refuses_method = status == HTTPStatus.METHOD_NOT_ALLOWED
    headers = {"Allow": _allowed(request)} if refuses_method else getattr(error, "headers", None)
    return Response(orjson.dumps(body), status, headers, media_type=PROBLEM_JSON)


def _allowed(request: Request) -> str:
    """The methods that a path has: the framework names those of the first route that is not it."""
    routes: list[BaseRoute] = request.app.routes
    return ", ".join(
        method
        for method in METHODS
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in routes)
    )
