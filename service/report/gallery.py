"""Images of a report: labels in doubt, copies, the strangest. Knows no catalog and no file."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from service.report.markup import Markup, element

_NOT_HERE = "Not known here: the head came as a file, without the images it learnt from."
_NOT_SERVED = "Not known: the space of this head is not the one served."


@dataclass(frozen=True, slots=True)
class Pictured:
    """An image and what is said of it.

    Args:
        name: its filename, or the start of its digest.
        said: what there is to see.
        jpeg: a small picture of it without metadata; None where its bytes are not kept.
    """

    name: str
    said: str
    jpeg: bytes | None


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images that a person should look at, in groups.

    Args:
        doubted: whose label the out-of-fold answers contradict, worst first.
        n_doubted: how many there are in all; None where they cannot be told.
        copies: nearly the same, side by side; groups with conflicting labels first.
        n_copies: how many such groups there are in all; None where they cannot be told.
        strange: least usual among the images learnt from, strangest first.
    """

    doubted: Sequence[Pictured] = ()
    n_doubted: int | None = 0
    copies: Sequence[Sequence[Pictured]] = ()
    n_copies: int | None = None
    strange: Sequence[Pictured] = ()


UNKNOWN = Gallery(n_doubted=None, n_copies=None)
"""Of a head whose images never were here."""


def doubted(gallery: Gallery) -> tuple[Markup, ...]:
    """Labels in doubt."""
    if gallery.n_doubted is None:
        return (element("p", _NOT_HERE),)
    if not gallery.n_doubted:
        return (element("p", "No label is contradicted by the out-of-fold answers."),)
    said = (
        f"{gallery.n_doubted} of the images learnt from look like something else to a head "
        "that had not seen them. Some are hard, some are labelled wrongly: look."
    )
    shown = len(gallery.doubted)
    rest = f" The {shown} worst are shown." if shown < gallery.n_doubted else ""
    return element("p", said + rest), _row(gallery.doubted)


def copies(gallery: Gallery) -> tuple[Markup, ...]:
    """Images that are nearly the same."""
    if gallery.n_copies is None:
        return (element("p", _NOT_SERVED if gallery.n_doubted is not None else _NOT_HERE),)
    if not gallery.n_copies:
        return (element("p", "None were found."),)
    said = f"{gallery.n_copies} groups of images are nearly the same."
    shown = len(gallery.copies)
    rest = f" {shown} are shown, those with conflicting labels first." if shown else ""
    return element("p", said + rest), *(_row(group) for group in gallery.copies)


def strange(gallery: Gallery) -> tuple[Markup, ...]:
    """The strangest of the images learnt from."""
    if not gallery.strange:
        return ()
    said = "The least usual of the images it learnt from; are they what they should be?"
    return element("p", said), _row(gallery.strange)


def _row(images: Sequence[Pictured]) -> Markup:
    # Names of files may name people: they go where the pictures go.
    if all(image.jpeg is None and not image.name for image in images):
        return element("ul", *(element("li", image.said) for image in images))
    return element("div", *(_figure(image) for image in images), class_="gallery")


def _figure(image: Pictured) -> Markup:
    if image.jpeg is None:
        shown = element("div", "no picture kept", class_="absent")
    else:
        source = f"data:image/jpeg;base64,{b64encode(image.jpeg).decode()}"
        shown = element("img", src=source, alt=image.said)
    return element("figure", shown, element("figcaption", f"{image.name}: {image.said}"))
