"""What reaches a person's terminal: words, and never what moves its cursor or forges a line."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import pytest
from answering import PROBLEM, answering, client_of
from cli_runner import Run, runner
from in_process import settings_of

import service.client
from service.backup import back_up
from service.backup.manifest import MANIFEST
from service.catalog import Catalog
from service.chain import SEALED
from service.cli import show
from service.cli.terminal import note, printable, say

EVIL = "\x1b]0;owned\x07\u202e\x9b2J"
"""Sets a window's title, turns the text round, and clears the screen the short way."""

FORGED = f"x{EVIL}\nError: forged\r"

DIGEST = "d" * 64

Asks = Callable[..., Any]


def clean(text: str) -> bool:
    """Whether a text has no control character but line breaks, and no forged line."""
    kept = all(c.isprintable() for c in text.replace("\n", ""))
    return kept and not any(line.startswith("Error: forged") for line in text.splitlines())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return runner(tmp_path / "home")


@pytest.fixture
def ask(run: Run, monkeypatch: pytest.MonkeyPatch) -> Asks:
    """Runs a command on a server that gives these answers, one after the other."""

    def asked(*words: str | Path, answers: list[Any], status: int = 200) -> Any:
        handler, _ = answering(*(httpx.Response(status, json=answer) for answer in answers))
        monkeypatch.setattr(service.client, "Client", lambda _url, key: client_of(handler, key))
        return run(*words, "--server", "http://test")

    return asked


def test_a_refusal_of_a_hostile_server_is_words(ask: Asks) -> None:
    problem = {
        **PROBLEM,
        "code": "evil",
        "detail": FORGED,
        "hint": FORGED,
        "problems": [{"code": "evil", "detail": f"{n}{FORGED}"} for n in range(12)],
    }
    said = ask("heads", "list", answers=[problem], status=404)
    assert said.exit_code == 1
    assert clean(said.stderr)
    assert "Error: x�]0;owned��" in said.stderr
    assert "Hint: x" in said.stderr


KEY = {
    "id": FORGED,
    "name": FORGED,
    "workspace": FORGED,
    "role": FORGED,
    "expires": FORGED,
    "key": FORGED,
}
HEAD = {
    "name": "h",
    "champion": 1,
    "aliases": {"best": FORGED},
    "versions": [{"version": FORGED, "dataset": FORGED, "created": FORGED, "space": FORGED}],
}
DATASET = {
    "images": FORGED,
    "unlabelled": FORGED,
    "labels": {FORGED: 1},
    "groups": {FORGED: 1},
    "problems": [{"severity": FORGED, "detail": FORGED}],
}
FIGURE = {"value": 0.5, "low": 0.4, "high": 0.6}
VALIDATION = {
    "head": FORGED,
    "version": FORGED,
    "images": FORGED,
    "groups": FORGED,
    "dataset": FORGED,
    "left_out": dict.fromkeys(
        ("unlabelled", "conflicting", "other_labels", "learnt_from", "same_group"), FORGED
    )
    | dict.fromkeys(("no_vector", "not_drawn", "copies"), FORGED),
    "words": FORGED,
    "metrics": {"auc": FIGURE},
    "stated": {},
    "held": FIGURE,
    "coverage": 0.9,
    "unlike": 0.1,
    "class_counts": {FORGED: 1},
    "confusion": [[FORGED]],
    "limits": [FORGED],
}
LINE = dict.fromkeys((*SEALED, "number", "hash"), FORGED)
NEXT = {"dataset": FORGED, "unlabelled": 0, "images": []}


@pytest.mark.parametrize(
    ("words", "answers"),
    [
        (("keys", "create", "--role", "train"), [KEY]),
        (("keys", "revoke", "some"), [KEY]),
        (("audit", "--verify"), [{"lines": [LINE], "next": None}]),
        (
            ("erase", DIGEST),
            [{"datasets": FORGED, "heads": [{"head": FORGED, "version": FORGED}]}],
        ),
        (("heads", "promote", "h@best"), [HEAD, {}]),
        (("heads", "delete", "h@best"), [HEAD, {}]),
        (("datasets", "show", "d"), [DATASET]),
        (("datasets", "delete", "d", "--yes"), [{"images_removed": FORGED}]),
        (("look", "d"), [{"methods": {}, "missing": FORGED, "words": FORGED}]),
        (("heads", "validate", "h@1", "d"), [VALIDATION]),
        (("next", "h@1"), [NEXT]),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_an_answer_of_a_hostile_server_is_words(
    ask: Asks, words: tuple[str, ...], answers: list[Any]
) -> None:
    said = ask(*words, answers=answers)
    assert said.exit_code in (0, 1), said.output
    assert said.stdout + said.stderr
    assert clean(said.stdout), said.stdout
    assert clean(said.stderr), said.stderr


def test_a_file_with_escapes_in_its_name_is_named_in_words(ask: Asks, tmp_path: Path) -> None:
    file = tmp_path / f"x{EVIL}.png"
    file.write_bytes(b"x")
    erased = ask("erase", file, answers=[{"datasets": 1, "heads": []}])
    assert (erased.exit_code, "is left: delete it" in erased.stderr) == (0, True)
    lost = ask("erase", tmp_path / f"none{EVIL}.png", answers=[])
    unread = ask("learn", "h", tmp_path / f"none{EVIL}", answers=[])
    elsewhere = ask("predict", file, "--csv", tmp_path / EVIL / "x.csv", answers=[])
    for said in (erased, lost, unread, elsewhere):
        assert clean(said.stdout + said.stderr), said.stderr
    assert all(said.exit_code == 1 for said in (lost, unread, elsewhere))


@pytest.mark.parametrize(
    "words",
    [
        ("learn", "h", "folder", f"x{EVIL}.png"),
        ("heads", "show", f"h@{EVIL}.png"),
        ("heads", "promote", f"h{EVIL}"),
        ("heads", f"--{EVIL}"),
        (f"x{EVIL}",),
    ],
)
def test_a_file_with_escapes_in_its_name_where_none_is_meant_is_named_in_words(
    run: Run, words: tuple[str, ...]
) -> None:
    said = run(*words)
    assert said.exit_code == 2
    assert "]0;owned" in said.stderr
    assert clean(said.stderr)


def test_what_a_backup_says_of_itself_is_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    Catalog(home / "catalog.sqlite").close()
    backup = back_up(settings_of(home), tmp_path / "backup").path
    evil = Path(copytree(backup, tmp_path / f"evil{EVIL}"))
    manifest = json.loads((evil / MANIFEST).read_text())
    (evil / MANIFEST).write_text(json.dumps({**manifest, "made": FORGED, "missing": [FORGED]}))
    for words in (("restore", evil, "--check"), ("restore", evil)):
        said = runner(tmp_path / "empty")(*words)
        assert said.exit_code == 0, said.output
        assert clean(said.stdout + said.stderr), said.output
        assert "was lost before the backup was made" in said.stderr


def test_the_headers_of_a_table_are_words(capsys: pytest.CaptureFixture[str]) -> None:
    show.table((f"said {FORGED}",), [("1",)])
    assert clean(capsys.readouterr().out)


def test_the_stage_that_a_bar_shows_is_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with show.bar(f"first{EVIL}") as update:
        update(0.5, 1.0, f"second{EVIL}")
    shown = terminal.getvalue()
    assert "second" in shown
    assert not any(part in shown for part in ("\x1b]0", "\x07", "\u202e", "\x9b"))


def test_lines_of_ours_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    say("\nä 漢\u3000字\u00a0x\u202fy:\n")
    say()
    note("  - one\n\tof two")
    printed = capsys.readouterr()
    assert printed.out == "\nä 漢\u3000字\u00a0x\u202fy:\n\n\n"
    assert printed.err == "  - one of two\n"
    assert printable("a\tb\x7f") == "a�b�"
