"""Questions, as a shell sees them: what is printed where, and which files are drawn."""

import json
from pathlib import Path

import pytest
from cli_runner import Run
from live_server import picture
from typer.testing import Result

from service.cli.ask import _remark
from service.client import Client


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


def test_heads_may_be_named_one_by_one(run: Run, folder: Path, learnt: Result) -> None:
    words = ("--heads", "colour@1", "--heads", "colour", "--json")
    (one,) = json.loads(run("predict", folder / "red" / "00.png", *words).stdout)["results"]
    assert [said["head"] for said in one["predictions"]] == ["colour", "colour"]


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
    assert similar[0].split()[:4] == ["file", "head", "score", "label"]
    assert [line.split()[1:4:2] for line in similar[1:]] == [["colour", "red"]] * 2


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
    assert half.stderr.count("`penultimate heads list` shows") == 1
    assert "There is no head 'x'" in nobody.stderr


def test_a_refused_prediction_as_json_is_the_whole_refusal(
    run: Run, learnt: Result, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    result = run("predict", tmp_path / "broken.png", "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["status"], said["code"]) == (1, 422, "nothing_answered")
    assert [r["error"]["code"] for r in said["results"]] == ["not_an_image"]


def test_a_refusal_of_more_images_than_one_request_takes_is_one_too(
    run: Run, learnt: Result, tmp_path: Path
) -> None:
    for n in range(70):
        (tmp_path / f"{n:02}.png").write_bytes(b"no image %d" % n)
    result = run("predict", tmp_path, "--json")
    said = json.loads(result.stdout)
    assert (result.exit_code, said["status"], said["code"]) == (1, 422, "nothing_answered")
    assert [len(said[of]) for of in ("results", "problems")] == [70, 70]
    assert said["space"]

    (tmp_path / "69.png").write_bytes(picture("red", 960))
    some = run("predict", tmp_path, "--json")
    assert some.exit_code == 0
    assert json.loads(some.stdout).keys() == {"space", "results"}


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


@pytest.mark.parametrize(
    ("unlike", "within", "remark"),
    [
        (False, ["a"], ""),
        (False, ["a", "b"], "or b"),
        (False, [], "no label is likely enough"),
        (True, ["a"], "unlike what it learnt from"),
        (True, ["a", "b"], "unlike what it learnt from; or b"),
    ],
)
def test_what_is_unlike_is_still_told_what_else_it_may_be(
    unlike: bool,  # noqa: FBT001  a parameter
    within: list[str],
    remark: str,
) -> None:
    said = {"unlike": unlike, "task": "binary", "label": "a", "set": within}
    assert _remark(said) == remark
