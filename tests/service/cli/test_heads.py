"""Heads listed, shown, promoted and deleted, and images erased, as a shell sees it."""

import json
from pathlib import Path

from cli_runner import Run
from live_server import picture
from typer.testing import Result

from service.client import Client


def test_heads_are_listed_shown_promoted_and_deleted(
    run: Run, folder: Path, learnt: Result, client: Client
) -> None:
    for seed in ("1", "2"):
        client.learn("shown", "colour", options={"seed": int(seed)}, wait=True)

    listed = run("heads", "list").stdout.splitlines()
    assert listed[0].split() == ["head", "champion", "versions", "dataset", "newest"]
    assert ["shown", "1", "2", "colour"] in [line.split()[:4] for line in listed]
    assert json.loads(run("heads", "list", "--json").stdout) == client.heads()

    promoted = run("heads", "promote", "shown@2", "--reason", "better")
    assert "shown@champion is now version 2" in promoted.stdout
    assert client.history("shown")["history"][0]["reason"] == "better"
    assert json.loads(run("heads", "promote", "shown@1", "--alias", "old", "--json").stdout) == (
        client.head("shown")
    )

    shown = run("heads", "show", "shown").stdout
    assert "champion" in shown
    assert "shown@2: 2 classes" in shown
    assert "shown@1: 2 classes" in run("heads", "show", "shown@1").stdout
    assert json.loads(run("heads", "show", "shown", "--json").stdout) == client.head("shown")
    assert json.loads(run("heads", "show", "shown@1", "--json").stdout) == client.card("shown", 1)

    assert run("heads", "delete", "shown@2").exit_code == 0
    assert client.head("shown")["champion"] == 1
    assert run("heads", "delete", "shown").exit_code == 0
    assert run("heads", "delete", "shown").exit_code == 1


def test_erasing_takes_a_digest_or_the_file_itself(
    run: Run, tmp_path: Path, learnt: Result, client: Client
) -> None:
    image = tmp_path / "mine.png"
    image.write_bytes(picture("red", 900))
    client.ingest("erasable", [image], ["red"])

    result = run("erase", image)

    assert result.exit_code == 0
    assert "out of 1 dataset." in result.stdout
    assert "itself is left" in result.stderr
    again = run("erase", result.stdout.split()[1].rstrip(","))
    assert again.exit_code == 1
    assert "There is no image" in again.stderr
    assert "itself is left" not in again.stderr
    mistyped = run("erase", tmp_path / "nime.png")
    assert mistyped.exit_code == 1
    assert "There is no file" in mistyped.stderr
    assert "64 hexadecimal digits" in mistyped.stderr


def test_a_name_with_a_slash_deletes_no_version(run: Run, learnt: Result) -> None:
    assert run("heads", "delete", "colour/versions/1").exit_code == 1
    shown = run("heads", "show", "colour/history")
    assert shown.exit_code == 1
    assert "cannot be a name" in shown.stderr
    assert "colour" in run("heads", "list").stdout


def test_a_workspace_without_heads_is_named(run: Run) -> None:
    assert "in workspace 'elsewhere'" in run("--workspace", "elsewhere", "heads", "list").stderr
