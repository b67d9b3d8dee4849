"""Heads listed, shown, promoted and deleted, and images erased, as a shell sees it."""

import errno
import json
from pathlib import Path

import pytest
from cli_runner import Run, runner
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


def test_an_alias_names_a_version_wherever_a_number_does(
    run: Run, tmp_path: Path, learnt: Result, client: Client
) -> None:
    for seed in (1, 2, 3):
        client.learn("aliased", "colour", options={"seed": seed}, wait=True)
    client.promote("aliased", 2, alias="trial")
    told = "aliased@2: 2 classes"
    assert told in run("heads", "show", "aliased@trial").stdout
    for words in (
        ("heads", "show", "aliased@{}", "--json"),
        ("suspects", "aliased@{}", "--json"),
        ("next", "aliased@{}", "--json"),
        ("heads", "validate", "aliased@{}", "colour"),
    ):
        by_alias, by_number = ([w.format(which) for w in words] for which in ("trial", "2"))
        assert run(*by_alias).output == run(*by_number).output
    page, file = tmp_path / "page.html", tmp_path / "file.zip"
    assert run("report", "aliased@trial", "--out", page).exit_code == 0
    assert "aliased@2" in page.read_text()
    assert run("heads", "export", "aliased@trial", "--out", file).exit_code == 0
    assert file.read_bytes() == client.export_head("aliased", 2)

    promoted = run("heads", "promote", "aliased@trial")
    assert "aliased@champion is now version 2" in promoted.stdout
    assert run("heads", "promote", "aliased@1").exit_code == 0
    deleted = run("heads", "delete", "aliased@trial")
    assert deleted.stdout == "Deleted aliased@2.\n"
    assert [v["version"] for v in client.head("aliased")["versions"]] == [1, 3]
    run("heads", "delete", "aliased")


def test_an_alias_that_there_is_not_is_refused_with_those_there_are(
    run: Run, learnt: Result, client: Client
) -> None:
    client.promote("colour", 1, alias="old")
    for words in (("heads", "delete"), ("heads", "show"), ("heads", "promote"), ("suspects",)):
        refused = run(*words, "colour@latest")
        assert refused.exit_code == 1
        assert "has no alias 'latest'; it has champion, old." in refused.stderr
    assert client.head("colour")["champion"] == 1
    assert "There is no head 'nobody'" in run("heads", "show", "nobody@champion").stderr


def test_a_file_is_written_whole_or_stays_as_it_was(
    run: Run, tmp_path: Path, learnt: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "colour.zip"
    assert run("heads", "export", "colour@1", "--out", file).exit_code == 0
    file.chmod(0o640)
    before = file.read_bytes()

    def full(place: Path, data: bytes) -> None:
        place.write_bytes(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device", str(place))

    with monkeypatch.context() as patched:
        patched.setattr("features.disk.write_new", full)
        assert run("heads", "export", "colour@1", "--out", file).exit_code == 1
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    link = tmp_path / "link"
    link.symlink_to(file)
    assert run("heads", "export", "colour@1", "--out", link).exit_code == 0
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert run("heads", "export", "colour@1", "--out", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "words",
    [
        ("report", "colour", "--out", "{}/x.html"),
        ("heads", "export", "colour", "--out", "{}/x.zip"),
        ("predict", "{}", "--csv", "{}/x.csv"),
    ],
)
def test_a_file_in_no_folder_is_refused_before_anything_is_asked(
    run: Run, folder: Path, tmp_path: Path, learnt: Result, words: tuple[str, ...]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    said = run(*(str(folder) if w == "{}" else w.format(nowhere) for w in words))
    assert said.exit_code == 1
    assert said.stdout == ""
    assert f"the folder '{nowhere}' does not exist." in said.stderr
    (tmp_path / "nowhere").write_bytes(b"")
    said = run(*(str(folder) if w == "{}" else w.format(nowhere) for w in words))
    assert f"the folder '{nowhere}' is a file, and no folder." in said.stderr


def test_a_file_that_cannot_be_written_is_named_as_it_was_given(
    run: Run, tmp_path: Path, learnt: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(place: Path, data: bytes) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(place))

    with monkeypatch.context() as patched:
        patched.setattr("features.disk.write_new", refuse)
        said = run("report", "colour", "--out", tmp_path / "page.html")
    assert f"Error: '{tmp_path / 'page.html'}': Permission denied." in said.stderr


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


def test_a_head_goes_to_another_home_as_a_file(
    run: Run, tmp_path: Path, folder: Path, learnt: Result
) -> None:
    file = tmp_path / "colour.zip"
    written = run("heads", "export", "colour", "--out", file)
    assert written.stdout.strip() == str(file)
    assert "no image, file name, digest or group" in written.stderr

    other = runner(tmp_path / "other")
    taken = other("heads", "import", "theirs", file)
    assert taken.exit_code == 0, taken.stderr
    assert "theirs@1: 2 classes learnt from 24 images in 12 groups (elsewhere)" in taken.stdout
    assert "Everything above was said where it was learnt. It is theirs@1 here." in taken.stdout
    assert "(elsewhere)" in other("heads", "list").stdout
    assert (
        other("predict", folder / "red" / "01.png").stdout.split()[-3:]
        == (run("predict", folder / "red" / "01.png", "--heads", "colour").stdout.split()[-3:])
    )
    assert "Ask where it was learnt." in other("suspects", "theirs").stderr
    again = json.loads(other("heads", "import", "theirs", file, "--json").stdout)
    assert again["version"] == 1

    file.write_bytes(file.read_bytes()[:-100])
    refused = other("heads", "import", "broken", file)
    assert refused.exit_code == 1
    assert "no head that can be taken in" in refused.stderr
    missing = other("heads", "import", "broken", tmp_path / "nowhere.zip")
    assert missing.exit_code == 1
    assert missing.stderr.endswith(f"'{tmp_path / 'nowhere.zip'}': No such file or directory.\n")


def test_a_head_that_comes_to_one_of_the_same_name_waits_to_be_promoted(
    run: Run, tmp_path: Path, learnt: Result, client: Client
) -> None:
    client.learn("named", "colour", options={"seed": 1}, wait=True)
    file = tmp_path / "colour.zip"
    run("heads", "export", "colour@1", "--out", file)
    taken = run("heads", "import", "named", file)
    assert "named@1 still answers; `penultimate heads promote named@2`" in taken.stderr


def test_a_head_is_tried_on_images_that_it_never_saw(
    run: Run, folder: Path, learnt: Result, client: Client
) -> None:
    new = [(c, picture(c, 900 + i)) for c in ("red", "green") for i in range(12)]
    client.ingest("later", [data for _, data in new], [c for c, _ in new])
    client.ingest("later", [(folder / "red" / "01.png").read_bytes()], ["red"])
    said = run("heads", "validate", "colour", "later").stdout
    assert "colour@1 on 24 images of dataset 'later' that it never saw" in said
    assert "left out: 1 that it learnt from" in said
    assert "No worse here, as far as these images can tell: AUC 1.00" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["labelled", "said", "green", "said", "red"] in rows
    assert ["green", "12", "0"] in rows
    answer = json.loads(run("heads", "validate", "colour@1", "later", "--json").stdout)
    assert answer == client.validate_head("colour", "later")
    nothing = run("heads", "validate", "colour", "colour")
    assert nothing.exit_code == 1
    assert "24 that it learnt from" in nothing.stderr
