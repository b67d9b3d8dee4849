"""What every command has in common, and how real processes begin and end."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_runner import Run
from live_server import Server, free_port, picture

from service.cli import app
from service.client import Client
from service.local import local_client
from service.settings import Settings


@pytest.mark.parametrize(
    "words",
    [
        ("predict",),
        ("predict", "x.png", "--evidence", "21"),
        ("search", "x.png", "-k", "0"),
        ("learn", "h"),
        ("learn", "h", "f", "--task", "guess"),
        ("heads", "promote", "h"),
        ("heads", "promote", "h@"),
        ("heads", "show", "h@not an alias"),
        ("serve", "--port", "70000"),
        ("nonsense",),
        ("heads", "list", "--nonsense"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).exit_code == 2


def test_settings_that_cannot_be_are_refused_by_their_name(run: Run) -> None:
    result = run("heads", "list", PENULTIMATE_MAX_BATCH="many")

    assert result.exit_code == 1
    assert "PENULTIMATE_MAX_BATCH" in result.stderr


def test_the_number_of_workers_may_stand_in_the_environment(run: Run) -> None:
    said = run("serve", PENULTIMATE_WORKERS="several")
    assert said.exit_code == 2
    assert "PENULTIMATE_WORKERS" in said.stderr


def test_names_that_are_no_text_are_refused_in_words(run: Run, tmp_path: Path) -> None:
    for label in (b"\xff\xfe", b"plain"):
        place = tmp_path / os.fsdecode(label)
        place.mkdir()
        (place / "a.png").write_bytes(picture("red", len(label)))
    for words in (("ingest", "strange", tmp_path), ("heads", "list", "--key", "a\N{EN DASH}b")):
        result = run("--server", "http://127.0.0.1:1", *words)
        assert result.exit_code == 1
        assert isinstance(result.exception, SystemExit), "no trace"
        assert "Error: " in result.stderr
        assert "Hint: " in result.stderr
    assert "'" + "\\udcff\\udcfe" in run("ingest", "strange", tmp_path).stderr


def test_a_server_that_is_not_there_is_refused_wherever_it_is_named(run: Run) -> None:
    for words in (
        ("--server", "http://127.0.0.1:1", "heads", "list"),
        ("heads", "list", "--server", "http://127.0.0.1:1"),
    ):
        result = run(*words)
        assert result.exit_code == 1
        assert "No usable answer from http://127.0.0.1:1" in result.stderr
    by_variable = run("heads", "list", PENULTIMATE_SERVER="http://127.0.0.1:1")
    assert by_variable.exit_code == 1


def shell(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def every_command(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, (*words, name))


@pytest.mark.parametrize("words", list(every_command(typer.main.get_command(app))), ids=" ".join)
def test_help_on_eighty_columns_loses_no_word(run: Run, words: tuple[str, ...]) -> None:
    shown = run(*words, "--help", COLUMNS="80", TERMINAL_WIDTH="80").stdout
    assert "Usage: " in shown
    assert "…" not in shown


def test_help_and_version_import_nothing_heavy() -> None:
    heavy = (
        "('torch', 'openvino', 'lightgbm', 'deltalake', 'numpy', 'httpx', 'fastapi', 'pydantic')"
    )
    code = f"import sys, service.cli\nprint([m for m in {heavy} if m in sys.modules])\n"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
    assert shell("--version").stdout.startswith("penultimate ")


def test_streams_that_the_caller_closed_are_done_without(tmp_path: Path) -> None:
    home = {"PENULTIMATE_HOME": str(tmp_path / "home"), "PENULTIMATE_BACKBONE": "toy"}
    assert shell("keys", "create", "--role", "admin", **home).returncode == 0
    table = [sys.executable, "-m", "service.cli", "keys", "list"]
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *table],
        env={**os.environ, **home},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize(
    "words",
    [
        *(("--help",), ("heads", "list", "--json"), ("keys", "list"), ("audit",), ("doctor",)),
        ("heads", "--help"),
    ],
)
def test_a_reader_that_has_enough_is_told_nothing(home: Path, words: tuple[str, ...]) -> None:
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    if words[0] in ("keys", "audit"):
        assert shell("keys", "create", "--role", "admin", **environment).returncode == 0
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", *words],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert process.returncode == 128 + signal.SIGPIPE
    assert [line for line in said.splitlines() if not line.startswith("Preparing")] == []


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home = {"PENULTIMATE_HOME": str(tmp_path), "PENULTIMATE_BACKBONE": "toy"}
        result = shell("serve", "--port", str(port), **home)

    assert result.returncode == 1
    assert "somebody listens there already" in result.stderr
    assert "Traceback" not in result.stderr


INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("service.cli", run_name="__main__")
"""
"""A shell has its jobs in the background ignore Ctrl-C, and what they start inherits that."""


def interrupt_once_a_job_runs(process: "subprocess.Popen[str]", home: Path) -> None:
    """Presses Ctrl-C: a terminal sends it to every process of the group."""
    begun = "SELECT count(*) FROM jobs WHERE state = 'running' AND progress > 0"
    # Not by a client: until one is open on a busy machine, the head may be learnt.
    while not rows_of(home, begun):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)


def rows_of(home: Path, count: str) -> int:
    """What a question for a number says, 0 while there is no catalog."""
    place = f"file:{home}/catalog.sqlite?mode=ro"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(place, uri=True)) as catalog:
        return int(catalog.execute(count).fetchone()[0])
    return 0


@pytest.mark.parametrize("command", [("learn", "h", "many"), ("demo",)])
def test_interrupting_what_learns_cancels_its_job(tmp_path: Path, command: tuple[str, ...]) -> None:
    for colour in ("red", "green"):
        (tmp_path / "many" / colour).mkdir(parents=True)
        for i in range(250):
            (tmp_path / "many" / colour / f"{i}.png").write_bytes(picture(colour, i, side=16))
    home = {"PENULTIMATE_HOME": str(tmp_path / "home"), "PENULTIMATE_BACKBONE": "toy"}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *command],
        cwd=tmp_path,
        env={**os.environ, **home, "PYTHONPATH": str(Path(__file__).parents[3])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    interrupt_once_a_job_runs(process, tmp_path / "home")
    said = process.communicate(timeout=60)[1]

    assert process.returncode != 0
    assert "Cancelled" in said
    assert "Traceback" not in said
    settings = Settings(backbone="toy", home=tmp_path / "home", log_level="error")
    with local_client(settings) as client:
        assert [j["state"] for j in client.jobs()["jobs"]] == ["cancelled"]


@pytest.mark.server
def test_every_verb_works_on_a_server_too(tmp_path: Path, folder: Path, run: Run) -> None:
    server = Server(tmp_path / "home", free_port())
    server.home.mkdir()
    try:
        server.start()
        at = ("--server", server.url)
        taught = run("learn", "colour", folder, *at)
        assert taught.exit_code == 0, taught.output
        said = run(*at, "predict", folder / "red" / "00.png").stdout.splitlines()[-1]
        assert said.split()[1:3] == ["colour@1", "red"]
        with Client(server.url) as client:
            assert json.loads(run("heads", "list", "--json", *at).stdout) == client.heads()
        assert run("doctor", *at).exit_code == 0
        assert run("heads", "list").exit_code == 0
        log = server.log()
        assert server.url in log
        assert "/docs" in log
    finally:
        server.kill()


@pytest.mark.server
def test_interrupting_a_server_ends_it_without_a_traceback(tmp_path: Path) -> None:
    server = Server(tmp_path / "home", free_port())
    server.home.mkdir()
    try:
        server.start()
        assert server.process is not None
        process: subprocess.Popen[Any] = server.process
        os.killpg(process.pid, 2)
        begun = time.monotonic()
        process.wait(30)
        assert time.monotonic() - begun < 20
        assert "Traceback" not in server.log()
    finally:
        server.kill()


def test_an_interrupt_before_the_program_is_loaded_prints_no_trace() -> None:
    code = """
import sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupted())
import service.cli
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")


@pytest.mark.server
@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.4, 0.8])
def test_interrupting_a_server_that_starts_prints_no_trace(
    home: Path, run: Run, after_s: float
) -> None:
    run("heads", "list")  # the home is prepared
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "serve", "--port", str(free_port())],
        env={**os.environ, "PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        while "keys" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(after_s)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode in (0, 130, -signal.SIGINT)
    assert "Traceback" not in said
    assert "Aborted" not in said
