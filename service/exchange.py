"""One request and its answer: what is sent, when it is sent again, what is made of what came.

Sends nothing itself: a flow yields a `Call`, is sent the response, and returns the answer. Written
so, retries and waiting exist once for the client that blocks and for the one that does not.
"""

import inspect
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeGuard, TypeVar, cast, get_args
from urllib.parse import quote

import httpx

from service.client_errors import FolderUnusable, PenultimateError, ServerUnreachable

Answer = dict[str, Any]
"""An HTTP answer as it came."""

Image = str | os.PathLike[str] | bytes | IO[bytes]
"""A path, the bytes themselves, or an open binary file."""

PATIENCE_S = 30.0
"""How long a request is repeated that the server had no time for (429, 503)."""

BULK_PATIENCE_S = 600.0
"""The same for one batch of a folder, which nobody waits for by the second."""

FAULT_PATIENCE_S = 10.0
"""The same where it is no lack of time: what can only be mended there is worth one more look."""

BUSY = (429, 503)
FAULTS = ("store_unavailable", "catalog_unavailable")
DONE = ("erasure_pending",)
"""What was asked for is done, but for what the server does by itself: asked again, it is gone."""

LONGEST_PAUSE_S = 30.0
CONNECT_S = 10.0


class NamedImage(NamedTuple):
    """An image under another name than its file has."""

    filename: str
    image: Image


Images = Image | NamedImage | Sequence[Image | NamedImage]
"""One image or several."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        method, path: as in the contract; the path is quoted.
        json: the body, where it is JSON.
        fields, files: the parts of a form.
        headers: besides the usual ones.
        after_s: how long to wait before it is sent.
        patience_s: how long it is repeated where the server has no time for it.
    """

    method: str
    path: str
    json: Any = None
    fields: Mapping[str, str | list[str]] = field(default_factory=dict)
    files: Sequence[tuple[str, tuple[str, bytes | IO[bytes]]]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    patience_s: float = PATIENCE_S

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """The request as httpx sends it."""
        return http.build_request(
            self.method,
            self.path,
            json=self.json,
            data=dict(self.fields) or None,
            files=list(self.files) or None,
            headers=dict(self.headers),
        )


T = TypeVar("T")

Asking = Generator[Call, httpx.Response, T]
"""A verb under way, whatever it gives."""

Flow = Asking[Answer]
"""A verb under way that gives an answer."""


def ask(call: Call) -> Flow:
    """Sends a call until it is answered; a server that has no time is asked again when it says."""
    return _read((yield from _until_heard(call)))


def ask_page(call: Call) -> Asking[str]:
    """The same of a call that is answered with a page of HTML."""
    return (yield from _ask_for(call, "text/html")).text


def ask_file(call: Call, kind: str) -> Asking[bytes]:
    """The same of a call that is answered with a file of this media type."""
    return (yield from _ask_for(call, kind)).content


def advance(flow: Asking[T], response: httpx.Response | None = None) -> Call | T:
    """The next call of a flow, or its answer where it has one."""
    try:
        return next(flow) if response is None else flow.send(response)
    except StopIteration as done:
        answer: T = done.value
        return answer


def address(url: str) -> str:
    """The address with its scheme, and without a slash at its end."""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def http_options(url: str, key: str | None, timeout_s: float) -> dict[str, Any]:
    """What both kinds of httpx client are made with.

    Raises:
        ServerUnreachable: that is no address.
        PenultimateError: the key is none.
    """
    try:
        base_url = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise unreachable(url, error) from error
    if not (key or "").isascii():
        hint = "Copy it again: other programs turn a hyphen into a dash."
        raise PenultimateError(
            "The key has a character that no key has.", code="unauthenticated", hint=hint
        )
    return {
        "base_url": base_url,
        "headers": {} if key is None else {"Authorization": f"Bearer {key}"},
        "timeout": httpx.Timeout(timeout_s, connect=CONNECT_S, pool=None),
    }


def sign(method: Callable[..., object], build: Callable[..., Asking[T]]) -> None:
    """Lets `help` show what a client's method takes and gives."""
    taken = inspect.signature(build)
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    parameters += taken.parameters.values()
    gives = get_args(taken.return_annotation)[-1]
    signature = taken.replace(parameters=parameters, return_annotation=gives)
    method.__signature__ = signature  # type: ignore[attr-defined]


def unreachable(url: str, error: Exception) -> ServerUnreachable:
    """What a client is told where no answer came."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return ServerUnreachable(url, reason, hint="It takes too long; send less at once.")
    return ServerUnreachable(url, reason)


def json_call(method: str, path: str, body: Answer) -> Call:
    """A call with a JSON body."""
    return Call(method, path, json=body)


def path_of(template: str, *parts: object) -> str:
    """A path whose parts are quoted.

    Raises:
        PenultimateError: a part would make it another path; servers read `%2F` as `/`.
    """
    for part in map(str, parts):
        if "/" in part or part in ("", ".", ".."):
            hint = "Names have no slash. A version is written as in head@1."
            detail = f"'{part}' cannot be a name."
            raise PenultimateError(detail, code="invalid_request", title="Not a name", hint=hint)
    return template.format(*(quote(str(part), safe="") for part in parts))


def files_of(name: str, images: Images) -> list[tuple[str, tuple[str, bytes | IO[bytes]]]]:
    """The parts of a form that carry images.

    Raises:
        ValueError: there is no image.
        TypeError: one is neither a path, bytes nor an open file.
        FolderUnusable: one is a folder.
        OSError: a file cannot be read.
    """
    single = isinstance(images, str | os.PathLike | bytes | NamedImage) or hasattr(images, "read")
    several = cast("Iterable[Image | NamedImage]", [images] if single else images)
    files = [(name, _file(image, f"image-{i}")) for i, image in enumerate(several)]
    if not files:
        raise ValueError("There is no image to send.")
    return files


def is_folder(images: object) -> TypeGuard[str | os.PathLike[str]]:
    """Whether that is the path of a folder."""
    return isinstance(images, str | os.PathLike) and Path(images).is_dir()


def is_given(images: Images) -> bool:
    """Whether there is an image: an empty list is none."""
    return not isinstance(images, Sequence) or bool(images)


def _file(image: Image | NamedImage, default: str) -> tuple[str, bytes | IO[bytes]]:
    if isinstance(image, NamedImage):
        # A file name on disk need not be text; what is sent must be.
        name = image.filename.encode("utf-8", "replace").decode()
        return name, _file(image.image, default)[1]
    if isinstance(image, bytes):
        return default, image
    if isinstance(image, str | os.PathLike):
        path = Path(image)
        if path.is_dir():
            hint = "`ingest_folder` takes a folder; other methods take the files in it."
            raise FolderUnusable(f"'{path}' is a folder, not an image.", hint=hint)
        return _file(NamedImage(path.name, path.read_bytes()), default)
    if not hasattr(image, "read"):
        kind = type(image).__name__
        raise TypeError(f"an image is a path, bytes, an open file or a NamedImage, not a {kind}")
    given = getattr(image, "name", None)
    return Path(given).name if isinstance(given, str) else default, image


def _ask_for(call: Call, kind: str) -> Asking[httpx.Response]:
    response = yield from _until_heard(call)
    if response.is_success and response.headers.get("content-type", "").startswith(kind):
        return response
    _read(response)
    raise _no_answer(response)


def _until_heard(call: Call) -> Asking[httpx.Response]:
    waited_s = 0.0
    while True:
        response = yield call
        pause_s = _pause_s(response)
        if response.status_code not in BUSY or waited_s + pause_s > _patience_s(call, response):
            return response
        waited_s += pause_s
        call = replace(call, after_s=pause_s)


def _patience_s(call: Call, response: httpx.Response) -> float:
    try:
        code = response.json()["code"]
    except (ValueError, LookupError, TypeError):
        return call.patience_s
    if code in DONE:
        return 0.0
    return min(call.patience_s, FAULT_PATIENCE_S) if code in FAULTS else call.patience_s


def _pause_s(response: httpx.Response) -> float:
    said = response.headers.get("retry-after", "")
    return min(float(said), LONGEST_PAUSE_S) if said.isascii() and said.isdigit() else 1.0


def _read(response: httpx.Response) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    if isinstance(body, dict) and "detail" in body and "code" in body:
        raise PenultimateError.from_problem(body)
    raise _no_answer(response)


def _no_answer(response: httpx.Response) -> ServerUnreachable:
    reason = f"status {response.status_code}, but no answer of a Penultimate server."
    return ServerUnreachable(str(response.url), reason, status=response.status_code)
