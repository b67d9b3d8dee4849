"""Images in a report: labels in doubt, copies and strange ones, or none where none may be shown."""

import re
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO

import pytest
from in_process import Http, opened, settings_of, teach
from live_server import picture
from PIL import Image

from features.keys import digest
from service.report.gallery import Gallery, Pictured, copies, doubted, strange
from service.workflows.ingest import LabelledUpload, ingest

PAGE = "/v1/heads/colour/versions/1/report"
SHOWN = re.compile(r'<img src="data:image/jpeg;base64,([^"]+)" alt="([^"]*)"/>')


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """A head of two colours that was taught one wrong label."""
    with opened(settings_of(tmp_path_factory.mktemp("gallery") / "home")) as http:
        found = [
            LabelledUpload(f"{c}-{n}.png", picture(c, n), "green" if (c, n) == ("red", 3) else c)
            for c in ("red", "green")
            for n in range(15)
        ]
        ingest(http.product, "default", "colour", found)
        assert teach(http.product, "colour", "colour").state == "succeeded"
        yield http


def test_a_wrong_label_is_shown_with_its_picture(http: Http) -> None:
    page = http.get(PAGE)
    assert "img-src data:" in page.headers["content-security-policy"]
    worst, said = SHOWN.findall(page.text[page.text.index("Labels to look at again") :])[0]
    assert said == "labelled green, looks like red"
    assert "red-3.png: labelled green, looks like red" in page.text
    red, green, _ = Image.open(BytesIO(b64decode(worst))).resize((1, 1)).getpixel((0, 0))
    assert red > green


def test_a_report_without_pictures_holds_none_and_no_file_name(http: Http) -> None:
    page = http.get(f"{PAGE}?pictures=false").text
    assert "data:image" not in page
    # The name of a file may be that of a patient: it goes with the picture.
    assert "red-3" not in page
    assert "<li>labelled green, looks like red</li>" in page


def test_an_erased_image_is_not_in_the_report(http: Http) -> None:
    stranger = digest(picture("green", 7))
    assert http.delete(f"/v1/images/{stranger}").status_code == 200
    assert "green-7.png" not in http.get(PAGE).text


def test_what_is_said_of_images_is_counted_in_full_and_escaped() -> None:
    image = Pictured("<b>.png", 'labelled "a"', None)
    gallery = Gallery([image], 40, [[image, image]], 9, [image])
    assert "40 of the images" in "".join(doubted(gallery))
    assert "The 1 worst are shown" in "".join(doubted(gallery))
    assert "9 groups" in "".join(copies(gallery))
    for part in (doubted(gallery), copies(gallery), strange(gallery)):
        assert "&lt;b&gt;.png" in "".join(part)
        assert "<b>" not in "".join(part)


def test_nothing_found_and_nothing_known_are_different_things() -> None:
    assert "None were found" in "".join(copies(Gallery(n_copies=0)))
    assert "Not known" in "".join(copies(Gallery()))
    assert "No label" in "".join(doubted(Gallery()))
    assert strange(Gallery()) == ()
