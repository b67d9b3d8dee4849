"""Disks that are full or read-only, clocks that jump, files that rot: a refusal or a repair."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from in_process import Http, files, opened, settings_of, teach, work
from keyring import Keyring
from live_server import picture

from features.errors import StoreUnavailable
from service.catalog import Catalog
from service.catalog import jobs as jobs_module
from service.doctor import Finding, examine
from service.errors import CatalogUnavailable
from service.product import Product
from service.wiring import build
from service.workflows import heads
from service.workflows.ingest import LabelledUpload, ingest

KNOWN = [picture("red", n) for n in range(3)]
NEW = [picture("green", 7_000 + n, side=120) for n in range(6)]

REFUSED = (503, 507)


def answers(http: Http) -> Any:
    """What is said of known images: every head's answer, and the neighbours."""
    said = http.predict(*KNOWN, heads=["colour@1", "is-red@1"]).json()["results"]
    query = {"files": {"image": KNOWN[0]}, "data": {"k": "5", "dataset": "colour"}}
    hits = http.post("/v1/search", **query).json()["hits"]
    return [r["predictions"] for r in said], hits


def held(http: Http) -> dict[str, Any]:
    """Everything that a home holds of images and heads."""
    place = http.product.workspaces["default"]
    return {
        "rows": http.product.catalog.datasets.digests("default"),
        "bytes": set(place.blobs.digests()),
        "artefacts": set(place.zoo.artefacts()),
        "versions": http.get("/v1/heads").json(),
    }


def ill(home: Path) -> list[Finding]:
    """What the doctor finds wrong, but for this machine's own disk and packages."""
    found = examine(settings_of(home))
    return [f for f in found if not f.sound and f.about not in ("packages", "disk")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def on_disk(disk: Path, taught_home: Path) -> Iterator[Http]:
    """The application, on a home on the small disk."""
    with opened(settings_of(Path(shutil.copytree(taught_home, disk / "home")))) as http:
        yield http


def fill(disk: Path, *, but: int) -> Path:
    """Fills a disk, but for some bytes."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free - but
    ballast.write_bytes(bytes(max(0, free)))
    return ballast


@pytest.mark.parametrize("kib", [0, 4, 16, 48, 96, 160, 256, 400])
def test_a_full_disk_refuses_and_leaves_nothing_by_half(
    on_disk: Http, disk: Path, kib: int
) -> None:
    """With so little space that it ends in another step each time."""
    http, home = on_disk, on_disk.product.settings.home
    before, said = held(http), answers(http)
    ballast = fill(disk, but=kib * 1024)

    added = http.post("/v1/datasets/colour/images", files=files(*NEW), data={"labels": ["red"] * 6})
    asked = http.post("/v1/heads", json={"name": "new", "dataset": "is-red"})
    work_quietly(http)

    assert added.status_code in (200, *REFUSED), added.text
    assert asked.status_code in (202, *REFUSED), asked.text
    assert {a.headers.get("retry-after") for a in (added, asked) if a.status_code in REFUSED} <= {
        "5"
    }
    assert answers(http) == said
    ballast.unlink()
    work_quietly(http)
    now = held(http)
    if added.status_code != 200:
        assert (now["rows"], now["bytes"]) == (before["rows"], before["bytes"])
    else:
        assert len(now["rows"]) == len(now["bytes"]) == len(before["rows"]) + len(NEW)
    if asked.status_code != 202:
        assert (now["artefacts"], now["versions"]) == (before["artefacts"], before["versions"])

    again = http.post("/v1/datasets/colour/images", files=files(*NEW), data={"labels": ["red"] * 6})
    assert again.status_code == 200, again.text
    assert teach(http.product, "later", "colour").state == "succeeded"
    assert answers(http)[1] == said[1]
    assert ill(home) == []


def work_quietly(http: Http) -> None:
    """Does what waits, as a trainer that dies where not even a failure can be written down."""
    with suppress(CatalogUnavailable, StoreUnavailable):
        http.product.catalog.jobs.recover(orphaned_owner_prefix="", stale_s=0)
        work(http.product)


def test_a_read_only_home_is_refused_and_left_as_it_is(disk: Path, taught_home: Path) -> None:
    home = Path(shutil.copytree(taught_home, disk / "home"))
    with opened(settings_of(home)) as http:
        said, before = answers(http), held(http)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    found = ill(home)
    with pytest.raises((CatalogUnavailable, StoreUnavailable)) as refused:
        build(settings_of(home))

    assert refused.value.hint
    assert found, "the doctor found nothing wrong with a home that cannot be written"
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    with opened(settings_of(home)) as http:
        assert (answers(http), held(http)) == (said, before)
    assert ill(home) == []


def test_a_clock_set_back_neither_keeps_a_dead_job_nor_loses_a_new_one(
    sqlite_catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, real, day = sqlite_catalog.jobs, jobs_module.time.time, 86_400.0
    first = jobs.submit("default", "learn", {"n": 1})
    jobs.claim("a trainer that dies")

    class Clock:
        time = staticmethod(lambda: real() - day)

    monkeypatch.setattr(jobs_module, "time", Clock)
    assert jobs.recover(orphaned_owner_prefix=None, stale_s=15.0) == [first.id]
    monkeypatch.setattr(jobs_module, "now", lambda: "2001-01-01T00:00:00.000Z")
    second = jobs.submit("default", "learn", {"n": 2})
    taken = {job.id for _ in range(2) if (job := jobs.claim("another"))}

    assert taken == {first.id, second.id}
    assert jobs.recover(orphaned_owner_prefix=None, stale_s=15.0) == []
    assert jobs.get("default", second.id).state == "running"


def test_a_clock_set_back_changes_no_order_that_matters(http: Http) -> None:
    """What came last is what counts, whatever the clock said."""
    assert teach(http.product, "colour", "colour").state == "succeeded"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.catalog.heads.now", lambda: "2001-01-01T00:00:00.000Z")
        patched.setattr("service.catalog.aliases.now", lambda: "2001-01-01T00:00:00.000Z")
        http.put("/v1/heads/colour/aliases/champion", json={"version": 2, "reason": "later"})
        assert teach(http.product, "colour", "colour").state == "succeeded"
    history = http.get("/v1/heads/colour/history").json()["history"]

    assert (history[0]["version"], history[0]["reason"]) == (2, "later")
    assert http.get("/v1/heads/colour").json()["champion"] == 2
    http.delete("/v1/heads/colour/versions/2")
    assert http.get("/v1/heads/colour").json()["champion"] == 3


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 3
    data[middle : middle + 64] = bytes(255 - b for b in data[middle : middle + 64])
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [spoil, cut, Path.unlink])
@pytest.mark.parametrize("kind", ["keys", "rows", "units", "json"])
def test_a_damaged_index_is_made_again_to_the_same_answers(
    home: Path, kind: str, harm: Callable[[Path], None]
) -> None:
    with opened(settings_of(home)) as http:
        http.predict(*KNOWN)
        http.product.embedder.flush()
        before = answers(http)
    for path in (home / "index").glob(f"*/*/*.{kind}"):
        harm(path)

    with opened(settings_of(home)) as http:
        assert answers(http) == before
    # A row that nobody has asked for since may be damaged still; the doctor reads them all.
    assert all("index" in f.detail and "rebuilt" in f.hint for f in ill(home))
    shutil.rmtree(home / "index")
    assert ill(home) == []


RECORDS: dict[str, Callable[[Path], None]] = {
    "a Parquet file cut short": lambda t: cut(next(t.glob("*.parquet"))),
    "a Parquet file with wrong bytes": lambda t: spoil(next(t.glob("*.parquet"))),
    "a Parquet file lost": lambda t: next(t.glob("*.parquet")).unlink(),
    "the newest log entry cut short": lambda t: cut(max(t.glob("_delta_log/*.json"))),
    "the newest log entry empty": lambda t: max(t.glob("_delta_log/*.json")).write_bytes(b""),
    "the newest log entry lost": lambda t: max(t.glob("_delta_log/*.json")).unlink(),
    "the first log entry cut short": lambda t: cut(min(t.glob("_delta_log/*.json"))),
}


WITHOUT_INDEX = [d for d in RECORDS if d != "the newest log entry lost"]
"""Without an index nothing remembers that there was one more entry: the table is an older one."""


@pytest.mark.parametrize(
    ("damage", "indexed"), [*((d, True) for d in RECORDS), *((d, False) for d in WITHOUT_INDEX)]
)
def test_damaged_records_are_never_a_wrong_answer(home: Path, damage: str, indexed: bool) -> None:  # noqa: FBT001
    with opened(settings_of(home)) as http:
        before = answers(http)
    (table,) = (home / "records").glob("*/*")
    RECORDS[damage](table)
    if not indexed:
        shutil.rmtree(home / "index")

    with opened(settings_of(home)) as http:
        said = http.predict(*KNOWN)
        query = {"files": {"image": KNOWN[0]}, "data": {"k": "5", "dataset": "colour"}}
        hits = http.post("/v1/search", **query)
        right = said.status_code == 200 and hits.status_code == 200 and answers(http) == before
        refused = said.status_code in (500, 503) and "store" in said.json()["code"]
        assert right or refused, (said.text[:300], hits.text[:300])
    found = ill(home)
    assert found, "the doctor found nothing"
    assert any("records" in f.about for f in found), found
    assert all(f.hint for f in found)


CATALOGS: dict[str, Callable[[Path], object]] = {
    "garbage": lambda c: c.write_bytes(b"this is no database, but as long as one\n" * 500),
    "cut short": cut,
    "spoilt pages": lambda c: c.write_bytes(
        (data := c.read_bytes())[:8192] + b"\xff" * (len(data) // 2) + data[8192 + len(data) // 2 :]
    ),
    "a folder": lambda c: [c.unlink(), c.mkdir()],
    "of no bytes": lambda c: c.write_bytes(b""),
}


@pytest.mark.parametrize("damage", CATALOGS)
def test_a_damaged_catalog_is_named_and_never_replaced(home: Path, damage: str) -> None:
    CATALOGS[damage](home / "catalog.sqlite")

    found = ill(home)

    assert found, "the doctor found nothing"
    assert found[0].about == "catalog"
    assert found[0].hint
    assert (home / "images").is_dir()
    assert len(list((home / "zoo" / "default").iterdir())) >= 2
    with pytest.raises((CatalogUnavailable, StoreUnavailable)):
        build(settings_of(home)).close()


def test_a_home_that_has_lost_its_catalog_with_its_keys_stays_shut(home: Path) -> None:
    with opened(settings_of(home)) as http:
        assert http.get("/v1/heads").status_code == 200
        Keyring(http).key("admin")
        assert http.get("/v1/heads").status_code == 401
    for path in home.glob("catalog.sqlite*"):
        path.unlink()
    with opened(settings_of(home)) as http:
        assert http.get("/v1/heads").status_code == 401


def test_a_new_catalog_beside_an_old_home_deletes_nothing(home: Path) -> None:
    """What somebody gets who moves a damaged catalog away and starts."""
    (home / "catalog.sqlite").rename(home / "damaged.sqlite")
    product = build(settings_of(home))

    heads.sweep(product, "default")

    place = product.workspaces["default"]
    assert len(list(place.zoo.artefacts())) == 2
    assert len(list(place.blobs.digests())) == 24
    product.close()
    for path in home.glob("catalog.sqlite*"):
        path.unlink()
    (home / "damaged.sqlite").rename(home / "catalog.sqlite")
    assert ill(home) == []


def test_an_artefact_that_never_got_its_version_is_swept_away(product: Product) -> None:
    place = product.workspaces["default"]
    catalog = product.catalog.heads
    first, second = sorted(catalog.artefacts("default"))
    gone = catalog.remove("default", "is-red", actor="test")

    assert heads.sweep(product, "default") == 1

    assert set(place.zoo.artefacts()) == {first, second} - gone


def test_a_head_taught_beside_a_wrong_catalog_costs_no_older_head(home: Path) -> None:
    """What somebody gets who forgets PENULTIMATE_CATALOG_URL, and learns something."""
    product = build(settings_of(home))
    assert heads.sweep(product, "default") == 0  # as every trainer does
    product.close()
    other = build(settings_of(home, catalog_url=f"sqlite:///{home / 'other.sqlite'}"))
    pictures = [(c, picture(c, 500 + n)) for c in ("green", "blue") for n in range(12)]
    uploads = [
        LabelledUpload(f"{c}-{n}.png", data, c, None) for n, (c, data) in enumerate(pictures)
    ]
    ingest(other, "default", "third", uploads)
    assert teach(other, "third", "third").state == "succeeded"

    assert heads.sweep(other, "default") == 0

    assert len(list(other.workspaces["default"].zoo.artefacts())) == 3
    other.close()
    assert not [f for f in ill(home) if "heads" in f.about]
