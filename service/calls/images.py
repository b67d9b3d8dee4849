"""Verbs of images as the requests that they take. Sends nothing: a client does."""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from service.exchange import (
    Call,
    Flow,
    Image,
    Images,
    NamedImage,
    ask,
    files_of,
    is_given,
    json_call,
    path_of,
)


def predict(
    images: Images = (),
    heads: str | Sequence[str] | None = None,
    *,
    digests: Sequence[str] = (),
    evidence: int = 0,
    remember: bool = True,
    explain: bool = False,
) -> Flow:
    """Asks heads about images: 1 to 64 of them, or digests of images that are known.

    Args:
        images: what to look at.
        heads: `name`, `name@3` or `name@alias`; none asks the champion of every head.
        digests: known images, in place of `images`.
        evidence: how many of the nearest labelled images to name, 0 to 20.
        remember: whether the vectors may be kept.
        explain: whether each answer comes with a heat map that adds up to its score; of at most 8
            images and 8 heads, and of images alone, not of digests.

    Raises:
        ValueError: both images and digests are given.
    """
    asked = [heads] if isinstance(heads, str) else heads
    if digests:
        if is_given(images):
            raise ValueError("give images or digests, not both")
        body: dict[str, Any] = {"digests": list(digests), "heads": asked, "evidence": evidence}
        if explain:
            body["explain"] = True  # refused by the server, with its reason
        return ask(json_call("POST", "/v1/predict", body))
    fields: dict[str, str | list[str]] = {
        "evidence": str(evidence),
        "remember": str(remember).lower(),
        "explain": str(explain).lower(),
    }
    if asked is not None:
        fields["heads"] = list(asked)
    return ask(Call("POST", "/v1/predict", fields=fields, files=files_of("images", images)))


def embed(images: Images) -> Flow:
    """Gives the vectors of 1 to 64 images, and the space that they live in."""
    return ask(Call("POST", "/v1/embed", files=files_of("images", images)))


def search(
    image: Image | NamedImage | None = None,
    *,
    digest: str | None = None,
    vector: Iterable[float] | None = None,
    k: int = 10,
    dataset: str | None = None,
    label: str | None = None,
) -> Flow:
    """Finds the `k` most similar images to an image, to a known digest or to a vector.

    Raises:
        ValueError: not exactly one of the three is given, or the vector has what is no number.
    """
    if sum(given is not None for given in (image, digest, vector)) != 1:
        raise ValueError("give exactly one of an image, a digest and a vector")
    if image is None:
        query = {"digest": digest, "vector": None if vector is None else _numbers(vector)}
        body = {**query, "k": k, "dataset": dataset, "label": label}
        return ask(
            json_call("POST", "/v1/search", {n: v for n, v in body.items() if v is not None})
        )
    filters = {"dataset": dataset, "label": label}
    fields: dict[str, str | list[str]] = {"k": str(k)}
    fields |= {name: value for name, value in filters.items() if value is not None}
    return ask(Call("POST", "/v1/search", fields=fields, files=files_of("image", image)))


def _numbers(vector: Iterable[float]) -> list[float]:
    """Plain numbers, whatever sort of them was given; JSON has no others."""
    numbers = [float(value) for value in vector]
    if not all(map(isfinite, numbers)):
        raise ValueError("the vector has a value that is not finite")
    return numbers


def erase(digest: str) -> Flow:
    """Erases an image everywhere; answers with the heads that were trained on it."""
    return ask(Call("DELETE", path_of("/v1/images/{}", digest)))


def spaces() -> Flow:
    """The backbones served and their identity."""
    return ask(Call("GET", "/v1/spaces"))


def ready() -> Flow:
    """Says whether requests can be answered now: `{"ready": true}`."""
    response = yield Call("GET", "/readyz")
    return {"ready": response.is_success}  # a server's probe has a body of its own, or none
