"""Heat maps as pictures: colours lie where the numbers are, and no file is written over."""

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.cli.heat_maps import MARGIN, SIDE, _words, draw, save


def photo(width: int = 60, height: int = 40) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (128, 128, 128)).save(buffer, "PNG")
    return buffer.getvalue()


def prediction(grid: Any, **crop: float) -> dict[str, Any]:
    place = {"width": 60, "height": 40, "left": 10, "top": 0, "side": 40, **crop}
    found = {"of": "yes", "against": "no", "base": 0.1, "score": 1.1, "grid": grid, "crop": place}
    found["unit"] = "log odds"
    return {"head": "h", "version": 2, "explanation": found}


def heated(picture: Image.Image, width: int, height: int) -> np.ndarray:
    """The right half: the image with its colours, float (height, width, 3)."""
    left = 2 * MARGIN + width
    return np.asarray(picture.crop((left, MARGIN, left + width, MARGIN + height)), float)


def warmth(pixels: np.ndarray) -> float:
    """How much more red than blue."""
    return float((pixels[..., 0] - pixels[..., 2]).mean())


def test_orange_is_where_the_answer_rests_and_blue_where_not() -> None:
    height = round(SIDE * 40 / 60)
    picture = heated(draw(photo(), prediction([[1.0, 0.0], [0.0, -1.0]])), SIDE, height)

    left, side = round(SIDE * 10 / 60), height
    square = picture[:, left : left + side]
    half = side // 2
    corners = [square[:half, :half], square[:half, half:], square[half:, :half]]
    top_left, top_right, bottom_left = map(warmth, corners)
    assert top_left > 40
    assert warmth(square[half:, half:]) < -40
    assert abs(top_right) < 25
    assert abs(bottom_left) < 25


def test_what_was_not_looked_at_has_no_colour_and_is_fainter() -> None:
    height = round(SIDE * 40 / 60)
    picture = heated(draw(photo(), prediction([[0.0]])), SIDE, height)

    outside, inside = picture[:, : SIDE // 8], picture[10:-10, SIDE // 3 : SIDE // 2]
    assert warmth(outside) == 0
    assert outside.mean() > inside.mean() + 20


@pytest.mark.parametrize(("width", "height"), [(1, 1), (50, 50), (3000, 20), (20, 3000)])
def test_images_of_any_size_are_drawn(width: int, height: int) -> None:
    side = min(width, height)
    crop = {"width": width, "height": height, "left": (width - side) / 2, "side": side}

    picture = draw(photo(width, height), prediction([[1.0, -1.0], [0.5, 0]], **crop))

    assert picture.width >= 2 * SIDE * min(1, width / height)
    assert picture.height > SIDE * min(1, height / width)


def test_no_file_is_written_over(tmp_path: Path) -> None:
    picture = Image.new("RGB", (4, 4))

    written = [save(picture, tmp_path / "new", "ward/1.png", "h@2") for _ in range(3)]

    names = [path.relative_to(tmp_path / "new").as_posix() for path in written]
    assert names == ["ward/1.png h@2.png", "ward/1.png h@2 (2).png", "ward/1.png h@2 (3).png"]
    assert all(Image.open(path).format == "PNG" for path in written)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ["h@2: yes rather than no, 3 times as likely", "score +1.10 log odds = +0.10 of a"]),
        ({"against": None}, ["h@2: yes, 3 times as likely as not", "score +1.10"]),
        (
            {"of": "higher", "against": "lower", "unit": "number", "base": 95.5, "score": 99.25},
            ["h@2: 99.25", "99.25 = 95.5 of a mean image +3.75 of this one"],
        ),
    ],
)
def test_the_words_are_those_of_the_task(changed: dict[str, Any], said: list[str]) -> None:
    made = {**prediction([[1.0]]), "label": "99.25"}
    made["explanation"] |= changed
    assert all(line.startswith(start) for line, start in zip(_words(made), said, strict=True))
    assert draw(photo(), made).width > 2 * SIDE
