"""Keys, workspaces and the audit from a shell: on the home folder, and on a server."""

import json
import sqlite3
from pathlib import Path

import httpx
import pytest
from cli_runner import Run, runner
from live_server import Server, free_port, picture


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for colour in ("red", "green"):
        (tmp_path / "colours" / colour).mkdir(parents=True)
        for i in range(3):
            (tmp_path / "colours" / colour / f"{i}.png").write_bytes(picture(colour, i))
    return tmp_path / "colours"


def test_a_key_alone_is_on_standard_output(run: Run, tmp_path: Path) -> None:
    made = run("keys", "create", "--workspace", "ward7", "--role", "train", "--name", "ana")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("penultimate_")
    assert len(made.stdout.splitlines()) == 1
    assert "ana" in made.stderr
    assert "ward7" in made.stderr
    kept = b"".join(f.read_bytes() for f in (tmp_path / "home").rglob("*") if f.is_file())
    assert made.stdout.strip().encode() not in kept


def test_keys_are_listed_and_revoked_by_id(run: Run) -> None:
    at = ("--workspace", "ward7")
    made = json.loads(
        run("keys", "create", *at, "--role", "admin", "--expires", "90d", "--json").stdout
    )
    assert made["expires"] is not None
    assert "active" in run("keys", "list", *at).stdout
    assert run("keys", "list").stdout == ""  # another workspace
    assert run("keys", "revoke", made["id"], *at).exit_code == 0
    (listed,) = json.loads(run("keys", "list", *at, "--json").stdout)["keys"]
    assert listed["state"] == "revoked"
    assert "key" not in listed
    assert listed["created_by"].startswith("operator:")


def test_a_key_that_there_is_not_is_told_with_what_lists_them(run: Run) -> None:
    said = run("keys", "revoke", "nothing").stderr
    assert "Hint: `penultimate keys list`" in said
    assert "GET" not in said


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("keys", "create"), 2, "--role"),
        (("keys", "create", "--role", "root"), 2, "root"),
        (("keys", "create", "--role", "train", "--workspace", "A/b"), 1, "workspace"),
        (("keys", "create", "--role", "train", "--workspace", "Ward7"), 1, "lower-case"),
        (("keys", "create", "--role", "train", "--expires", "soon"), 1, "90d"),
        (("keys", "create", "--role", "train", "--name", "system"), 1, "system"),
        (("keys", "revoke", "nothing"), 1, "nothing"),
        (("--workspace", "../up", "heads", "list"), 1, "workspace"),
    ],
)
def test_what_cannot_be_done_is_told(
    run: Run, words: tuple[str, ...], status: int, said: str
) -> None:
    result = run(*words)
    assert result.exit_code == status, result.output
    assert said in result.output


def test_each_workspace_of_a_home_has_its_own_things(run: Run, folder: Path) -> None:
    assert run("--workspace", "ward7", "ingest", "colours", folder).exit_code == 0
    hits = ("search", folder / "red" / "0.png", "--json")
    there = json.loads(run(*hits, PENULTIMATE_WORKSPACE="ward7").stdout)["hits"]
    assert len(there) == 5
    assert json.loads(run(*hits).stdout)["hits"] == []
    whose = json.loads(run("audit", "--workspace", "ward7", "--json").stdout)["lines"]
    assert {(a["action"], a["which"]) for a in whose} == {
        ("dataset.create", "colours"),
        ("dataset.add", "colours"),
    }
    assert all(a["actor"].startswith("operator:") for a in whose)
    assert run("audit").stdout == ""


def test_the_audit_is_verified_and_a_break_is_told(run: Run, tmp_path: Path) -> None:
    for name in ("ana", "ben", "cem"):
        run("keys", "create", "--role", "predict", "--name", name)
    whole = run("audit", "--verify")
    assert whole.exit_code == 0
    assert "3 lines" in whole.stdout
    newest = json.loads(run("audit", "--limit", "1", "--json").stdout)
    assert newest["lines"][0]["hash"] in whole.stdout
    assert newest["next"] == 3
    with sqlite3.connect(tmp_path / "home" / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE audit SET actor = 'nobody' WHERE number = 2")
    catalog.close()
    broken = run("audit", "--verify")
    assert broken.exit_code == 1
    assert "line 2" in broken.stderr
    found = run("doctor")
    assert found.exit_code == 1
    assert "line 2 is not what was written" in found.stdout


def test_elsewhere_is_not_listened_to_without_a_key(run: Run) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--port", str(free_port()))
    assert refused.exit_code == 1
    assert "keys create" in refused.stderr


@pytest.mark.server
def test_a_server_is_asked_with_a_key(run: Run, tmp_path: Path, folder: Path) -> None:
    key = run("keys", "create", "--role", "admin", "--workspace", "ward7").stdout.strip()
    server = Server(tmp_path / "home", free_port())
    try:
        server.start()
        at = ("--server", server.url)
        refused = run("heads", "list", *at)
        assert refused.exit_code == 1
        assert "PENULTIMATE_KEY" in refused.stderr
        assert run("ingest", "colours", folder, *at, PENULTIMATE_KEY=key).exit_code == 0
        low = run("keys", "create", "--role", "predict", *at, "--key", key).stdout.strip()
        assert run("search", folder / "red" / "0.png", *at, "--key", low).exit_code == 0
        assert "needs the role admin" in run("keys", "list", *at, "--key", low).stderr
        other = run("keys", "create", "--role", "train", "--workspace", "x", *at, "--key", key)
        assert other.exit_code == 1
        assert "the chain is whole" in run("audit", "--verify", *at, "--key", key).stdout
        assert run("doctor", *at, "--key", key).exit_code == 0
        assert httpx.get(f"{server.url}/v1/heads").status_code == 401
        assert "keys           every request needs one" in server.log()
        assert 'curl -H "Authorization: Bearer $PENULTIMATE_KEY" -F images=@' in server.log()
        assert key not in server.log()
        assert low not in server.log()
    finally:
        server.stop()
