"""Backups: what they hold, what they refuse, and that a home put back answers as it did before."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import throwaway_postgres as postgres
from damage import flip
from in_process import Http, files, opened, settings_of, teach
from live_server import picture
from made_up import everything_under
from safetensors.torch import save_file
from sqlalchemy import URL
from typer.testing import CliRunner, Result

from features import conversion, networks
from features.keys import EmbeddingSpace, digest
from service.backup import back_up, making, restore, verify
from service.backup.manifest import MANIFEST
from service.cli import app
from service.doctor import examine
from service.errors import BackupRejected, CatalogUnavailable, InvalidRequest
from service.product import Product
from service.settings import Settings
from service.wiring import build
from service.workflows.erase import erase
from service.workflows.ingest import LabelledUpload, ingest

UNSEEN = [picture("red", 901), picture("green", 902)]

NNCF = find_spec("nncf") is not None

TIMES = ("timings_ms", "request_id")


@pytest.fixture
def damaged(backup: Path, tmp_path: Path) -> Path:
    """A copy of the backup, to be damaged."""
    return Path(shutil.copytree(backup, tmp_path / "damaged"))


def answers(http: Http) -> list[Any]:
    """What a home says, without the times that it took."""
    said = [http.predict(*UNSEEN, evidence=3).json()]
    said += [http.get(f"/v1/{what}").json() for what in ("heads", "datasets", "jobs", "spaces")]
    query = {"files": {"image": UNSEEN[0]}, "data": {"k": "5", "dataset": "colour"}}
    said.append(http.post("/v1/search", **query).json())
    said.append(http.get("/v1/heads/colour/versions/1").json())
    said.append(http.get("/v1/heads/colour/history").json())
    return [{k: v for k, v in part.items() if k not in TIMES} for part in said]


def test_a_home_put_back_gives_the_same_answers_and_is_sound(home: Path, tmp_path: Path) -> None:
    with opened(settings_of(home)) as http:
        http.predict(*UNSEEN)
        http.product.embedder.flush()
        before = answers(http)
        made = back_up(settings_of(home), tmp_path / "backup")
    empty = settings_of(tmp_path / "empty")

    manifest = restore(empty, made.path)

    assert manifest == made.manifest
    assert (made.passes, made.manifest.missing) == (1, ())
    with opened(empty) as http:
        assert answers(http) == before
    findings = [f for f in examine(empty) if f.about not in ("packages", "disk")]
    assert all(f.sound for f in findings), findings
    assert "default: records" in {f.about for f in findings}


def test_a_backup_holds_what_its_manifest_names_for_its_owner_alone(backup: Path) -> None:
    named = verify(backup).files
    files = {p for p in backup.rglob("*") if p.is_file()}

    assert {p.relative_to(backup).as_posix() for p in files} == {*named, MANIFEST}
    assert {p.stat().st_mode & 0o777 for p in files} == {0o600}
    folders = {backup, *(p for p in backup.rglob("*") if p.is_dir())}
    assert {p.stat().st_mode & 0o777 for p in folders} == {0o700}
    assert {path.partition("/")[0] for path in named} == {
        *("catalog.sqlite", "images", "zoo", "records"),
    }


def a_cached_engine(home: Path, name: str, space: EmbeddingSpace) -> Path:
    """A folder of the cache as its label has it, for a space of some precision."""
    folder = home / "cache" / "engines" / name
    folder.mkdir(parents=True)
    for file in ("backbone.xml", "backbone.bin"):
        (folder / file).write_bytes(name.encode())
    label = {"id": space.id, "space": space.to_dict(), "backbone.xml": "", "backbone.bin": ""}
    (folder / "space.json").write_text(json.dumps(label))
    return folder


def test_a_backup_holds_weights_and_those_calibrated_backbones_that_records_came_from(
    product: Product, tmp_path: Path
) -> None:
    home, base = product.settings.home, product.space
    used, other = (replace(base, precision="int8", weights_sha256=c * 64) for c in "ab")
    product.catalog.spaces.note("default", used.id, used.to_dict())
    product.catalog.spaces.note("default", base.id, base.to_dict())
    for name, space in {"used": used, "other": other, "exact": base, ".half": used}.items():
        a_cached_engine(home, name, space)
    (home / "weights").mkdir()
    (home / "weights" / "timm-own.safetensors").write_bytes(b"weights")

    files = back_up(product.settings, tmp_path / "backup").manifest.files

    names = {path.removeprefix("cache/engines/") for path in files if path.startswith("cache/")}
    assert names == {f"used/{file}" for file in ("backbone.xml", "backbone.bin", "space.json")}
    assert "weights/timm-own.safetensors" in files
    restore(settings_of(tmp_path / "empty"), tmp_path / "backup")
    assert (tmp_path / "empty" / "weights" / "timm-own.safetensors").read_bytes() == b"weights"


@pytest.mark.skipif(not NNCF, reason="NNCF, the extra int8, is not installed")
def test_an_int8_home_put_back_gives_the_same_answers_where_calibration_would_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = networks.timm.create_model("test_resnet")  # type: ignore[attr-defined]
    home, empty = tmp_path / "home", tmp_path / "empty"
    (home / "weights").mkdir(parents=True)
    save_file(network.state_dict(), home / "weights" / "timm-test_resnet.safetensors")
    int8 = {"backbone": "timm/test_resnet@int8", "threads": 1}
    with opened(Settings(home=home, **int8)) as http:
        uploads = [
            LabelledUpload("x", picture(c, n), c) for c in ("red", "green") for n in range(8)
        ]
        ingest(http.product, "default", "colour", uploads)
        assert teach(http.product, "colour", "colour").state == "succeeded"
        http.predict(*UNSEEN)
        http.product.embedder.flush()
        before = answers(http)
        back_up(http.product.settings, tmp_path / "backup")
        seen_after = http.post("/v1/embed", files=files(picture("red", 905))).json()

    restore(Settings(home=empty, **int8), tmp_path / "backup")

    def again(*_: object) -> None:
        raise AssertionError("the backbone was calibrated again")

    monkeypatch.setattr(conversion, "_build", again)
    with opened(Settings(home=empty, **int8)) as http:
        assert answers(http) == before
        assert http.post("/v1/embed", files=files(picture("red", 905))).json() == seen_after


def test_an_erased_image_is_in_no_backup_made_afterwards(product: Product, tmp_path: Path) -> None:
    image = picture("red", 3)
    vector = product.workspaces["default"].store.get([digest(image)])[digest(image)].embedding
    assert image in everything_under(product.settings.home)
    erase(product, "default", digest(image))

    made = back_up(product.settings, tmp_path / "backup")

    held = everything_under(made.path)
    assert image not in held
    assert vector.tobytes() not in held
    # The audit alone says which image it was: that it is gone must be provable.
    with sqlite3.connect(made.path / "catalog.sqlite") as catalog:
        rows = [line for line in catalog.iterdump() if digest(image) in line]
    catalog.close()
    assert [row.partition(" VALUES")[0] for row in rows] == ['INSERT INTO "audit"']


@pytest.mark.parametrize("what", ["image", "head", "records"])
def test_what_is_removed_while_it_is_copied_makes_another_pass(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    erased, copied = digest(picture("red", 0)), making.copy_file
    removals: dict[str, Callable[[], object]] = {
        "image": lambda: http.delete(f"/v1/images/{erased}"),
        "head": lambda: http.delete("/v1/heads/is-red"),
        "records": http.product.workspaces["default"].store.compact,
    }

    def remove_first(*given: Any) -> Any:
        monkeypatch.setattr(making, "copy_file", copied)
        removals[what]()
        return copied(*given)

    if what == "records":
        http.predict(*UNSEEN)
        http.product.embedder.flush()
    monkeypatch.setattr(making, "copy_file", remove_first)
    settings = settings_of(tmp_path / "empty")

    made = back_up(http.product.settings, tmp_path / "backup")

    assert (made.passes, made.manifest.missing) == (2, ())
    verify(made.path)
    restore(settings, made.path)
    assert all(f.sound for f in examine(settings) if f.about not in ("packages", "disk"))


def test_an_image_erased_after_it_was_copied_is_not_in_the_backup(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, copied = picture("red", 0), making.copy_file

    def erase_at_the_end(source: Path, target: Path | None) -> Any:
        if target is None:  # the catalog, which is read last of all
            monkeypatch.setattr(making, "copy_file", copied)
            assert http.delete(f"/v1/images/{digest(image)}").status_code == 200
        return copied(source, target)

    monkeypatch.setattr(making, "copy_file", erase_at_the_end)

    made = back_up(http.product.settings, tmp_path / "backup")

    assert (made.passes, made.manifest.missing) == (2, ())
    assert image not in everything_under(made.path)


def test_a_backup_says_what_the_home_had_lost_before(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "SETTLE_S", 0.0)
    lost = digest(picture("red", 0))
    (path,) = (home / "images").rglob(lost)
    path.unlink()

    said = command(home, "backup", tmp_path / "backup")

    assert said.exit_code == 1
    assert f"images/default/{lost[:2]}/{lost} was lost before" in said.stderr
    assert verify(tmp_path / "backup").missing == (
        f"images/default/{path.relative_to(path.parents[1])}",
    )


def rewrite(backup: Path, **given: Any) -> None:
    said = json.loads((backup / MANIFEST).read_text())
    (backup / MANIFEST).write_text(json.dumps({**said, **given}))


def swap(backup: Path, path: str) -> None:
    """Gives another name to the catalog."""
    said = json.loads((backup / MANIFEST).read_text())
    said["files"][path] = said["files"]["catalog.sqlite"]
    (backup / MANIFEST).write_text(json.dumps(said))


def link_out(backup: Path) -> None:
    shutil.move(backup / "images", backup.parent / "elsewhere")
    (backup / "images").symlink_to(backup.parent / "elsewhere")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit in the catalog": lambda b: flip(b / "catalog.sqlite"),
    "a flipped bit in an image": lambda b: flip(next(p for p in b.glob("images/*/??/*"))),
    "a flipped bit in the records": lambda b: flip(next(b.glob("records/*/*/*.parquet"))),
    "a file cut short": lambda b: next(b.glob("zoo/*/*/*")).write_bytes(b""),
    "a missing file": lambda b: next(b.glob("records/*/*/_delta_log/*")).unlink(),
    "a missing folder": lambda b: shutil.rmtree(b / "zoo"),
    "a folder that is a link": link_out,
    "no manifest": lambda b: (b / MANIFEST).unlink(),
    "a manifest cut short": lambda b: (b / MANIFEST).write_bytes((b / MANIFEST).read_bytes()[:-9]),
    "a manifest of something else": lambda b: (b / MANIFEST).write_text("[]"),
    "a newer format": lambda b: rewrite(b, format=2),
    "a newer catalog": lambda b: rewrite(b, catalog="9999"),
    "a path outside": lambda b: swap(b, "images/../../outside"),
    "an absolute path": lambda b: swap(b, "/tmp/outside"),
    "a path of its own": lambda b: swap(b, "run/outside"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_newer_backup_is_refused_whole(
    damaged: Path, tmp_path: Path, damage: str
) -> None:
    DAMAGES[damage](damaged)
    empty = settings_of(tmp_path / "empty")

    with pytest.raises(BackupRejected):
        verify(damaged)
    with pytest.raises(BackupRejected):
        restore(empty, damaged)

    assert not empty.home.exists() or list(empty.home.iterdir()) == []
    assert not list(tmp_path.glob("outside*"))


def test_every_damaged_file_is_named(damaged: Path) -> None:
    flip(damaged / "catalog.sqlite")
    shutil.rmtree(damaged / "zoo")

    with pytest.raises(BackupRejected) as refused:
        verify(damaged)

    details = [p["detail"] for p in refused.value.problems]
    assert details[0] == "catalog.sqlite is not what was written."
    assert len(details) == 1 + sum(
        p.startswith("zoo/") for p in json.loads((damaged / MANIFEST).read_text())["files"]
    )


def test_a_backup_that_is_interrupted_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "write_new", lambda *_: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        back_up(settings_of(home), tmp_path / "kept" / "backup")

    assert list((tmp_path / "kept").iterdir()) == []


def test_a_backup_goes_nowhere_where_it_would_hurt(home: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest):
        back_up(settings_of(home), home / "backup")
    with pytest.raises(InvalidRequest):
        back_up(settings_of(home), tmp_path)
    with pytest.raises(InvalidRequest):
        back_up(settings_of(tmp_path / "none"), tmp_path / "backup")
    with pytest.raises(InvalidRequest):
        back_up(settings_of(home, store_uri="s3://bucket/records"), tmp_path / "backup")

    assert not (tmp_path / "none").exists()


def test_a_catalog_in_postgresql_is_left_to_its_own_tool(
    postgres_server: URL, tmp_path: Path
) -> None:
    with postgres.database(postgres_server) as url:
        settings = settings_of(tmp_path / "home", catalog_url=url)
        build(settings).close()
        with pytest.raises(CatalogUnavailable) as refused:
            back_up(settings, tmp_path / "backup")
        with pytest.raises(InvalidRequest):
            restore(settings_of(tmp_path / "empty", catalog_url=url), tmp_path)

    assert "pg_dump" in refused.value.hint
    assert not (tmp_path / "backup").exists()


def test_the_commands_say_what_they_did(home: Path, tmp_path: Path) -> None:
    made = command(home, "backup", tmp_path / "backup", "--json")
    checked = command(home, "restore", tmp_path / "backup", "--check")
    again = command(home, "backup", tmp_path / "backup")
    put_back = command(tmp_path / "empty", "restore", tmp_path / "backup", "--json")
    elsewhere = command(home, "--server", "http://127.0.0.1:1", "backup", tmp_path / "other")

    said = json.loads(made.stdout)
    assert (said["files"] > 20, said["missing"]) == (True, [])
    assert "is sound" in checked.stdout
    assert (again.exit_code, "is there already" in again.stderr) == (1, True)
    assert json.loads(put_back.stdout)["restored"] is True
    assert (elsewhere.exit_code, "not of http://127.0.0.1:1" in elsewhere.stderr) == (1, True)


def command(home: Path, *words: str | Path) -> Result:
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    return CliRunner().invoke(app, [str(w) for w in words], env=environment)


def test_a_pipe_in_a_backup_keeps_nobody_waiting(damaged: Path) -> None:
    path = next((damaged / "images").rglob("?" * 64))
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BackupRejected, match="is no file"):
        verify(damaged)


def test_a_manifest_nested_too_deeply_is_refused(damaged: Path) -> None:
    (damaged / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(BackupRejected):
        verify(damaged)


@pytest.mark.parametrize("number", [-1, 0, True, 1.0, "1", None])
def test_a_manifest_of_no_format_is_refused(damaged: Path, number: object) -> None:
    manifest = damaged / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": number}))
    with pytest.raises(BackupRejected, match="is none"):
        verify(damaged)
