"""An erased image leaves no byte in the home, whatever was done with it, and wherever that died."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from in_process import Http, settings_of, teach
from live_server import picture
from made_up import everything_under

from features.blobs import Blobs
from features.images import thumbnail
from features.index import unit
from features.keys import digest
from features.mirror import Mirror
from features.records import Records
from features.table import Table
from service.catalog import Catalog
from service.doctor import examine
from service.wiring import build
from service.workflows import erase

IMAGE = picture("red", 4_321, side=96)
DIGEST = digest(IMAGE)
NAME = "mueller-hans-1961-lung.png"
PATIENT = "patient Hans Mueller 1961"
WINDOW = 24
"""Bytes in a row that cannot be there by chance."""


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches `kill -9`."""


@pytest.fixture
def used(http: Http, vectors: dict[str, bytes]) -> dict[str, bytes]:
    """The same, after the image was used in every way there is."""
    assert teach(http.product, "colour", "colour").state == "succeeded"
    assert http.predict(IMAGE, evidence=5).status_code == 200
    http.post("/v1/search", files={"image": IMAGE})
    http.post("/v1/embed", files={"images": IMAGE})
    report = http.get("/v1/heads/colour/versions/2/report")
    assert report.status_code == 200, report.text
    assert http.get("/v1/heads/colour/versions/2/suspects").status_code == 200
    return vectors


@pytest.fixture
def vectors(http: Http) -> dict[str, bytes]:
    """Everything that is derived of an image, which a dataset now holds."""
    http.post(
        "/v1/datasets/colour/images",
        files={"images": (NAME, IMAGE)},
        data={"labels": "red", "groups": PATIENT},
    )
    record = http.product.workspaces["default"].store.get([DIGEST])[DIGEST]
    return {
        "the image": IMAGE,
        "its thumbnail": thumbnail(IMAGE, 160),
        "its embedding": record.embedding.tobytes(),
        "its stages": record.stages.tobytes(),
        "its unit": unit(record.embedding[np.newaxis]).tobytes(),
    }


def found_under(home: Path, wanted: dict[str, bytes]) -> set[str]:
    """Which of these lie anywhere below the home, in whole or in part."""
    held = everything_under(home)
    found = set()
    for what, data in wanted.items():
        middle = len(data) // 2
        windows = (data[at : at + WINDOW] for at in (middle, middle - WINDOW, len(data) - WINDOW))
        found |= {what} if any(window in held for window in windows) else set()
    if DIGEST in digests_in_parquet(home):
        found.add("its record")
    for text in (NAME, PATIENT):
        if text.encode() in held:
            found.add(text)
    return found


def digests_in_parquet(home: Path) -> set[str]:
    """Every digest in any Parquet file, whether or not a log names it."""
    found = set[str]()
    for path in (home / "records").rglob("records-*.parquet"):
        column = pq.read_table(path, columns=["digest"]).column("digest").to_pylist()
        found.update(d if isinstance(d, str) else d.hex() for d in column)
    return found


def test_the_search_of_this_file_finds_what_is_there(http: Http, vectors: dict[str, bytes]) -> None:
    """Else the tests below could not fail."""
    found = found_under(http.product.settings.home, vectors)

    assert found >= {"the image", "its embedding", "its unit", "its record", NAME, PATIENT}


def test_no_byte_of_an_erased_image_is_left_in_the_home(http: Http, used: dict[str, bytes]) -> None:
    assert http.delete(f"/v1/images/{DIGEST}").status_code == 200

    assert found_under(http.product.settings.home, used) == set()


Step = Callable[[pytest.MonkeyPatch], None]


def die_in(owner: type, method: str, *, after: bool) -> Step:
    """Dies before a step has begun, or when it has just ended."""

    def prepare(patched: pytest.MonkeyPatch) -> None:
        done = getattr(owner, method)

        def dying(*args: object, **given: object) -> None:
            if after:
                done(*args, **given)
            raise Killed

        patched.setattr(owner, method, dying)

    return prepare


STEPS: dict[str, Step] = {
    f"{'after' if after else 'before'} {owner.__name__}.{method}": die_in(
        owner, method, after=after
    )
    for owner, method in (
        (Catalog, "begin_erasure"),
        (Records, "erase"),
        (Mirror, "erase"),
        (Mirror, "publish"),
        (Table, "sweep"),
        (Mirror, "sweep"),
        (Blobs, "delete"),
        (Catalog, "finish_erasures"),
    )
    for after in (False, True)
}

STEPS["between the second look and the bytes"] = lambda patched: patched.setattr(
    erase, "time", type("clock", (), {"sleep": staticmethod(_die)})
)


def _die(_seconds: float) -> None:
    raise Killed


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(erase, "SECOND_LOOK_S", 0.0)
    return


@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_died_at_any_step_is_finished_at_the_next_start(
    http: Http, vectors: dict[str, bytes], quick: None, step: str
) -> None:
    home = http.product.settings.home
    with pytest.MonkeyPatch.context() as patched:
        STEPS[step](patched)
        with pytest.raises(Killed):
            erase.erase(http.product, "default", DIGEST)
    noted = bool(http.product.catalog.open_erasures())
    gone = DIGEST not in http.product.catalog.datasets.digests("default")

    product = build(settings_of(home))
    try:
        held = product.catalog.datasets.digests("default")
        assert product.catalog.open_erasures() == []
        if step == "before Catalog.begin_erasure":
            # Nothing was acknowledged and nothing was noted: the image is as whole as it was.
            assert (noted, gone, DIGEST in held) == (False, False, True)
            assert product.workspaces["default"].blobs.get(DIGEST) == IMAGE
            return
        assert gone
        assert DIGEST not in held
        assert found_under(home, vectors) == set()
    finally:
        product.close()
    assert all(f.sound for f in examine(settings_of(home)) if f.about != "disk")
