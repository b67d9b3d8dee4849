"""Routes of images: predict, embed, search, erase."""

from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from service import schemas
from service.http.answers import VARY, answer, prefers
from service.http.forms import is_json, read_json, read_small_form
from service.http.gate import Answering
from service.http.guard import Admin, Reader
from service.http.openapi import body_of, form_field, problem_with
from service.http.routes import Route
from service.product import Product
from service.schemas import PredictAnswer
from service.workflows import embed, erase, predict, search

router = APIRouter(prefix="/v1", tags=["images"], route_class=Route)

IMAGES = form_field("1 to 64 image files", "binary", many=True)

STREAM = {"type": "string", "format": "binary"}
"""The shape of an Arrow stream, which is not text."""


@router.post(
    "/predict",
    response_model=PredictAnswer,
    responses={422: problem_with(PredictAnswer, "nothing_answered")},
    openapi_extra=body_of(
        {
            "images": IMAGES,
            "heads": form_field("name, name@3 or name@alias; none asks for all", many=True),
            "evidence": form_field("0 to 20 nearest labelled images", "integer"),
            "remember": form_field("keep the vector (default true)", "boolean"),
            "explain": form_field("a heat map for each answer (default false)", "boolean"),
        },
        required=["images"],
        json=schemas.PredictDigests,
        query=True,
    ),
)
async def predict_images(request: Request, who: Reader, turn: Answering) -> Response:
    """Asks many heads about images, at the cost of one look at each image."""
    product: Product = request.app.state.product
    if is_json(request):
        query = await read_json(
            request, schemas.PredictDigests, one=("evidence", "explain"), many=("heads",)
        )
        return answer(
            await turn.run(
                predict.predict_digests,
                product,
                who.workspace,
                query.digests,
                query.heads or None,
                evidence=query.evidence,
                as_json=True,
            )
        )
    form = await read_small_form(request, max_files=schemas.MAX_IMAGES)
    with form.checking():
        uploads = form.uploads("images", at_most=schemas.MAX_IMAGES)
        heads = form.texts("heads", at_most=schemas.MAX_HEADS)
        evidence = form.whole("evidence", 0, low=0, high=schemas.MAX_EVIDENCE)
        remember = form.truth("remember", default=True)
        explain = form.truth("explain", default=False)
    asked = (product, who.workspace, uploads, heads)
    soon = None
    if not (evidence or explain):
        found = predict.predict_now(*asked)
        if found is not None:
            return answer(found)
        soon = partial(predict.predict_soon, *asked, remember=remember)
    work = partial(
        predict.predict_images,
        *asked,
        evidence=evidence,
        remember=remember,
        explain=explain,
        as_json=True,
    )
    return answer(await turn.run_or_await(work, soon))


@router.post(
    "/embed",
    response_model=schemas.EmbedAnswer,
    responses={
        200: {"content": {embed.ARROW: {"schema": STREAM}}},
        422: problem_with(schemas.EmbedAnswer, "nothing_answered"),
    },
    openapi_extra=body_of({"images": IMAGES}, required=["images"]),
)
async def embed_images(request: Request, who: Reader, turn: Answering) -> Response:
    """Gives the vectors of images, as JSON or as an Arrow stream."""
    product: Product = request.app.state.product
    form = await read_small_form(request, max_files=schemas.MAX_IMAGES)
    uploads = form.uploads("images", at_most=schemas.MAX_IMAGES)
    if prefers(request, embed.ARROW):
        stream = await turn.run(embed.embed_arrow, product, who.workspace, uploads)
        return Response(stream, 200, VARY, embed.ARROW)
    return answer(await turn.run(embed.embed, product, who.workspace, uploads), 200, VARY)


@router.post(
    "/search",
    response_model=schemas.SearchAnswer,
    openapi_extra=body_of(
        {
            "image": form_field("one image file", "binary"),
            "k": form_field("how many hits (default 10, at most 1000)", "integer"),
            "dataset": form_field("only images of this dataset"),
            "label": form_field("only images with this label"),
        },
        required=["image"],
        json=schemas.SearchQuery,
        query=True,
    ),
)
async def search_images(request: Request, who: Reader, turn: Answering) -> Response:
    """Finds the images most similar to an image, a known digest or a vector."""
    product: Product = request.app.state.product
    if is_json(request):
        query = await read_json(request, schemas.SearchQuery, one=("k", "dataset", "label"))
        return answer(await turn.run(_search_json, product, who.workspace, query))
    form = await read_small_form(request, max_files=1)
    with form.checking():
        uploads = form.uploads("image", at_most=1)
        filters: dict[str, Any] = {
            "k": form.whole("k", 10, low=1, high=schemas.MAX_HITS),
            "dataset": form.text("dataset"),
            "label": form.text("label"),
        }
    return answer(
        await turn.run(search.search_image, product, who.workspace, uploads[0], **filters)
    )


@router.delete("/images/{digest}", response_model=schemas.ErasedAnswer)
def erase_image(request: Request, who: Admin, digest: str) -> Response:
    """Erases an image everywhere; answers with the heads that were trained on it."""
    return answer(erase.erase(request.app.state.product, who.workspace, digest, actor=who.name))


@router.get("/spaces", response_model=schemas.SpacesAnswer)
def spaces(request: Request, _: Reader) -> Response:
    """The backbones served and their identity."""
    product: Product = request.app.state.product
    space = {
        "id": product.space.id,
        **product.space.to_dict(),
        "device": product.engine.device,
        "default": True,
    }
    return answer({"spaces": [space]})


def _search_json(product: Product, workspace: str, query: schemas.SearchQuery) -> dict[str, Any]:
    filters: dict[str, Any] = {"k": query.k, "dataset": query.dataset, "label": query.label}
    return search.search_known(
        product, workspace, digest=query.digest, vector=query.vector, **filters
    )
