"""What a shell is told of backbones, and of datasets that they cannot be judged by."""

from pathlib import Path

import pytest
from cli_runner import Run
from live_server import picture
from typer.testing import Result


@pytest.mark.parametrize("command", ["look", "compare"])
def test_labels_that_are_no_classes_are_sent_to_learn(
    run: Run, tmp_path: Path, command: str
) -> None:
    rows = ["path,label", *(f"{n}.png,{1.37 * n:.2f}" for n in range(30))]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    for n in range(30):
        (tmp_path / f"{n}.png").write_bytes(picture("red", n))
    assert run("ingest", "numbers", tmp_path).exit_code == 0
    said = run(command, "numbers")
    assert said.exit_code == 1
    assert "not numbers" in said.stderr
    assert "Hint: `penultimate learn HEAD FOLDER` takes them" in said.stderr
    assert "--relabel" not in said.stderr


@pytest.mark.parametrize("command", ["look", "compare"])
def test_labels_that_are_not_ready_are_sent_to_what_says_why(
    run: Run, tmp_path: Path, command: str
) -> None:
    for colour in ("red", "green"):
        (tmp_path / colour).mkdir()
        (tmp_path / colour / "1.png").write_bytes(picture(colour, 1))
    run("ingest", "few", tmp_path)
    said = run(command, "few")
    assert said.exit_code == 1
    assert "Hint: `penultimate datasets show few` says what is in the way" in said.stderr


def test_a_backbone_that_is_not_to_be_had_has_its_hint_on_a_line_of_its_own(
    run: Run, learnt: Result
) -> None:
    lines = run("compare", "colour", "--backbones", "toy,nonesuch").stdout.splitlines()
    (place,) = [n for n, line in enumerate(lines) if line.startswith("nonesuch: ")]
    assert "Try" not in lines[place]
    assert lines[place + 1].startswith("  Hint: Try ")
