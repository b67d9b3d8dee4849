"""Learning and ingesting, as a shell sees them."""

import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from cli_runner import Run
from live_server import picture
from made_heads import made_growth
from typer.testing import Result

from service.cli.cards import print_card
from service.client import Client
from service.schemas import IngestAnswer


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
    for colour in ("red", "green"):
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
    for colour in ("red", "green"):
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
    run("ingest", "only-images", folder)
    said = json.loads(run("ingest", "only-images", folder, "--json").stdout)

    assert said.keys() == IngestAnswer.model_fields.keys()
    assert said["known"] == 24


def test_ingesting_nothing_usable_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"no image")

    result = run("ingest", "broken", tmp_path)

    assert result.exit_code == 1
    assert "not one file could be used" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--order", "red,blue"), "in --order, lowest first"),
        (("--order", "red,green", "--task", "binary"), "--task ordinal or none"),
        (("--task", "regression"), "Leave --task out"),
    ],
)
def test_a_task_that_the_labels_do_not_fit_has_a_hint_of_its_own(
    run: Run, folder: Path, learnt: Result, options: tuple[str, ...], said: str
) -> None:
    result = run("learn", "misfit", folder, "--dataset", "colour", *options)
    assert result.exit_code == 1
    hint = result.stderr.partition("Hint: ")[2]
    assert "`penultimate datasets show colour` lists the labels" in hint
    assert said in hint
    assert "--relabel" not in hint


def test_a_name_that_no_head_can_have_is_not_called_a_dataset(run: Run, folder: Path) -> None:
    assert "the name of a head" in run("learn", "bad name!", folder).stderr
    of_dataset = run("learn", "good", folder, "--dataset", "bad name!").stderr
    assert "the name of a dataset" in of_dataset
