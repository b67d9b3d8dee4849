"""Reading what clients send: multipart with limits, JSON against a schema. Knows no routes."""

import re
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import IO, Any, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException

from service.errors import InvalidRequest, RequestTooLarge, ServiceError
from service.http.parts import check_charset, read_parts
from service.product import Upload

Model = TypeVar("Model", bound=BaseModel)

MAX_FIELDS = 50_000
"""Text fields of one form: three for each image of the largest ingest, with room."""

SHORT_BYTES = 16 * 2**20
"""Forms up to which none of their files is put on the disk. Of longer ones, small files are not."""

WHOLE = re.compile(r"[0-9]{1,9}")

TOO_MANY = "Too many "
"""How Starlette's readers and ours begin when there are more parts than they were told to take."""

MOST_PROBLEMS = 100
"""Of a body's problems, how many a refusal names."""

TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def is_json(request: Request) -> bool:
    """Whether the request says that its body is JSON."""
    return media_type(request) == "application/json"


async def read_json(
    request: Request,
    model: type[Model],
    *,
    one: Collection[str] = (),
    many: Collection[str] = (),
) -> Model:
    """The body as a model.

    Args:
        request: whose body.
        model: its shape.
        one: fields that the query's parameters stand in for where the body lacks them, as they do
            for a form.
        many: the same of fields that may stand there several times.

    Raises:
        InvalidRequest: it is no JSON, or not of this shape; every problem is named.
    """
    try:
        body = orjson.loads(await request.body())
        if isinstance(body, dict) and (query := request.query_params):
            asked = {name: query.getlist(name) for name in (*one, *many) if name in query}
            found = {name: said if name in many else said[-1] for name, said in asked.items()}
            body = {**found, **body}
        return model.model_validate(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not JSON: {error}.", hint="Send JSON.") from error
    except ValidationError as error:
        raise invalid(error.errors()) from error


def invalid(errors: Any) -> InvalidRequest:  # noqa: ANN401 - pydantic's and FastAPI's lists differ in type
    """Every problem that a schema found, in one refusal."""
    problems = [
        {"code": e["type"], "detail": f"{'.'.join(map(str, e['loc'])) or 'body'}: {_said(e)}"}
        for e in errors[:MOST_PROBLEMS]
    ]
    more = len(errors) - len(problems)
    return InvalidRequest(
        "; ".join([*(p["detail"] for p in problems), *([f"and {more} more"] if more else [])]),
        hint="The page /docs shows what is expected.",
        problems=problems,
    )


def _said(error: Any) -> str:  # noqa: ANN401 - as above
    return str(error["msg"]).removeprefix("Value error, ")  # pydantic's words before ours


class Form:
    """A multipart form that was read: its files are open until the request ends.

    Args:
        data: the parts.
        query: the query's parameters, which stand in for fields that the form lacks.
    """

    def __init__(self, data: FormData, query: Any) -> None:  # noqa: ANN401 - Starlette's multi-dict
        self._data = data
        self._query = query
        self._refused: list[InvalidRequest] | None = None

    @contextmanager
    def checking(self) -> Iterator[None]:
        """What is wrong with fields that are read in this block is said at its end, all of it.

        Raises:
            InvalidRequest: a field is not what it must be; each of them is named.
        """
        refused: list[InvalidRequest] = []
        self._refused = refused
        try:
            yield
        finally:
            self._refused = None
        if refused:
            raise InvalidRequest.all_of(refused)

    def uploads(self, name: str, *, at_most: int) -> list[Upload]:
        """The files of a field, at least one.

        Raises:
            InvalidRequest: there is none, or one is no file.
            RequestTooLarge: there are too many.
        """
        files = self.files(name)
        if not files:
            self._refuse(
                f"The form has no file in the field '{name}'.",
                hint=f"Send multipart/form-data, as curl does with -F {name}=@picture.jpg.",
            )
        if len(files) > at_most:
            raise RequestTooLarge(
                f"{len(files)} files in the field '{name}'; at most {at_most} are taken.",
                hint="Send them in several requests.",
            )
        return [Upload(f.filename, f.file.read()) for f in files]

    def files(self, name: str) -> list[UploadFile]:
        """The open files of a field."""
        parts = self._data.getlist(name)
        files = [p for p in parts if isinstance(p, UploadFile)]
        if len(files) < len(parts):
            self._refuse(f"The field '{name}' must hold files.", hint="Give each a filename.")
        return files

    def file(self, name: str) -> IO[bytes] | None:
        """The one open file of a field, if there is one."""
        files = self.files(name)
        if len(files) > 1:
            raise InvalidRequest(f"One file in the field '{name}', please.", hint="Send one.")
        return files[0].file if files else None

    def texts(self, name: str, *, at_most: int = MAX_FIELDS) -> list[str] | None:
        """The values of a repeatable field, from the form or the query; None where it is absent."""
        found = [p for p in self._data.getlist(name) if isinstance(p, str)]
        if len(found) > at_most:
            self._refuse(f"{len(found)} {name}; at most {at_most} are taken.", hint="Send fewer.")
        return found or self._query.getlist(name) or None

    def text(self, name: str) -> str | None:
        """The one value of a field; None where it is absent or empty."""
        found = self.texts(name)
        return (found[-1] or None) if found else None

    def whole(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number within limits."""
        text = self.text(name)
        if text is None:
            return default
        if not (WHOLE.fullmatch(text) and low <= int(text) <= high):
            self._refuse(
                f"{name} must be a whole number from {low} to {high}, not '{text[:40]}'.",
                hint="Change it or leave it out.",
            )
            return default
        return int(text)

    def truth(self, name: str, *, default: bool) -> bool:
        """True or false."""
        text = self.text(name)
        if text is None:
            return default
        if text.lower() not in TRUTHS:
            self._refuse(f"{name} must be true or false.", hint="Change it or leave it out.")
        return TRUTHS.get(text.lower(), default)

    def _refuse(self, detail: str, *, hint: str) -> None:
        refusal = InvalidRequest(detail, hint=hint)
        if self._refused is None:
            raise refusal
        self._refused.append(refusal)


@asynccontextmanager
async def read_form(request: Request, *, max_files: int) -> AsyncIterator[Form]:
    """Reads a multipart form of any size; its files are closed at the end of the block.

    Raises:
        InvalidRequest: the body is no such form.
        RequestTooLarge: it has too many parts.
    """
    if _size_bytes(request) <= SHORT_BYTES:
        yield await read_small_form(request, max_files=max_files)
        return
    _check_is_form(request)
    try:
        # One more than is allowed, so that the refusal can say how many there may be.
        async with request.form(max_files=max_files + 1, max_fields=MAX_FIELDS) as data:
            yield Form(data, request.query_params)
    except HTTPException as error:
        raise _unreadable(error.detail, max_files) from error


async def read_small_form(request: Request, *, max_files: int) -> Form:
    """Reads a form whose files will be in memory anyway; raises as `read_form`."""
    _check_is_form(request)
    kind, most = request.headers["content-type"], max_files + 1
    try:
        data = await read_parts(kind, request.stream(), max_files=most, max_fields=MAX_FIELDS)
    except MultiPartException as error:
        raise _unreadable(error.message, max_files) from error
    return Form(data, request.query_params)


def _size_bytes(request: Request) -> float:
    """How long the body is said to be, and therefore is; without end where nothing is said."""
    said = request.headers.get("content-length", "")
    in_chunks = "transfer-encoding" in request.headers
    return int(said) if WHOLE.fullmatch(said) and not in_chunks else inf


def _check_is_form(request: Request) -> None:
    kind = media_type(request)
    if kind != "multipart/form-data":
        raise InvalidRequest(
            f"Expected multipart/form-data, got '{kind[:80] or 'nothing'}'.",
            hint="Send a form, as curl does with -F images=@picture.jpg.",
        )
    try:
        check_charset(request.headers["content-type"])
    except MultiPartException as error:
        raise InvalidRequest(error.message, hint="Send its texts in UTF-8.") from error


def _unreadable(reason: str, max_files: int) -> ServiceError:
    if reason.startswith(TOO_MANY):
        return RequestTooLarge(
            f"More than {max_files} files, or {MAX_FIELDS} texts, in one form.",
            hint="Send them in several requests.",
        )
    return InvalidRequest(
        f"The form cannot be read: {reason}", hint="Send multipart/form-data, as curl does with -F."
    )


def media_type(request: Request) -> str:
    """The body's media type, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
