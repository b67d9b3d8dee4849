"""Routes of datasets: images with labels."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from service import schemas
from service.archives import ArchiveLimits, read_archive
from service.errors import InvalidRequest
from service.http.answers import accepted, answer
from service.http.forms import Form, read_form, read_json
from service.http.gate import TakingIn
from service.http.guard import Reader, Teacher
from service.http.openapi import body_of, form_field, json_body
from service.http.routes import Route
from service.product import Product
from service.schemas import LookAnswer
from service.settings import Settings
from service.workflows import compare, datasets, look
from service.workflows.ingest import LabelledUpload, ingest

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], route_class=Route)

PARALLEL = ("labels", "groups", "splits")


@router.get("", response_model=schemas.DatasetsAnswer)
def list_datasets(request: Request, who: Reader) -> Response:
    """Lists datasets with their counts."""
    return answer(datasets.list_all(request.app.state.product, who.workspace))


@router.get("/{dataset}", response_model=schemas.DatasetAnswer)
def show_dataset(request: Request, who: Reader, dataset: str) -> Response:
    """Shows one dataset: counts by label and group, problems found."""
    return answer(datasets.describe(request.app.state.product, who.workspace, dataset))


@router.get("/{dataset}/look", response_model=LookAnswer)
def look_at_dataset(request: Request, who: Reader, dataset: str) -> Response:
    """Says in about a second whether plain methods can tell the classes apart."""
    return answer(look.look(request.app.state.product, who.workspace, dataset))


@router.post("/{dataset}/compare", status_code=202, response_model=schemas.JobAnswer)
def compare_backbones(
    request: Request,
    who: Teacher,
    dataset: str,
    body: schemas.CompareRequest,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> Response:
    """Asks for backbones to be compared on a dataset; the job's result has a row for each."""
    job = compare.request_comparison(
        request.app.state.product,
        who.workspace,
        dataset=dataset,
        backbones=body.backbones,
        options=body.options,
        idempotency_key=idempotency_key,
        actor=who.name,
    )
    return accepted(job)


@router.delete("/{dataset}", response_model=schemas.DatasetDeleted)
def delete_dataset(request: Request, who: Teacher, dataset: str) -> Response:
    """Deletes a dataset, and those of its images that no other dataset uses."""
    return answer(
        datasets.delete(request.app.state.product, who.workspace, dataset, actor=who.name)
    )


@router.put(
    "/{dataset}/labels",
    response_model=schemas.DatasetAnswer,
    openapi_extra=json_body(schemas.LabelChanges),
)
async def put_labels(request: Request, who: Teacher, dataset: str, turn: TakingIn) -> Response:
    """Sets labels and groups of images that the dataset holds."""
    changes = await read_json(request, schemas.LabelChanges)
    entries = [entry.model_dump(exclude_unset=True) for entry in changes.labels]
    product: Product = request.app.state.product
    return answer(
        await turn.run(datasets.relabel, product, who.workspace, dataset, entries, actor=who.name)
    )


@router.post(
    "/{dataset}/images",
    response_model=schemas.IngestAnswer,
    openapi_extra=body_of(
        {
            "images": form_field("image files", "binary", many=True),
            "labels": form_field("one for each image, in the same order", many=True),
            "groups": form_field("one for each image, in the same order", many=True),
            "splits": form_field("train, test or empty for each image", many=True),
            "archive": form_field("zip or tar, one folder for each class", "binary"),
        },
        required=[],
    ),
)
async def add_images(request: Request, who: Teacher, dataset: str, turn: TakingIn) -> Response:
    """Adds labelled images, as files or as one archive; the dataset is made if it is new."""
    product: Product = request.app.state.product
    settings = product.settings
    async with read_form(request, max_files=settings.max_images_per_ingest) as form:
        lost: list[str] = []
        uploads = _uploads(form, settings, lost)
        found = await turn.run(ingest, product, who.workspace, dataset, uploads, actor=who.name)
        return answer({**found, "unmatched": lost[: schemas.MAX_UNMATCHED]})


def _uploads(form: Form, settings: Settings, lost: list[str]) -> Iterator[LabelledUpload]:
    archive = form.file("archive")
    if archive is None:
        return _parallel(form, settings)
    if form.files("images"):
        raise InvalidRequest("Both images and an archive.", hint="Send one of them.")
    beside = [name for name in PARALLEL if form.texts(name)]
    if beside:
        raise InvalidRequest(
            f"{' and '.join(beside).capitalize()} beside an archive, which says them itself.",
            hint="Put them into a labels.csv in the archive: path,label,group,split.",
        )
    limits = ArchiveLimits(
        settings.max_archive_members, settings.max_archive_bytes, settings.max_image_bytes
    )
    return (
        LabelledUpload(m.path, m.data, m.label, m.group, m.split)
        for m in read_archive(archive, limits, lost)
    )


def _parallel(form: Form, settings: Settings) -> Iterator[LabelledUpload]:
    uploads = form.uploads("images", at_most=settings.max_images_per_ingest)
    columns = [form.texts(name) or [""] * len(uploads) for name in PARALLEL]
    refused = [
        InvalidRequest(
            f"{len(uploads)} images but {len(values)} {name}.",
            hint=f"Send one of {name} for each image, in the same order, or none at all.",
        )
        for name, values in zip(PARALLEL, columns, strict=True)
        if len(values) != len(uploads)
    ]
    if refused:
        raise InvalidRequest.all_of(refused)
    return (
        LabelledUpload(u.filename, u.data, label, group, split)
        for u, label, group, split in zip(uploads, *columns, strict=True)
    )
