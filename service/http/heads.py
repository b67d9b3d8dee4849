"""Routes of heads and of the jobs that train them."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, Response

from service import schemas
from service.errors import InvalidRequest
from service.http.answers import accepted, answer, describe_job
from service.http.forms import read_form
from service.http.gate import TakingIn
from service.http.guard import Admin, Reader, Teacher
from service.http.openapi import body_of, form_field
from service.http.routes import Route
from service.product import Product
from service.report import POLICY
from service.schemas import NextAnswer, Protection, ValidationAnswer
from service.workflows import heads, learn, next_labels, report, sharing, suspects, validation

router = APIRouter(prefix="/v1", tags=["heads"], route_class=Route)
jobs = APIRouter(prefix="/v1", tags=["jobs"], route_class=Route)

ZIP = "application/zip"


@router.post("/heads", status_code=202, response_model=schemas.JobAnswer)
def learn_head(
    request: Request,
    who: Teacher,
    body: schemas.LearnRequest,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Asks for a head to be trained on a dataset; the job says when it answers."""
    job = learn.request_learning(
        request.app.state.product,
        who.workspace,
        name=body.name,
        dataset=body.dataset,
        task=body.task,
        options=body.options,
        idempotency_key=idempotency_key,
        actor=who.name,
    )
    return accepted(job)


@router.get("/heads", response_model=schemas.HeadsAnswer)
def list_heads(request: Request, who: Reader) -> Response:
    """Lists the heads of the library."""
    return answer(heads.list_all(request.app.state.product, who.workspace))


@router.get("/heads/{head}", response_model=schemas.HeadAnswer)
def show_head(request: Request, who: Reader, head: str) -> Response:
    """Shows one head: its versions, aliases and champion."""
    return answer(heads.show(request.app.state.product, who.workspace, head))


@router.delete("/heads/{head}", response_model=schemas.HeadDeleted)
def delete_head(request: Request, who: Teacher, head: str) -> Response:
    """Deletes a head with all its versions."""
    product: Product = request.app.state.product
    heads.check_may_change(product, who, head)
    return answer(heads.delete_head(product, who.workspace, head, actor=who.name))


@router.get("/heads/{head}/versions/{version}", response_model=schemas.CardAnswer)
def show_card(request: Request, who: Reader, head: str, version: int) -> Response:
    """Shows the card of one version: what it says of itself."""
    return answer(heads.card(request.app.state.product, who.workspace, head, version))


@router.post(
    "/heads/{head}/versions",
    status_code=201,
    response_model=schemas.CardAnswer,
    openapi_extra=body_of(
        {"file": form_field("a head, as another service gave it", "binary")}, required=["file"]
    ),
)
async def import_head(request: Request, who: Teacher, head: str, turn: TakingIn) -> Response:
    """Takes in a head that was learnt elsewhere, as a further version; a known file adds none."""
    product: Product = request.app.state.product
    async with read_form(request, max_files=1) as form:
        file = form.file("file")
        if file is None:
            raise InvalidRequest(
                "The form has no file in the field 'file'.",
                hint="Send multipart/form-data, as curl does with -F file=@name.head.zip.",
            )
        card, is_new = await turn.run(
            sharing.import_head, product, who.workspace, head, file, actor=who.name
        )
    place = f"/v1/heads/{quote(head)}/versions/{card['version']}"
    return answer(card, 201 if is_new else 200, {"Location": place})


@router.get(
    "/heads/{head}/versions/{version}/file",
    response_class=Response,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
def export_head(request: Request, who: Teacher, head: str, version: int) -> Response:
    """Gives a version as a file for another service: what it learnt, and no image."""
    product: Product = request.app.state.product
    packed = sharing.export_head(product, who.workspace, head, version, actor=who.name)
    named = f'attachment; filename="{head}-{version}.head.zip"'
    return Response(packed, media_type=ZIP, headers={"Content-Disposition": named})


@router.get("/heads/{head}/versions/{version}/suspects", response_model=schemas.SuspectsAnswer)
def show_suspects(
    request: Request,
    who: Reader,
    head: str,
    version: int,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_SUSPECTS)] = 50,
) -> Response:
    """Names training images whose label is in doubt, and those that are nearly the same."""
    product: Product = request.app.state.product
    return answer(suspects.suspects(product, who.workspace, head, version, limit))


@router.get("/heads/{head}/versions/{version}/validation", response_model=ValidationAnswer)
def show_validation(
    request: Request, who: Reader, head: str, version: int, dataset: str
) -> Response:
    """Tries a version on those images of a dataset that it never saw: is it good here, too?"""
    product: Product = request.app.state.product
    return answer(validation.validate_head(product, who.workspace, head, version, dataset))


@router.get("/heads/{head}/versions/{version}/next", response_model=NextAnswer)
def show_next(
    request: Request,
    who: Reader,
    head: str,
    version: int,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_NEXT)] = 20,
) -> Response:
    """Names the unlabelled images of the head's dataset that are most worth a label."""
    product: Product = request.app.state.product
    return answer(next_labels.next_to_label(product, who.workspace, head, version, limit))


@router.get("/heads/{head}/versions/{version}/report", response_class=HTMLResponse)
def show_report(
    request: Request, who: Reader, head: str, version: int, *, pictures: bool = True
) -> Response:
    """Reports how good one version is, as a page of HTML that stands alone and prints well."""
    product: Product = request.app.state.product
    page = report.report(product, who.workspace, head, version, pictures=pictures)
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


@router.delete("/heads/{head}/versions/{version}", response_model=schemas.VersionDeleted)
def delete_version(request: Request, who: Teacher, head: str, version: int) -> Response:
    """Deletes one version; the newest one left becomes champion if this one was."""
    product: Product = request.app.state.product
    heads.check_may_change(product, who, head)
    return answer(heads.delete_version(product, who.workspace, head, version, actor=who.name))


@router.put("/heads/{head}/aliases/{alias}", response_model=schemas.HeadAnswer)
def point_alias(
    request: Request, who: Teacher, head: str, alias: str, target: schemas.AliasTarget
) -> Response:
    """Points an alias, `champion` for one, to a version."""
    product: Product = request.app.state.product
    heads.check_may_change(product, who, head)
    return answer(
        heads.point(
            product,
            who.workspace,
            head,
            alias,
            target.version,
            target.reason,
            actor=who.name,
        )
    )


@router.put("/heads/{head}/protection", response_model=schemas.HeadAnswer)
def protect_head(request: Request, who: Admin, head: str, target: Protection) -> Response:
    """Lets only admins move a head's aliases and delete it, or whoever may train again."""
    product: Product = request.app.state.product
    return answer(
        heads.protect(product, who.workspace, head, protected=target.protected, actor=who.name)
    )


@router.get("/heads/{head}/history", response_model=schemas.HistoryAnswer)
def show_history(request: Request, who: Reader, head: str) -> Response:
    """Shows who moved which alias when."""
    return answer(heads.history(request.app.state.product, who.workspace, head))


@jobs.get("/jobs", response_model=schemas.JobsAnswer)
def list_jobs(request: Request, who: Reader) -> Response:
    """Lists the newest jobs."""
    product: Product = request.app.state.product
    return answer({"jobs": [describe_job(j) for j in product.catalog.jobs.all(who.workspace)]})


@jobs.get("/jobs/{job}", response_model=schemas.JobAnswer)
def show_job(request: Request, who: Reader, job: str) -> Response:
    """Shows one job."""
    product: Product = request.app.state.product
    return answer(describe_job(product.catalog.jobs.get(who.workspace, job)))


@jobs.delete("/jobs/{job}", response_model=schemas.JobAnswer)
def cancel_job(request: Request, who: Teacher, job: str) -> Response:
    """Cancels a job: at once where it waits, at its next step where it runs."""
    product: Product = request.app.state.product
    return answer(describe_job(product.catalog.jobs.cancel(who.workspace, job, actor=who.name)))
