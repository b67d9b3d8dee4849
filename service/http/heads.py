"""Routes of heads and of the jobs that train them."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, Response

from service import schemas
from service.http.answers import accepted, answer, describe_job
from service.product import DEFAULT_WORKSPACE, Product
from service.report import POLICY
from service.schemas_next import NextAnswer
from service.workflows import heads, learn, next_labels, report, suspects

router = APIRouter(prefix="/v1", tags=["heads"])


@router.post("/heads", status_code=202, response_model=schemas.JobAnswer)
def learn_head(
    request: Request,
    body: schemas.LearnRequest,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Asks for a head to be trained on a dataset; the job says when it answers."""
    job = learn.request_learning(
        request.app.state.product,
        DEFAULT_WORKSPACE,
        name=body.name,
        dataset=body.dataset,
        task=body.task,
        options=body.options,
        idempotency_key=idempotency_key,
    )
    return accepted(job)


@router.get("/heads")
def list_heads(request: Request) -> Response:
    """Lists the heads of the library."""
    return answer(heads.list_all(request.app.state.product, DEFAULT_WORKSPACE))


@router.get("/heads/{head}")
def show_head(request: Request, head: str) -> Response:
    """Shows one head: its versions, aliases and champion."""
    return answer(heads.show(request.app.state.product, DEFAULT_WORKSPACE, head))


@router.delete("/heads/{head}")
def delete_head(request: Request, head: str) -> Response:
    """Deletes a head with all its versions."""
    return answer(heads.delete_head(request.app.state.product, DEFAULT_WORKSPACE, head))


@router.get("/heads/{head}/versions/{version}")
def show_card(request: Request, head: str, version: int) -> Response:
    """Shows the card of one version: what it says of itself."""
    return answer(heads.card(request.app.state.product, DEFAULT_WORKSPACE, head, version))


@router.get("/heads/{head}/versions/{version}/suspects", response_model=schemas.SuspectsAnswer)
def show_suspects(
    request: Request,
    head: str,
    version: int,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_SUSPECTS)] = 50,
) -> Response:
    """Names training images whose label is in doubt, and those that are nearly the same."""
    product: Product = request.app.state.product
    return answer(suspects.suspects(product, DEFAULT_WORKSPACE, head, version, limit))


@router.get("/heads/{head}/versions/{version}/next", response_model=NextAnswer)
def show_next(
    request: Request,
    head: str,
    version: int,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_NEXT)] = 20,
) -> Response:
    """Names the unlabelled images of the head's dataset that are most worth a label."""
    product: Product = request.app.state.product
    return answer(next_labels.next_to_label(product, DEFAULT_WORKSPACE, head, version, limit))


@router.get("/heads/{head}/versions/{version}/report", response_class=HTMLResponse)
def show_report(request: Request, head: str, version: int, *, pictures: bool = True) -> Response:
    """Reports how good one version is, as a page of HTML that stands alone and prints well."""
    product: Product = request.app.state.product
    page = report.report(product, DEFAULT_WORKSPACE, head, version, pictures=pictures)
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


@router.delete("/heads/{head}/versions/{version}")
def delete_version(request: Request, head: str, version: int) -> Response:
    """Deletes one version; the newest one left becomes champion if this one was."""
    product: Product = request.app.state.product
    return answer(heads.delete_version(product, DEFAULT_WORKSPACE, head, version))


@router.put("/heads/{head}/aliases/{alias}")
def point_alias(request: Request, head: str, alias: str, target: schemas.AliasTarget) -> Response:
    """Points an alias, `champion` for one, to a version."""
    product: Product = request.app.state.product
    return answer(
        heads.point(product, DEFAULT_WORKSPACE, head, alias, target.version, target.reason)
    )


@router.get("/heads/{head}/history")
def show_history(request: Request, head: str) -> Response:
    """Shows who moved which alias when."""
    return answer(heads.history(request.app.state.product, DEFAULT_WORKSPACE, head))


@router.get("/jobs", tags=["jobs"])
def list_jobs(request: Request) -> Response:
    """Lists the newest jobs."""
    product: Product = request.app.state.product
    return answer({"jobs": [describe_job(j) for j in product.catalog.jobs.all(DEFAULT_WORKSPACE)]})


@router.get("/jobs/{job}", tags=["jobs"], response_model=schemas.JobAnswer)
def show_job(request: Request, job: str) -> Response:
    """Shows one job."""
    product: Product = request.app.state.product
    return answer(describe_job(product.catalog.jobs.get(DEFAULT_WORKSPACE, job)))


@router.delete("/jobs/{job}", tags=["jobs"], response_model=schemas.JobAnswer)
def cancel_job(request: Request, job: str) -> Response:
    """Cancels a job: at once where it waits, at its next step where it runs."""
    product: Product = request.app.state.product
    return answer(describe_job(product.catalog.jobs.cancel(DEFAULT_WORKSPACE, job)))
