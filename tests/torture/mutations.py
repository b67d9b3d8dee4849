"""Sound pictures and archives, and ways to damage them."""

import io
import random
import tarfile
import zipfile

import numpy as np
from PIL import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
MODES = ("RGB", "L", "RGBA", "P", "1", "I;16")
ODD = (0, 1, 0x7F, 0x80, 0xFF)


def pictures() -> list[bytes]:
    """A small picture in every format and mode that goes together."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    made = []
    for name in FORMATS:
        for mode in MODES:
            out = io.BytesIO()
            try:
                image = Image.fromarray(pixels)
                converted = (
                    image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
                )
                converted.save(out, name)
            except (OSError, ValueError):
                continue  # that format knows no such mode
            made.append(out.getvalue())
    return made


def archives() -> list[bytes]:
    """A small archive of every kind, with tables."""
    files = {
        "cats/1.png": b"one" * 50,
        "dogs/2.png": bytes(600),
        "labels.csv": b"path,label\ncats/1.png,lion\n",
        "groups.csv": b"path,group\ndogs/2.png,rex\n",
    }
    made = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        made.append(out.getvalue())
    for mode in ("w:", "w:gz", "w:bz2", "w:xz"):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]  # a mode is a mode
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        made.append(out.getvalue())
    return made


def mutated(choices: random.Random, corpus: list[bytes]) -> bytes:
    """One of the corpus, damaged in one to eight places; sometimes bytes of no sense at all."""
    if choices.random() < 0.02:
        return choices.randbytes(choices.randint(0, 300))
    data = bytearray(choices.choice(corpus))
    for _ in range(choices.choice((1, 1, 2, 3, 8))):
        at = choices.randrange(len(data) + 1)
        match choices.randrange(7):
            case 0:
                data[at : at + 1] = bytes([choices.randrange(256)])
            case 1:
                data[at : at + 1] = bytes([choices.choice(ODD)])
            case 2:
                del data[at : at + choices.randint(1, 64)]
            case 3:
                data[at:at] = choices.randbytes(choices.randint(1, 16))
            case 4:
                start = choices.randrange(len(data) + 1)
                data[at : at + 32] = data[start : start + 32]
            case 5:
                other = choices.choice(corpus)
                start = choices.randrange(len(other))
                data[at:at] = other[start : start + choices.randint(1, 200)]
            case _:
                number = choices.choice((0, 1, 2**31 - 1, 2**32 - 1, 2**63 - 1))
                data[at : at + 4] = (number & 0xFFFFFFFF).to_bytes(
                    4, choices.choice(("big", "little"))
                )
    return bytes(
        data[
            : 1
            if not data
            else len(data)
            if choices.random() < 0.9
            else choices.randrange(len(data))
        ]
    )
