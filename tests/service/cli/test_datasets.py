"""Datasets listed, shown and deleted, as a shell sees them."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import Run, runner
from live_server import picture

from service.client import Client


@pytest.fixture
def filled(client: Client) -> Client:
    """A dataset of fourteen images, one of them without a label, and twelve groups."""
    images = [picture("red", n) for n in range(12)]
    client.ingest("ward", images, ["red"] * 12, groups=[f"p{n}" for n in range(12)])
    client.ingest("ward", [picture("green", 0)], ["green"], groups=["p0"])
    client.ingest("ward", [picture("green", 1)], [""])
    return client


def test_datasets_are_listed_and_shown(run: Run, filled: Client) -> None:
    rows = [line.split() for line in run("datasets", "list").stdout.splitlines()]
    assert rows[0] == ["dataset", "images", "labels", "unlabelled", "created"]
    (row,) = [row for row in rows if row[0] == "ward"]
    assert row[:-1] == ["ward", "14", "green", "1,", "red", "12", "1"]
    assert json.loads(run("datasets", "list", "--json").stdout) == filled.datasets()

    shown = run("datasets", "show", "ward").stdout
    assert "ward: 14 images, 1 without a label" in shown
    assert "12 groups" in shown
    assert ["p0", "2"] in [line.split() for line in shown.splitlines()]
    assert "… and 2 more" in shown
    assert "error: " in shown
    assert json.loads(run("datasets", "show", "ward", "--json").stdout) == filled.dataset("ward")
    missing = run("datasets", "show", "nope")
    assert missing.exit_code == 1
    assert "`penultimate ingest` makes a dataset" in missing.stderr


def test_a_dataset_is_deleted_only_where_that_is_meant(run: Run, filled: Client) -> None:
    asked = run("datasets", "delete", "ward")
    assert asked.exit_code == 2
    assert "--yes" in asked.stderr
    assert filled.dataset("ward")["images"] == 14

    gone = run("datasets", "delete", "ward", "--yes")
    assert "erased 14 images that no other one holds" in gone.stdout
    assert filled.datasets()["datasets"] == []
    assert run("datasets", "delete", "ward", "--yes").exit_code == 1


@pytest.mark.parametrize("said", ["n", "y"])
def test_on_a_terminal_it_asks_first(home: Path, filled: Client, said: str) -> None:
    command = [sys.executable, "-m", "service.cli", "datasets", "delete", "ward"]
    environment = os.environ | {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        os.write(ours, said.encode() + b"\n")
        _, asked = process.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert b"Delete dataset 'ward' with 14 images? It is for good." in asked
    left = [dataset["name"] for dataset in filled.datasets()["datasets"]]
    assert (process.returncode == 0, "ward" in left) == (said == "y", said == "n")


def test_without_a_dataset_it_says_how_to_make_one(tmp_path: Path) -> None:
    said = runner(tmp_path / "empty")("datasets", "list")
    assert said.exit_code == 0
    assert "`penultimate ingest DATASET FOLDER` makes one" in said.stderr
