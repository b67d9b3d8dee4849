"""The home folder and its catalog: opened together, never with another's. Knows no workflows."""

from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from features.disk import flush, reaching, write_new
from features.errors import StoreUnavailable
from service.backup import RESTORING
from service.backup.manifest import CATALOG
from service.catalog import Catalog
from service.errors import CatalogUnavailable
from service.settings import Settings
from service.workspace import IMAGES, ZOO

HOME_ID = "home.id"
"""The file that says which home this is, in a home whose catalog lies elsewhere."""


def open_catalog(settings: Settings) -> Catalog:
    """Makes the home folder, readable by its owner alone, and opens its catalog.

    Raises:
        CatalogUnavailable: it cannot be opened, has lost all that it held, or is another home's.
        StoreUnavailable: the home cannot be made or written, or holds half of a backup.
    """
    _prepare(settings.home)
    catalog = Catalog(settings.catalog_place)
    try:
        file = catalog.database.file
        if file is None or not file.resolve().is_relative_to(settings.home.resolve()):
            _claim(settings.home, catalog)
    except BaseException:
        catalog.close()
        raise
    return catalog


def _prepare(home: Path) -> None:
    if (home / RESTORING).exists():
        reason = "a backup was being restored here, and that was interrupted"
        hint = "Run `penultimate restore` again, or empty the folder."
        raise StoreUnavailable(str(home), reason, hint=hint)
    _refuse_emptied(home)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "run").mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "Check PENULTIMATE_HOME and the permissions of the folder that it is in."
        raise StoreUnavailable(str(home), reason, hint=hint) from error


def _refuse_emptied(home: Path) -> None:
    """SQLite takes a file of no bytes for a new catalog."""
    catalog = home / CATALOG
    if not catalog.is_file() or catalog.stat().st_size:
        return
    if any(next((home / folder).glob("*/*"), None) for folder in (IMAGES, ZOO)):
        raise CatalogUnavailable(
            f"{catalog} is empty, but the home holds images or heads",
            hint="Restore a backup. To go on without names, labels and keys, move the file away.",
        )


def _claim(home: Path, catalog: Catalog) -> None:
    """Images and heads lie in the home: of another's, nothing could be erased or asked."""
    mine = _id_of(home)
    if catalog.belongs_to(mine) != mine:
        raise CatalogUnavailable(
            f"{catalog.database.place} belongs to another home than {home}",
            hint="Give this home a catalog of its own. If it is the same home in a new place, copy "
            f"{HOME_ID} from the old one.",
        )


def _id_of(home: Path) -> str:
    file = home / HOME_ID
    with reaching(file):
        if not file.exists():
            made = file.with_name(f".{HOME_ID}.{token_hex(4)}")
            write_new(made, token_hex(16).encode())
            with suppress(FileExistsError):
                file.hardlink_to(made)  # of several processes, the first
            made.unlink()
            flush(home)
        return file.read_text("ascii")
