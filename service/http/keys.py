"""Routes of keys and of the audit, for the admins of a workspace."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from service import schemas
from service.errors import Forbidden
from service.http.answers import answer
from service.http.guard import Admin
from service.http.routes import Route
from service.product import Product
from service.workflows import audit, keys

router = APIRouter(prefix="/v1", tags=["keys"], route_class=Route)


@router.post("/keys", status_code=201, response_model=schemas.NewKeyAnswer)
def create_key(request: Request, who: Admin, body: schemas.KeyRequest) -> Response:
    """Makes a key to this workspace; its secret is in this answer and nowhere else."""
    if body.workspace not in (None, who.workspace):
        raise Forbidden(
            "A key opens the workspace of whoever makes it.",
            hint="The command line on the server's home makes keys to any workspace.",
        )
    product: Product = request.app.state.product
    made = keys.create(
        product.catalog,
        product.settings.home,
        who,
        role=body.role,
        name=body.name,
        expires=body.expires,
    )
    return answer(made, 201)


@router.get("/keys", response_model=schemas.KeysAnswer)
def list_keys(request: Request, who: Admin) -> Response:
    """Lists the keys of this workspace, also those that open nothing any more."""
    product: Product = request.app.state.product
    return answer(keys.list_all(product.catalog, who))


@router.delete("/keys/{key}", response_model=schemas.KeyAnswer)
def revoke_key(request: Request, who: Admin, key: str) -> Response:
    """Takes a key back, for ever."""
    product: Product = request.app.state.product
    return answer(keys.revoke(product.catalog, product.settings.home, who, key))


@router.get("/audit", response_model=schemas.AuditAnswer)
def show_audit(
    request: Request,
    who: Admin,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_LINES)] = 100,
    before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    """Shows who did what to which thing, newest first."""
    product: Product = request.app.state.product
    return answer(audit.lines(product.catalog, who, limit=limit, before=before))
