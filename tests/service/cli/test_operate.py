"""The doctor, as a shell sees it."""

import json
import sqlite3
from pathlib import Path

import pytest
from cli_runner import Run, runner
from typer.testing import Result

from service.cli.operate import welcome
from service.settings import Settings


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


def said_at_a_start(home: Path, host: str, *, keyed: bool = True, tls: bool = False) -> list[str]:
    pair = {"tls_cert": Path("c.pem"), "tls_key": Path("k.pem")} if tls else {}
    return list(welcome(Settings(home=home, **pair), host, 3000, keyed=keyed))


def test_a_server_with_keys_shows_how_to_send_one(tmp_path: Path) -> None:
    header = '-H "Authorization: Bearer $PENULTIMATE_KEY"'
    keyed = "\n".join(said_at_a_start(tmp_path, "127.0.0.1"))
    assert f"curl {header} -F images=@PICTURE http://127.0.0.1:3000/v1/predict" in keyed
    assert f"curl {header} http://127.0.0.1:3000/openapi.json" in keyed
    assert "/docs" not in keyed
    open_to_all = "\n".join(said_at_a_start(tmp_path, "127.0.0.1", keyed=False))
    assert "Authorization" not in open_to_all
    assert "http://127.0.0.1:3000/docs" in open_to_all


@pytest.mark.parametrize(
    ("host", "tls", "at"),
    [
        ("127.0.0.1", True, "https://127.0.0.1:3000"),
        ("localhost", True, "https://localhost:3000"),
        ("localhost", False, "http://localhost:3000"),
        ("::1", True, "https://[::1]:3000"),
        ("0.0.0.0", False, "http://localhost:3000"),
        ("0.0.0.0", True, "https://HOST:3000"),
        ("0:0:0:0:0:0:0:0", True, "https://HOST:3000"),
    ],
)
def test_a_server_is_shown_at_the_host_that_was_given(
    tmp_path: Path,
    host: str,
    tls: bool,  # noqa: FBT001  a parameter
    at: str,
) -> None:
    said = said_at_a_start(tmp_path, host, tls=tls)
    assert said[0].endswith(f" at {at}")
    assert any(f"{at}/v1/predict" in line for line in said)
    named = [line for line in said if "certificate" in line]
    assert len(named) == ("HOST" in at)


def test_the_demo_shows_how_to_send_a_key_where_there_are_some(tmp_path: Path) -> None:
    run = runner(tmp_path / "home")
    assert "curl -F images=@" in run("demo").stdout
    run("keys", "create", "--role", "admin")
    assert 'curl -H "Authorization: Bearer $PENULTIMATE_KEY" -F images=@' in run("demo").stdout


def test_serve_refuses_a_server_that_is_named_and_help_says_so(run: Run, tmp_path: Path) -> None:
    # A certificate without its key is refused too, but only later: nothing is ever served.
    serve = ("serve", "--tls-cert", tmp_path / "c.pem")
    refused = run("--server", "http://far:3000", *serve)
    assert refused.exit_code == 1
    assert "`serve` serves the home folder on this machine, not http://far:3000." in refused.stderr
    assert run("serve", "--server", "http://far:3000").exit_code == 2
    # A variable says whom a shell asks; `serve` asks nobody.
    served = run(*serve, PENULTIMATE_SERVER="http://far:3000")
    assert "A certificate and its private key go together" in served.stderr

    said = " ".join(run("--help", COLUMNS="200").stdout.split())
    assert "every command but serve, backup and restore takes it too." in said
    for name in ("serve", "backup", "restore"):
        assert "--server" not in run(name, "--help").stdout
    for name in ("demo", "learn", "predict", "audit", "doctor"):
        assert "--server" in run(name, "--help").stdout
