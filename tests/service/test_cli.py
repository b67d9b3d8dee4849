"""The command line as a shell sees it: what it prints where, and with which status it ends."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from live_server import Server, free_port, picture
from made_heads import made_growth
from typer.testing import CliRunner, Result

from service.cli import app
from service.cli.cards import print_card
from service.client import Client
from service.local import local_client
from service.settings import Settings

COLOURS = ("red", "green")

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of two colours, one broken file, and groups of two."""
    root = tmp_path_factory.mktemp("colours")
    rows = ["path,group"]
    for colour in COLOURS:
        (root / colour).mkdir()
        for i in range(12):
            (root / colour / f"{i:02}.png").write_bytes(picture(colour, i))
            rows.append(f"{colour}/{i:02}.png,{colour}-{i // 2}")
    (root / "red" / "broken.png").write_bytes(b"this is no image")
    (root / "groups.csv").write_text("\n".join(rows))
    return root


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    """Runs a command on the home folder, as if in a pipe."""
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}

    def command(*words: str | Path, **more: str) -> Result:
        return CliRunner().invoke(app, [str(w) for w in words], env={**environment, **more})

    return command


@pytest.fixture(scope="module")
def learnt(run: Run, folder: Path) -> Result:
    """The output of the one command that teaches the head of this file."""
    return run("learn", "colour", folder, "--groups", "groups.csv", "--author", "Ada")


@pytest.fixture
def client(home: Path) -> Iterator[Client]:
    with local_client(Settings(backbone="toy", home=home, log_level="error")) as client:
        yield client


def test_learning_prints_what_a_doctor_needs_to_know(learnt: Result) -> None:
    assert learnt.exit_code == 0, learnt.output
    said = learnt.stdout
    assert "colour@1: 2 classes learnt from 24 images in 12 groups" in said
    assert "author Ada" in said
    assert "AUC" in said
    assert "balanced accuracy" in said
    assert "logistic regression" in said
    assert "groups kept together" in said
    assert "penultimate predict PICTURE --heads colour" in said


def test_a_card_shows_what_more_images_would_bring(
    learnt: Result, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "More images: " in learnt.stdout
    growth = made_growth()
    print_card({**client.card("colour", 1), "growth": asdict(growth)})
    said = capsys.readouterr().out
    assert f"More images: {growth.sentence}" in said
    twice = growth.fitted[-1]
    assert re.search(rf"\n160 +{twice['value']:.3f} \(.*\), expected\n", said)
    assert "within 0.03 in 3 of 5 draws" in said


def test_a_fast_report_is_one_option_away(run: Run, folder: Path, learnt: Result) -> None:
    said = run("learn", "hasty", folder, "--dataset", "colour", "--fast").stdout
    assert "evaluated the fast way" in said
    assert "More images" not in said
    run("heads", "delete", "hasty")


def test_learning_says_how_many_files_were_rejected_and_why(learnt: Result) -> None:
    assert "24 images added, 0 known already, 1 rejected" in learnt.stderr
    assert "red/broken.png: not_an_image" in learnt.stderr
    assert "rejected" not in learnt.stdout


def test_learning_again_as_json_is_the_job_with_the_answers_inside(
    run: Run, folder: Path, learnt: Result, client: Client
) -> None:
    result = run("learn", "again", folder, "--dataset", "colour", "--seed", "3", "--json")

    said = json.loads(result.stdout)
    job = client.job(said["id"])
    assert {name: said[name] for name in job} == job
    assert said["result"] == {"head": "again", "version": 1}
    assert said["card"] == client.card("again", 1)
    assert (said["ingest"]["known"], len(said["ingest"]["rejected"])) == (24, 1)
    assert "groups.csv lies in the folder but is not used" in result.stderr
    run("heads", "delete", "again")


def test_a_second_version_says_that_the_first_stays_champion(
    run: Run, folder: Path, learnt: Result
) -> None:
    run("learn", "twice", folder, "--dataset", "colour")

    said = run("learn", "twice", folder, "--dataset", "colour", "--seed", "1").stdout

    assert "Version 1 stays the champion" in said
    assert "penultimate heads promote twice@2" in said
    run("heads", "delete", "twice")


def test_learning_from_labels_that_will_not_do_names_every_problem(
    run: Run, tmp_path: Path
) -> None:
    for colour in COLOURS:
        (tmp_path / colour).mkdir()
        (tmp_path / colour / "1.png").write_bytes(picture(colour, 1))

    result = run("learn", "poor", tmp_path)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Error: Dataset 'poor' cannot be learnt from" in result.stderr
    assert "Hint:" in result.stderr
    assert "Traceback" not in result.output


def test_a_refusal_as_json_is_the_problem_itself(run: Run) -> None:
    result = run("heads", "show", "nobody", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "head_not_found"
    assert "Error: There is no head 'nobody'." in result.stderr
    assert "penultimate heads list" in result.stderr


def test_a_folder_with_one_class_is_refused_before_anything_is_stored(
    run: Run, tmp_path: Path, client: Client
) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "1.png").write_bytes(picture("red", 1))

    result = run("learn", "single", tmp_path)

    assert result.exit_code == 1
    assert "one class only, 'only'" in result.stderr
    assert "single" not in [d["name"] for d in client.datasets()["datasets"]]


def test_an_image_moved_to_another_class_is_learnt_anew_with_relabel(
    run: Run, tmp_path: Path
) -> None:
    for colour in COLOURS:
        (tmp_path / colour).mkdir()
        for i in range(8):
            (tmp_path / colour / f"{i}.png").write_bytes(picture(colour, 800 + i))
    (tmp_path / "green" / "stray.png").write_bytes(picture("red", 820))
    run("ingest", "moved", tmp_path)
    (tmp_path / "green" / "stray.png").rename(tmp_path / "red" / "stray.png")
    (tmp_path / "red" / "0.png").unlink()

    refused = run("learn", "moved", tmp_path)
    corrected = run("learn", "moved", tmp_path, "--relabel", "--json")

    assert refused.exit_code == 1
    assert "1 image listed with different labels" in refused.stderr
    assert "--relabel" in refused.stderr
    assert corrected.exit_code == 0, corrected.output
    assert json.loads(corrected.stdout)["card"]["class_counts"] == {"green": 8, "red": 9}
    assert "holds 1 image more than this folder" in corrected.stderr


@pytest.mark.parametrize("command", [("learn", "h"), ("ingest", "d")])
def test_a_missing_folder_is_refused(run: Run, tmp_path: Path, command: tuple[str, str]) -> None:
    result = run(*command, tmp_path / "nothing")

    assert result.exit_code == 1
    assert "There is no folder" in result.stderr


def test_ingesting_prints_the_counts_of_the_dataset(run: Run, folder: Path, client: Client) -> None:
    result = run("ingest", "only-images", folder, "--groups", "groups.csv")

    assert result.exit_code == 0
    assert result.stdout.split() == ["class", "images", "green", "12", "red", "12"]
    assert client.dataset("only-images")["groups"]["red-0"] == 2


def test_ingesting_as_json_is_the_answer(run: Run, folder: Path) -> None:
    said = json.loads(run("ingest", "only-images", folder, "--json").stdout)

    assert said.keys() == {"dataset", "added", "known", "rejected", "labels", "images"}
    assert said["known"] == 24


def test_ingesting_nothing_usable_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"no image")

    result = run("ingest", "broken", tmp_path)

    assert result.exit_code == 1
    assert "not one file could be used" in result.stderr


def test_predicting_prints_one_aligned_row_for_each_file_and_head(
    run: Run, folder: Path, learnt: Result
) -> None:
    result = run("predict", folder, "--heads", "colour, colour@1")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["file", "head", "answer", "probability", "remark"]
    assert len(lines) == 1 + 2 * 24
    assert lines[1].split()[:3] == ["green/00.png", "colour@1", "green"]
    assert len({line.index("colour@1") for line in lines[1:]}) == 1
    assert "red/broken.png:" in result.stderr


def test_predicting_as_json_is_the_answer(
    run: Run, folder: Path, learnt: Result, client: Client
) -> None:
    path = folder / "red" / "00.png"

    said = json.loads(run("predict", path, "--heads", "colour", "--evidence", "2", "--json").stdout)

    assert said == client.predict(path, "colour", evidence=2)


def test_more_images_than_one_request_takes_are_one_answer(
    run: Run, tmp_path: Path, learnt: Result
) -> None:
    for i in range(70):
        (tmp_path / f"{i:02}.png").write_bytes(picture("green", 500 + i))

    said = json.loads(run("predict", tmp_path, "--heads", "colour", "--json").stdout)

    assert [r["image"]["filename"] for r in said["results"]] == [f"{i:02}.png" for i in range(70)]


def test_evidence_names_the_most_similar_images(run: Run, folder: Path, learnt: Result) -> None:
    result = run("predict", folder / "red" / "00.png", "--heads", "colour", "--evidence", "2")

    similar = result.stdout.partition("learnt from:")[2].strip().splitlines()
    assert similar[0].split()[:3] == ["file", "score", "label"]
    assert [line.split()[2] for line in similar[1:]] == ["red", "red"]


def test_explaining_draws_a_heat_map_for_each_image_and_head_and_says_where(
    run: Run, folder: Path, learnt: Result, tmp_path: Path
) -> None:
    words = ("predict", folder / "red", "--heads", "colour,colour@1", "--explain")

    result = run(*words, "--save", tmp_path / "maps")

    drawn = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert result.exit_code == 0, result.output
    assert len(drawn) == 2 * 12
    assert drawn[:2] == ["00.png colour@1 (2).png", "00.png colour@1.png"]
    assert f"24 heat maps in {tmp_path / 'maps'}" in result.stderr
    assert "heat map" not in result.stdout


def test_explaining_draws_in_the_folder_one_is_in_unless_told_otherwise(
    run: Run, folder: Path, learnt: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder / "red" / "00.png"

    run("predict", path, "--heads", "colour", "--explain")

    assert [f.as_posix() for f in Path().rglob("*.png")] == ["heat-maps/00.png colour@1.png"]


def test_explaining_as_json_is_the_answer_and_draws_nothing(
    run: Run,
    folder: Path,
    learnt: Result,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = folder / "red" / "00.png"

    said = json.loads(run("predict", path, "--heads", "colour", "--explain", "--json").stdout)

    assert said == client.predict(path, "colour", explain=True)
    assert said["results"][0]["predictions"][0]["explanation"]["grid"]
    assert list(tmp_path.iterdir()) == []


def test_predicting_fails_only_where_nothing_was_answered(
    run: Run, folder: Path, learnt: Result
) -> None:
    good, bad = folder / "red" / "00.png", folder / "red" / "broken.png"

    some, none = run("predict", good, bad), run("predict", bad)
    half, nobody = run("predict", good, "--heads", "colour,x"), run("predict", good, "--heads", "x")

    assert (some.exit_code, none.exit_code) == (0, 1)
    assert (half.exit_code, nobody.exit_code) == (0, 1)
    assert "broken.png:" in some.stderr
    assert "There is no head 'x'" in half.stderr
    assert "There is no head 'x'" in nobody.stderr


def test_predicting_without_heads_says_how_to_get_one(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    result = run("predict", folder / "red" / "00.png", PENULTIMATE_HOME=str(tmp_path / "new"))

    assert result.exit_code == 1
    assert "penultimate learn HEAD FOLDER" in result.stderr


def test_searching_prints_hits_best_first_and_json_is_the_answer(
    run: Run, folder: Path, learnt: Result, client: Client
) -> None:
    path = folder / "red" / "00.png"
    words = ("search", path, "-k", "3", "--dataset", "colour", "--label", "red")

    lines = run(*words).stdout.splitlines()
    said = json.loads(run(*words, "--json").stdout)

    assert lines[0].split() == ["score", "label", "file", "dataset", "digest"]
    assert [line.split()[-1] for line in lines[1:]] == [h["digest"] for h in said["hits"]]
    assert said == client.search(path, k=3, dataset="colour", label="red")


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
    again = run("erase", result.stdout.split()[1].rstrip(","))
    assert again.exit_code == 1
    assert "There is no image" in again.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("predict",),
        ("predict", "x.png", "--evidence", "21"),
        ("search", "x.png", "-k", "0"),
        ("learn", "h"),
        ("learn", "h", "f", "--task", "guess"),
        ("heads", "promote", "h"),
        ("heads", "promote", "h@latest"),
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
    assert "The catalog cannot be used." in result.output
    assert "no such column" in result.stderr


# --- real processes ------------------------------------------------------------------------------


def shell(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help_and_version_import_nothing_heavy() -> None:
    heavy = (
        "('torch', 'openvino', 'lightgbm', 'deltalake', 'numpy', 'httpx', 'fastapi', 'pydantic')"
    )
    code = f"import sys, service.cli\nprint([m for m in {heavy} if m in sys.modules])\n"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
    assert shell("--version").stdout.startswith("penultimate ")


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


def test_interrupting_a_learn_cancels_its_job(tmp_path: Path) -> None:
    for colour in COLOURS:
        (tmp_path / "many" / colour).mkdir(parents=True)
        for i in range(250):
            (tmp_path / "many" / colour / f"{i}.png").write_bytes(picture(colour, i, side=16))
    home = {"PENULTIMATE_HOME": str(tmp_path / "home"), "PENULTIMATE_BACKBONE": "toy"}
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "learn", "h", tmp_path / "many"],
        env={**os.environ, **home},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    settings = Settings(backbone="toy", home=tmp_path / "home", log_level="error")
    assert process.stderr is not None
    while "added" not in process.stderr.readline():
        assert process.poll() is None
    with local_client(settings) as client:
        while not client.jobs()["jobs"]:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[1]

        assert process.returncode != 0
        assert "Cancelled" in said
        assert "Traceback" not in said
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
        assert run(*at, "predict", folder / "red" / "00.png").stdout.split()[-4:-2] == [
            "colour@1",
            "red",
        ]
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
