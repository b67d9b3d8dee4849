"""Names in a catalog that was made elsewhere: none of them leads out of the home."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import copytree

import pytest
from in_process import Http, settings_of
from live_server import picture
from made_up import everything_under
from sqlalchemy import insert

from features.keys import digest
from service.backup import back_up, restore, verify
from service.backup.manifest import CATALOG, MANIFEST, copy_file, read_manifest
from service.catalog import Catalog, strange_names
from service.catalog.tables import erasures, heads, workspaces
from service.doctor import examine
from service.errors import BackupRejected, CatalogUnavailable, InvalidRequest
from service.product import Product
from service.wiring import build
from service.workflows.sharing import export_head
from service.workspace import Workspace

OUT = "../../victim/images/default"
"""A workspace below whose folder of images another home lies."""

VICTIM = digest(b"of somebody else")

CRAFTED = {
    "a workspace that leads out": f"INSERT INTO workspaces VALUES ('{OUT}', 'then')",
    "a workspace of bytes": "INSERT INTO workspaces VALUES (x'2e2e', 'then')",
    "a workspace with a line break": "INSERT INTO workspaces VALUES ('ward\n', 'then')",
    "an erasure in no workspace": f"INSERT INTO erasures VALUES ('{OUT}', '{VICTIM}', 'then')",
    "a space of no workspace": f"INSERT INTO spaces VALUES ('{OUT}', 'id', '{{}}', 'then')",
    "a dataset of no workspace": f"UPDATE datasets SET workspace = '{OUT}'",
    "an image that leads out": "UPDATE labels SET digest = '../../../secret' WHERE id = 1",
    "an image in capitals": "UPDATE labels SET digest = upper(digest) WHERE id = 1",
    "an image that goes on": "UPDATE labels SET digest = digest || char(0) || '/..' WHERE id = 1",
    "an image to be erased": "INSERT INTO erasures VALUES ('default', '*', 'then')",
    "an image learnt from": "UPDATE training_images SET digest = '..' || substr(digest, 3)",
    "an artefact that leads out": "UPDATE versions SET artefact = '../../secret'",
    "a head for two headers": "UPDATE heads SET name = 'h\"\r\nSet-Cookie: a=b' WHERE id = 1",
    "no table of images": "DROP TABLE labels",
}
"""What somebody may have done to a catalog before they gave it away."""


def change(catalog: Path, *statements: str) -> None:
    with closing(sqlite3.connect(catalog)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def crafted(backup: Path, place: Path, *statements: str) -> Path:
    """A copy of a backup whose catalog was changed, and whose manifest says so."""
    changed = Path(copytree(backup, place))
    change(changed / CATALOG, *statements)
    manifest = read_manifest(changed)
    manifest.files[CATALOG] = copy_file(changed / CATALOG, None)
    (changed / MANIFEST).write_bytes(manifest.to_json())
    return changed


@pytest.mark.parametrize("how", CRAFTED)
def test_a_backup_that_names_what_lies_elsewhere_is_refused_whole(
    backup: Path, tmp_path: Path, how: str
) -> None:
    evil = crafted(backup, tmp_path / "evil", CRAFTED[how])
    before = sorted(evil.rglob("*"))
    empty = settings_of(tmp_path / "empty")

    with pytest.raises(BackupRejected) as checked:
        verify(evil)
    with pytest.raises(BackupRejected) as refused:
        restore(empty, evil)

    assert list(empty.home.iterdir()) == []
    assert sorted(evil.rglob("*")) == before
    assert all(one.value.hint for one in (checked, refused))


def test_every_name_that_leads_out_is_told(backup: Path, tmp_path: Path) -> None:
    evil = crafted(
        backup,
        tmp_path / "evil",
        CRAFTED["a workspace that leads out"],
        CRAFTED["an artefact that leads out"],
    )
    assert strange_names(evil / CATALOG) == [
        f"a workspace '{OUT}'",
        "an artefact '../../secret'",
    ]
    with pytest.raises(BackupRejected) as refused:
        verify(evil)
    assert len(refused.value.problems) == 2


def test_the_names_of_a_sound_catalog_are_taken(backup: Path) -> None:
    assert strange_names(backup / CATALOG) == []


@pytest.mark.parametrize("how", ["a workspace that leads out", "an erasure in no workspace"])
def test_a_home_with_such_a_catalog_is_not_opened_and_nothing_else_is_touched(
    home: Path, tmp_path: Path, how: str
) -> None:
    """As a restore of an older release has left it."""
    place = tmp_path / "victim" / "images" / "default"
    kept = place / VICTIM[:2] / VICTIM
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"of somebody else")
    note = place / ".adding" / "note"
    note.parent.mkdir()
    note.write_text(VICTIM)
    before = sorted((tmp_path / "victim").rglob("*"))
    change(
        home / CATALOG,
        CRAFTED[how],
        f"INSERT OR IGNORE INTO erasures VALUES ('{OUT}', '{VICTIM}', '')",
    )

    with pytest.raises(CatalogUnavailable) as refused:
        build(settings_of(home))

    assert OUT in refused.value.detail
    assert sorted((tmp_path / "victim").rglob("*")) == before
    assert not all(finding.sound for finding in examine(settings_of(home)))
    assert sorted((tmp_path / "victim").rglob("*")) == before


@pytest.mark.parametrize("name", [OUT, "..", "", "a/b", "/dev/null/x", "ward\n", ".ward"])
def test_no_workspace_is_opened_or_listed_under_a_name_that_leads_out(
    catalog: Catalog, product: Product, tmp_path: Path, name: str
) -> None:
    with catalog.database.write() as connection:
        connection.execute(insert(workspaces).values(name=name, created="then"))
    with pytest.raises(CatalogUnavailable):
        catalog.workspaces()
    new = tmp_path / "deep" / "new"
    with pytest.raises(CatalogUnavailable):
        Workspace(
            name,
            home=new,
            store_uri=str(new / "records"),
            space=product.space,
            note=lambda _: None,
        )
    assert not new.parent.exists()


def test_an_erasure_of_another_catalog_removes_nothing_elsewhere(product: Product) -> None:
    with product.catalog.database.write() as connection:
        values = {"workspace": OUT, "digest": VICTIM, "requested": "then"}
        connection.execute(insert(erasures).values(values))
    with pytest.raises(CatalogUnavailable):
        product.workspaces[OUT]


@pytest.mark.parametrize(
    "statement",
    [CRAFTED["an image that leads out"], CRAFTED["an artefact that leads out"]],
)
def test_a_backup_takes_no_file_from_elsewhere(home: Path, tmp_path: Path, statement: str) -> None:
    (home.parent / "secret").mkdir()
    (home.parent / "secret" / "key.pem").write_bytes(b"of somebody else")
    change(home / CATALOG, statement)

    with pytest.raises(CatalogUnavailable):
        back_up(settings_of(home), tmp_path / "out" / "backup")

    assert list((tmp_path / "out").iterdir()) == []
    assert sorted(p.name for p in (home.parent / "secret").iterdir()) == ["key.pem"]


def test_a_head_is_neither_registered_nor_given_away_under_a_name_that_no_file_has(
    http: Http, register: Callable[..., int]
) -> None:
    name = 'colour"\r\nSet-Cookie: a=b'
    with pytest.raises(InvalidRequest):
        register(name)
    catalog = http.product.catalog
    with catalog.database.write() as connection:
        connection.execute(heads.update().where(heads.c.name == "colour").values(name=name))
    with pytest.raises(InvalidRequest):
        export_head(http.product, "default", name, 1)
    assert picture("red", 0) in everything_under(http.product.settings.home)
