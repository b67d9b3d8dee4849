"""Heat maps as pictures: the image beside itself, with what each place adds to the score over it.

Orange speaks for the answer, blue against it: colours that colour-blind people tell apart.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from features.images import thumbnail

SIDE = 512
"""Pixels of the longer side of the image as it is drawn."""

MARGIN = 16
LINE = 24
FONT_SIZE = 16
FOR, AGAINST = (230, 97, 1), (5, 113, 176)
GREY = (110, 110, 110)
STRONGEST = 0.8
"""How much of the picture below the strongest colour hides."""

SEEN, UNSEEN = 0.25, 0.7
"""How far what the backbone looks at, and what it does not, fades into white: on black no colour
is seen."""

MOST_TIMES = 1_000
"""Beyond this nobody's figures say how many times likelier a label is."""

Float64 = npt.NDArray[np.float64]


def draw(data: bytes, prediction: Mapping[str, Any]) -> Image.Image:
    """Return the picture of one answer: image, heat map, and what they say in words.

    Args:
        data: the image.
        prediction: as the service answers it, with its explanation.
    """
    explanation = prediction["explanation"]
    photo: Image.Image = Image.open(BytesIO(thumbnail(data, SIDE)))
    larger = SIDE / max(photo.size)
    photo = photo.resize([round(length * larger) for length in photo.size])
    heated = _heated(photo, explanation)
    lines = _words(prediction)
    width = max(2 * photo.width + 3 * MARGIN, 2 * SIDE)
    height = photo.height + 3 * MARGIN + (len(lines) + 1) * LINE
    page = Image.new("RGB", (width, height), "white")
    page.paste(photo, (MARGIN, MARGIN))
    page.paste(heated, (2 * MARGIN + photo.width, MARGIN))
    _write(page, lines, explanation, photo.height + 2 * MARGIN)
    return page


def save(picture: Image.Image, folder: Path, name: str, head: str) -> Path:
    """Write a picture under the name of its image and head; an older file is never written over.

    Args:
        picture: to write.
        folder: where; made if it is new.
        name: of the image, with the folders that it lay in.
        head: `name@version`.

    Returns:
        The file.
    """
    place = PurePosixPath(name)
    target = folder / place.parent
    target.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        again = "" if number == 1 else f" ({number})"
        try:
            with (target / f"{place.name} {head}{again}.png").open("xb") as file:
                picture.save(file, "PNG")
                return Path(file.name)
        except FileExistsError:
            continue
    raise FileExistsError(f"{target} is full of pictures of {place.name}")


def _heated(photo: Image.Image, explanation: Mapping[str, Any]) -> Image.Image:
    """The image in grey with the heat map over the square that was looked at."""
    crop = explanation["crop"]
    x, y = photo.width / crop["width"], photo.height / crop["height"]
    left, top = round(crop["left"] * x), round(crop["top"] * y)
    right = round((crop["left"] + crop["side"]) * x)
    bottom = round((crop["top"] + crop["side"]) * y)
    grey, white = photo.convert("L").convert("RGB"), Image.new("RGB", photo.size, "white")
    faded, grey = Image.blend(grey, white, UNSEEN), Image.blend(grey, white, SEEN)
    square = grey.crop((left, top, right, bottom))
    faded.paste(_coloured(square, np.array(explanation["grid"])), (left, top))
    ImageDraw.Draw(faded).rectangle((left, top, right - 1, bottom - 1), outline=GREY)
    return faded


def _coloured(square: Image.Image, grid: Float64) -> Image.Image:
    # Between cells colours run into each other: the edges of cells mean nothing.
    heat = Image.fromarray((grid / _strongest(grid)).astype(np.float32))
    values = np.asarray(heat.resize(square.size, Image.Resampling.BICUBIC)).clip(-1, 1)
    opacity = STRONGEST * np.abs(values)[:, :, np.newaxis]
    colours = np.where(values[:, :, np.newaxis] > 0, np.array(FOR), np.array(AGAINST))
    mixed = (1 - opacity) * np.asarray(square) + opacity * colours
    return Image.fromarray(mixed.round().astype(np.uint8))


def _strongest(grid: Float64) -> float:
    return float(np.abs(grid).max()) or 1.0


def _words(prediction: Mapping[str, Any]) -> list[str]:
    found = prediction["explanation"]
    head = f"{prediction['head']}@{prediction['version']}"
    added = found["score"] - found["base"]
    if found["unit"] == "number":
        parts = f"{found['base']:.6g} of a mean image {added:+.6g} of this one"
        return [f"{head}: {prediction['label']}", f"{found['score']:.6g} = {parts}"]
    times = f"{_times(found['score'])} as likely"
    if found["against"] is None:
        answer = f"{found['of']}, {times} as not"
    else:
        answer = f"{found['of']} rather than {found['against']}, {times}"
    parts = f"{found['base']:+.2f} of a mean image {added:+.2f} of this one"
    return [f"{head}: {answer}", f"score {found['score']:+.2f} log odds = {parts}"]


def _times(score: float) -> str:
    """How many times likelier, in two figures."""
    if score > np.log(MOST_TIMES):
        return f"more than {MOST_TIMES:,} times"
    return f"{float(f'{np.exp(score):.2g}'):g} times"


def _write(page: Image.Image, lines: list[str], explanation: Mapping[str, Any], top: int) -> None:
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_SIZE)
    for number, line in enumerate(lines):
        pen.text((MARGIN, top + number * LINE), line, "black", font)
    top += len(lines) * LINE
    cell = _strongest(np.array(explanation["grid"]))
    against = explanation["against"]
    named = (
        (FOR, f"for {explanation['of']}"),
        (AGAINST, f"for {against}" if against else f"against {explanation['of']}"),
        (None, f"full colour: {cell:.2g} in one cell of the grid"),
    )
    left = MARGIN
    for colour, text in named:
        if colour:
            pen.rectangle((left, top + 2, left + FONT_SIZE, top + 2 + FONT_SIZE), fill=colour)
            left += FONT_SIZE + 6
        pen.text((left, top), text, "black", font)
        left += int(pen.textlength(text, font)) + 2 * MARGIN
