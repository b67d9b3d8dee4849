"""Whether everything is installed and agrees: one finding for each question. Repairs nothing.

A question that cannot be answered is a finding too: nothing that goes wrong here may end the rest.
"""

import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from service.calls import FINISHED
from service.catalog import Catalog
from service.client import Client, PenultimateError
from service.home import open_catalog
from service.names import PRIVATE
from service.problems import full_problem
from service.product import Product
from service.settings import Settings
from service.version import VERSION
from service.wiring import build

T = TypeVar("T")

PACKAGES = (
    "bentoml",
    "deltalake",
    "faiss-cpu",
    "fastapi",
    "lightgbm",
    "numba",
    "numpy",
    "openvino",
    "pillow",
    "pyarrow",
    "scikit-learn",
    "sqlalchemy",
    "timm",
    "torch",
)

KEPT = {"catalog.sqlite", "catalog.sqlite-wal", "images", "index", "records", "weights", "zoo"}
"""What lies in a home and says something of images."""

LEAST_FREE_BYTES = 512 * 2**20
"""Free space below which the next ingest is likely to fail."""

SETTLE_S = 1.0
"""How long an image that is being added may have its bytes but no row."""

FEW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Args:
        about: what was looked at.
        sound: whether it is as it should be.
        detail: what was found.
        hint: what to do where it is not sound.
    """

    about: str
    sound: bool
    detail: str
    hint: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Examines what is installed and the home folder."""
    yield _packages()
    yield from _guarded("home", lambda: _home(settings))
    catalog = yield from _opened("catalog", lambda: open_catalog(settings))
    if catalog is None:
        return
    yield from _guarded("catalog", lambda: _catalog(catalog))
    catalog.close()
    product = yield from _opened("engine", lambda: build(settings))
    if product is None:
        return
    try:
        yield from _guarded("engine", lambda: _engine(product))
        for name in product.catalog.workspaces():
            yield from _workspace(product, name)
        yield from _guarded("jobs", lambda: _jobs(product))
    finally:
        product.close()


def examine_server(client: Client) -> Iterator[Finding]:
    """Examines a server from outside."""
    try:
        ready = client.ready()["ready"]
        yield Finding("server", ready, f"{client.url} is {'ready' if ready else 'not ready'}")
        for space in client.spaces()["spaces"]:
            yield _sound("engine", f"{space['backbone']} on {space['device']}, space {space['id']}")
        yield _sound("heads", f"{len(client.heads()['heads'])} heads")
        yield _sound("datasets", f"{len(client.datasets()['datasets'])} datasets")
        waiting = [j for j in client.jobs()["jobs"] if j["state"] not in FINISHED]
        yield _sound("jobs", f"{len(waiting)} not finished")
        # No route shows a home's files, and a client should not believe that they were looked at.
        yield _sound("home", "not examined: run `penultimate doctor` where the server runs")
    except PenultimateError as error:
        yield Finding("server", sound=False, detail=error.detail, hint=error.hint)


def _packages() -> Finding:
    found, missing = [f"penultimate {VERSION}", f"python {sys.version.split()[0]}"], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        hint = f"pip install {' '.join(missing)}"
        return Finding("packages", sound=False, detail=f"missing: {', '.join(missing)}", hint=hint)
    return _sound("packages", ", ".join(found))


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.home.absolute()
    there = next(place for place in (home, *home.parents) if place.exists())
    free_bytes = shutil.disk_usage(there).free
    state = "" if there == home else " (made by the first command that needs it)"
    yield _sound("home", f"{home}{state}")
    enough = free_bytes >= LEAST_FREE_BYTES
    detail = f"{free_bytes / 2**30:.1f} GiB free at {there}"
    yield Finding("disk", enough, detail, "" if enough else "Make room before adding images.")
    found, hint = _open_to_others(home), f"Run chmod -R go= '{home}'."
    yield _agreement("privacy", found, "only its owner reads it", hint)


def _open_to_others(home: Path) -> list[str]:
    """What another account of this machine could read."""
    if not _mode(home) & PRIVATE:
        return []
    seen = sorted(name for name in KEPT if _mode(home / name) & PRIVATE)
    return [f"other accounts can read {', '.join(seen)}"] if seen else []


def _mode(path: Path) -> int:
    return path.lstat().st_mode if path.exists() else 0


def _catalog(catalog: Catalog) -> Iterator[Finding]:
    found = catalog.database.check()
    hint = "Restore the catalog from a backup."
    yield _agreement("catalog", found, "sound, at this release's tables", hint)
    for name in catalog.workspaces():
        broken = catalog.audit.check(name)
        hint = "Somebody changed the catalog by hand; compare with the seals in the server's log."
        yield _agreement(f"{name}: audit", broken, "the chain is whole", hint)
    erasures = catalog.open_erasures()
    if erasures:
        yield _sound("erasures", f"{len(erasures)} were interrupted; they are finished now")


def _engine(product: Product) -> Iterator[Finding]:
    product.engine.warm()
    space = product.space
    detail = f"{space.backbone} in {space.precision} on {product.engine.device}, space {space.id}"
    yield _sound("engine", detail)


def _workspace(product: Product, name: str) -> Iterator[Finding]:
    yield from _guarded(f"{name}: records", lambda: _records(product, name))
    yield from _guarded(f"{name}: images", lambda: _images(product, name))
    yield from _guarded(f"{name}: heads", lambda: _heads(product, name))


def _records(product: Product, name: str) -> Iterator[Finding]:
    store = product.workspaces[name].store
    hint = "Move the index folder away; it is rebuilt from the records."
    detail = f"{len(store)} records, the index agrees"
    yield _agreement(f"{name}: records", store.check(), detail, hint)


def _images(product: Product, name: str) -> Iterator[Finding]:
    place, about = product.workspaces[name], f"{name}: images"
    listed = product.catalog.datasets.digests(name)
    lost = sorted(d for d in listed if not place.blobs.has(d))
    if lost:
        detail = f"{len(lost)} images of datasets have lost their bytes: {_few(lost)}"
        yield Finding(about, sound=False, detail=detail, hint="Ingest them again.")
    strays = set(place.blobs.digests()) - listed
    if strays:
        time.sleep(SETTLE_S)
        strays &= set(place.blobs.digests()) - product.catalog.datasets.digests(name)
    if strays:
        detail = f"{len(strays)} images are kept that no dataset holds: {_few(sorted(strays))}"
        hint = "`penultimate erase DIGEST` removes one; ingesting it again gives it a dataset."
        yield Finding(about, sound=False, detail=detail, hint=hint)
    if not lost and not strays:
        new = len(listed - place.store.digests())
        later = f"; {new} are not embedded in this space, learning from them does it" if new else ""
        yield _sound(about, f"{len(listed)} images in datasets{later}")


def _heads(product: Product, name: str) -> Iterator[Finding]:
    place = product.workspaces[name]
    used = product.catalog.heads.artefacts(name)
    found = place.zoo.check()
    missing = sorted(used - set(place.zoo.artefacts()))
    if missing:
        found.append(f"artefacts are missing: {_few(missing)}")
    yield _agreement(
        f"{name}: heads",
        found,
        f"{len(used)} artefacts, all whole",
        "Delete the damaged version and learn it anew; its dataset is still there.",
    )


def _jobs(product: Product) -> Iterator[Finding]:
    for name in product.catalog.workspaces():
        waiting = [j for j in product.catalog.jobs.all(name) if j.state not in FINISHED]
        yield _sound(f"{name}: jobs", f"{len(waiting)} not finished")


def _opened(about: str, make: Callable[[], T]) -> Generator[Finding, None, T | None]:
    """Opens a part; a finding and None where that fails."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was to be found out
        yield _failure(about, error)
        return None


def _guarded(about: str, examine_it: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from examine_it()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what was to be found out
        yield _failure(about, error)


def _failure(about: str, error: Exception) -> Finding:
    said = full_problem(error)
    unknown = said["code"] == "internal_error"
    detail = f"{type(error).__name__}: {error}" if unknown else str(said["detail"])
    return Finding(about, sound=False, detail=detail, hint="" if unknown else str(said["hint"]))


def _agreement(about: str, found: list[str], detail: str, hint: str) -> Finding:
    if not found:
        return _sound(about, detail)
    more = f" (and {len(found) - FEW} more)" if len(found) > FEW else ""
    return Finding(about, sound=False, detail="; ".join(found[:FEW]) + more, hint=hint)


def _sound(about: str, detail: str) -> Finding:
    return Finding(about, sound=True, detail=detail)


def _few(digests: list[str]) -> str:
    more = f" and {len(digests) - FEW} more" if len(digests) > FEW else ""
    return ", ".join(digests[:FEW]) + more
