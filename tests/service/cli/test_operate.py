"""The doctor, as a shell sees it."""

import json
import sqlite3
from pathlib import Path

from cli_runner import Run
from typer.testing import Result


def test_the_doctor_finds_a_sound_home_sound(run: Run, learnt: Result) -> None:
    result = run("doctor")

    assert result.exit_code == 0, result.output
    assert all(line.startswith("ok") for line in result.stdout.splitlines())
    for what in ("packages", "home", "disk", "catalog", "engine", "records", "images", "heads"):
        assert what in result.stdout
    said = json.loads(run("doctor", "--json").stdout)
    assert said["sound"] is True


def test_the_doctor_finds_lost_bytes_lost_heads_and_stray_images(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    home = {"PENULTIMATE_HOME": str(tmp_path)}
    assert run("learn", "h", folder, **home).exit_code == 0
    images = [p for p in (tmp_path / "images").rglob("*") if p.is_file()]
    images[0].unlink()
    images[1].rename(images[1].with_name("f" * 64))
    for path in sorted((tmp_path / "zoo").rglob("model.txt")):
        path.unlink()

    result = run("doctor", **home)

    assert result.exit_code == 1
    failed = [line for line in result.stdout.splitlines() if line.startswith("FAILED")]
    assert any("have lost their bytes" in line for line in failed)
    assert any("that no dataset holds" in line for line in failed)
    assert any("heads" in line for line in failed)
    assert "Traceback" not in result.output


def test_the_doctor_goes_on_where_a_part_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").write_bytes(b"this is no database" * 100)

    result = run("doctor", PENULTIMATE_HOME=str(tmp_path))

    assert result.exit_code == 1
    assert "FAILED  catalog" in result.stdout
    assert "ok      packages" in result.stdout


def test_who_has_the_home_is_told_what_is_kept_from_clients(run: Run, tmp_path: Path) -> None:
    assert run("heads", "list", PENULTIMATE_HOME=str(tmp_path)).exit_code == 0
    with sqlite3.connect(tmp_path / "catalog.sqlite") as catalog:
        catalog.execute("ALTER TABLE heads DROP COLUMN protected")

    result = run("heads", "list", PENULTIMATE_HOME=str(tmp_path))

    assert result.exit_code == 1
    assert "Error: the catalog at " in result.stderr
    assert "no such column" in result.stderr
    assert "The server's log" not in result.stderr, "there is no server"
