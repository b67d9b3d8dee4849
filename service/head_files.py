"""A head as one file to pass on: a zip of its artefact and of its space. Knows no catalog.

Of one head it is always the same bytes. What comes from elsewhere is read within limits, and
believed in nothing that can be checked: forms, hashes, texts, and how large every number is.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import IO, Any

import numpy as np

from classifiers.errors import HeadDamaged
from classifiers.forest import Forest
from classifiers.head import CARD, Head
from features.keys import EmbeddingSpace
from service.errors import ArchiveRejected, HeadRejected, InvalidRequest, RequestTooLarge
from service.names import check_text
from service.unpacking import UNREADABLE, ArchiveLimits, open_archive

SPACE = "space.json"

MOST_BYTES = 2**26
"""What the files of a head may have together. A hundred labels on 50,000 images take 60 MB."""

CARD_BYTES = 2**21
"""What a card, or a space, may have: heads of some four hundred classes can be passed on."""

LIMITS = ArchiveLimits(members=32, total_bytes=MOST_BYTES, member_bytes=MOST_BYTES)

MOST_CLASSES = 1_000

MOST_TEXT = 2_000
"""Characters of a text on a card: people see it in pages and terminals."""

LARGEST = 1e18
"""Of any number in a head: what is reckoned with such numbers stays finite."""

ZIP = b"PK"

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""When every member was written: zip must say something."""


def pack(head: Head, space: EmbeddingSpace) -> bytes:
    """Return a head as a file.

    Args:
        head: what is passed on.
        space: that it was learnt in.

    Raises:
        RequestTooLarge: it is larger than anybody would take in.
    """
    files = {**head.to_files(), SPACE: json.dumps(space.to_dict(), indent=2).encode()}
    size = sum(map(len, files.values()))
    if size > MOST_BYTES or len(files[CARD]) > CARD_BYTES:
        raise RequestTooLarge(
            f"The head has {size} bytes, its card {len(files[CARD])}; one that is passed on may "
            f"have {MOST_BYTES}, its card {CARD_BYTES}.",
            hint="Make a backup, or learn it from fewer images or classes.",
        )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), files[name], zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def unpack(file: IO[bytes]) -> tuple[Head, EmbeddingSpace]:
    """Return the head and the space that a file holds.

    Args:
        file: what `pack` made, here or elsewhere; seekable.

    Raises:
        HeadRejected: it is no head, or one that was changed; the message says why.
    """
    files = _read(file)
    try:
        space = EmbeddingSpace.from_dict(json.loads(files.pop(SPACE)))
        head = Head.from_files(files, "file")
        _check(head, space)
    except KeyError as error:
        raise HeadRejected(f"{SPACE} is missing") from error
    except HeadDamaged as error:
        raise HeadRejected(error.detail) from error
    except InvalidRequest as error:
        raise HeadRejected(error.detail) from error
    except (ValueError, RecursionError, OverflowError) as error:
        raise HeadRejected(str(error)) from error
    return head, space


def _read(file: IO[bytes]) -> dict[str, bytes]:
    file.seek(0)
    if file.read(len(ZIP)) != ZIP:
        raise HeadRejected("it is no zip")
    try:
        with closing(open_archive(file, LIMITS)) as archive:
            files = {name: archive.read(name, MOST_BYTES) for name in archive.files}
    except ArchiveRejected as error:
        raise HeadRejected(error.detail) from error
    except UNREADABLE as error:
        raise HeadRejected("it is no zip, or damaged") from error
    if max(len(files.get(name, b"")) for name in (CARD, SPACE)) > CARD_BYTES:
        raise HeadRejected(f"its card or its space has more than {CARD_BYTES} bytes")
    return files


def _check(head: Head, space: EmbeddingSpace) -> None:
    card = head.card
    if card.space_id != space.id:
        raise ValueError(f"{SPACE} is not the space of the card")
    known = {(block.name, block.start, block.stop) for block in space.blocks}
    strange = [b.name for b in card.blocks if (b.name, b.start, b.stop) not in known]
    if card.width != space.width or strange:
        raise ValueError("the card looks at columns that its space does not have")
    if len(card.classes) > MOST_CLASSES:
        raise ValueError(f"it has more than {MOST_CLASSES} classes")
    for name in card.classes:
        if check_text("label", name) != name or card.question.named(name) != (name,):
            raise ValueError(f"{name[:MOST_TEXT]!a} cannot be a label")
    for value in _leaves(card.to_dict()):
        _check_value(value)
    if len(card.to_json()) > CARD_BYTES:
        raise ValueError("its card is too large")
    for numbers in (head.trees.leaves, *head.arrays.values()):
        if not (np.abs(numbers) <= LARGEST).all():
            raise ValueError("a number in it is too large to reckon with")
    # As it is asked among others: what does not fit together is found here, and not by a patient.
    Forest([head]).ask(np.zeros((1, card.width), np.float32))


def _check_value(value: object) -> None:
    if isinstance(value, str) and (len(value) > MOST_TEXT or not value.isprintable()):
        raise ValueError("the card has a text that is too long or cannot be printed")
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise ValueError("a number on the card is too large to reckon with")


def _leaves(value: Any) -> Iterator[object]:  # noqa: ANN401  whatever JSON can say
    """Yield every text and number, names of fields among them."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield key
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    else:
        yield value
