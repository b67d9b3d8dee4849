"""Predictions as a table for a spreadsheet."""

import csv
from pathlib import Path
from typing import Any

import pytest
from cli_runner import Run
from live_server import picture
from typer.testing import Result

from service.cli.predictions import write_table
from service.client import Client


def table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def said(**given: Any) -> dict[str, Any]:
    """What a head says, as far as a table shows it."""
    plain = {
        "head": "h",
        "version": 1,
        "label": "a",
        "probabilities": {"a": 0.75, "b": 0.25},
        "set": ["a", "b"],
        "abstains": True,
        "unlike": False,
        "usualness": 0.5,
    }
    return {**plain, **given}


def result(*predictions: dict[str, Any], **given: Any) -> dict[str, Any]:
    image = {"filename": "x", "digest": "d" * 64, "cached": False}
    return {"image": image, "predictions": list(predictions), "error": None, **given}


def test_every_image_and_head_has_a_row_with_its_probabilities(
    run: Run, tmp_path: Path, learnt: Result, client: Client
) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(picture("red", 950 + n))
    (tmp_path / "broken.png").write_bytes(b"no image")
    file = tmp_path / "said.csv"
    done = run("predict", tmp_path, "--csv", file)
    assert done.exit_code == 0, done.stderr
    assert f"Written to {file}." in done.stderr
    rows = table(file)
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png", "broken.png"]
    answer = client.predict([tmp_path / "0.png"])["results"][0]["predictions"][0]
    assert (rows[0]["head"], rows[0]["version"], rows[0]["answer"]) == ("colour", "1", "red")
    assert float(rows[0]["p(red)"]) == answer["probabilities"]["red"]
    assert rows[0]["set"] == "|".join(answer["set"])
    assert rows[3]["error"].startswith("not_an_image: ")
    assert rows[3]["answer"] == ""


def test_heads_of_other_labels_numbers_and_failures_share_a_table(tmp_path: Path) -> None:
    number = said(head="age", label="41.5", probabilities={}, set=[], low=30.0, high=53.0)
    failed = {"head": "old", "version": None, "error": {"code": "gone", "detail": "It is gone."}}
    other = said(head="k", label="c", probabilities={"c": 1.0})
    file = tmp_path / "all.csv"
    write_table(file, ["x"], [result(said(), number, failed, other)])
    rows = table(file)
    assert list(rows[0])[-6:] == ["p(a)", "p(b)", "p(c)", "low", "high", "error"]
    assert [row["p(a)"] for row in rows] == ["0.75", "", "", ""]
    assert (rows[1]["answer"], rows[1]["low"], rows[1]["high"]) == ("41.5", "30.0", "53.0")
    assert (rows[2]["head"], rows[2]["error"]) == ("old", "gone: It is gone.")
    assert rows[3]["p(c)"] == "1.0"
    assert rows[0]["set"] == "a|b"


def test_no_text_becomes_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    """A label may come from elsewhere; a spreadsheet must not run it."""
    evil = said(label="=1+1", probabilities={"=1+1": 1.0}, set=["@x"])
    number = said(label="-4.5", probabilities={}, set=[])
    file = tmp_path / "evil.csv"
    write_table(file, ["-image,\n.png"], [result(evil, number)])
    rows = table(file)
    assert (rows[0]["answer"], rows[0]["set"], rows[0]["p(=1+1)"]) == ("'=1+1", "'@x", "1.0")
    assert rows[0]["file"] == "'-image,\n.png"
    assert rows[1]["answer"] == "-4.5"


EVIL = "=cmd|' /C calc'!A0"


def test_no_cell_of_a_server_or_a_file_becomes_a_formula(tmp_path: Path) -> None:
    refused = {"code": EVIL, "detail": f"one\n{EVIL}"}
    gone = {"head": EVIL, "version": EVIL, "error": refused}
    odd = said(head=EVIL, version=EVIL, probabilities={EVIL: EVIL}, usualness=EVIL, low=EVIL)
    image = {"filename": "x", "digest": EVIL, "cached": False}
    broken = result(image=image, error=refused)
    file = tmp_path / "evil.csv"
    write_table(file, [EVIL, EVIL], [result(odd, gone, image=image), broken])
    for row in table(file):
        cells = [cell for cell in row.values() if EVIL in cell]
        assert cells
        assert all(f"'{EVIL}" in cell for cell in cells), cells
        assert sum(cell.count(EVIL) for cell in cells) == sum(c.count(f"'{EVIL}") for c in cells)
        assert row["file"] == row["digest"] == f"'{EVIL}"
        assert not any(cell.startswith("=") for cell in row.values())


@pytest.mark.parametrize(
    ("label", "written"),
    [
        *((f"a{between}=1+1", f"a{between}'=1+1") for between in (";", "\t", "\r", "\n", "\r\n")),
        ("=1;+1+1;@x;a", "'=1;'+1+1;'@x;a"),
        ('a;"=1+1"', 'a;\'"=1+1"'),
        ("a; -x", "a;' -x"),
        ("a;\uff1d1+1", "a;'\uff1d1+1"),
        ("\tx", "'\tx"),
        ("-x", "'-x"),
        ("--", "'--"),
    ],
)
def test_no_part_of_a_cell_becomes_a_formula_where_a_list_is_parted_by_it(
    tmp_path: Path, label: str, written: str
) -> None:
    """Where a comma is in numbers, Excel parts a table at semicolons."""
    file = tmp_path / "parted.csv"
    write_table(file, ["x"], [result(said(label=label, set=[label]))])
    (row,) = table(file)
    assert (row["answer"], row["set"]) == (written, written)


@pytest.mark.parametrize(
    "label",
    ["-", "+", "a;b", "a;-", "a;-1.5", "-1.5;+2e3", "a-b", "a=b;c=d", "x@y", "1;2", "ä|b", " ", ""],
)
def test_ordinary_labels_stay_as_they_are(tmp_path: Path, label: str) -> None:
    file = tmp_path / "plain.csv"
    write_table(file, [label], [result(said(label=label, set=[label]))])
    (row,) = table(file)
    assert (row["file"], row["answer"], row["set"]) == (label, label, label)


def test_numbers_are_written_as_numbers(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    answer = said(
        label="-4.5", probabilities={"a": 1e-7}, set=[], low=-30.5, high=-1, usualness=-0.5
    )
    write_table(file, ["x"], [result(answer)])
    line = file.read_text("utf-8-sig").splitlines()[1]
    assert line.endswith(',1,"-4.5","",True,False,-0.5,1e-07,-30.5,-1,""')
