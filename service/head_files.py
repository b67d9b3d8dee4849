"""A head as one file to pass on: a zip of its artefact and of its space. Knows no catalog.

Of one head it is always the same bytes. What comes from elsewhere is read within limits, and
believed in nothing that can be checked: forms, hashes, texts, and that answers are answers.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import IO, Any

import numpy as np

from classifiers.errors import HeadDamaged
from classifiers.head import Head
from features.keys import EmbeddingSpace
from service.errors import ArchiveRejected, HeadRejected, RequestTooLarge
from service.unpacking import UNREADABLE, ArchiveLimits, open_archive

SPACE = "space.json"

MOST_BYTES = 2**26
"""What the files of a head may have together. A hundred labels on 50,000 images take 60 MB."""

LIMITS = ArchiveLimits(members=32, total_bytes=MOST_BYTES, member_bytes=MOST_BYTES)

MOST_TEXT = 2_000
"""Characters of a text on a card: people see it in pages and terminals."""

LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""When every member was written: zip must say something."""

PROBES = 8
"""Made-up images that a head from elsewhere is asked about before it is taken in."""


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
    if size > MOST_BYTES:
        raise RequestTooLarge(
            f"The head has {size} bytes; one that is passed on may have {MOST_BYTES}.",
            hint="Make a backup, or learn it from fewer images.",
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
    except (ValueError, RecursionError, OverflowError) as error:
        raise HeadRejected(str(error)) from error
    return head, space


def _read(file: IO[bytes]) -> dict[str, bytes]:
    try:
        with closing(open_archive(file, LIMITS)) as archive:
            return {name: archive.read(name, MOST_BYTES) for name in archive.files}
    except ArchiveRejected as error:
        raise HeadRejected(error.detail) from error
    except UNREADABLE as error:
        raise HeadRejected("it is no zip, or damaged") from error


def _check(head: Head, space: EmbeddingSpace) -> None:
    card = head.card
    if card.space_id != space.id:
        raise ValueError(f"{SPACE} is not the space of the card")
    known = {(block.name, block.start, block.stop) for block in space.blocks}
    strange = [b.name for b in card.blocks if (b.name, b.start, b.stop) not in known]
    if card.width != space.width or strange:
        raise ValueError("the card looks at columns that its space does not have")
    for text in _texts(card.to_dict()):
        if len(text) > MOST_TEXT or not text.isprintable():
            raise ValueError("the card has a text that is too long or cannot be printed")
    # Numbers may be sound one by one, and too large to reckon with.
    X = np.random.default_rng(0).standard_normal((PROBES, card.width)).astype(np.float32)
    if not (np.isfinite(head.answers(X)).all() and np.isfinite(head.usualness(X)).all()):
        raise ValueError("what it answers is no number")


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  whatever JSON can say
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
