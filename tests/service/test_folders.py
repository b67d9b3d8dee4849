"""A folder means the same images and labels every time, and says what it leaves out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.client_errors import FolderUnusable
from service.folders import find_images, read_folder
from service.tables import read_column, read_rows

Form = Literal["NFC", "NFD"]


def lay_out(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    names = ("ill/1.png", "ill/deep/er/2.png", "well/1.png", "well/2.png")
    return lay_out(tmp_path / "set", dict.fromkeys(names, "x"))


def test_the_class_is_the_first_folder_however_deep_a_file_lies(folder: Path) -> None:
    found = read_folder(folder)

    assert [(e.name, e.label) for e in found.entries] == [
        ("ill/1.png", "ill"),
        ("ill/deep/er/2.png", "ill"),
        ("well/1.png", "well"),
        ("well/2.png", "well"),
    ]
    assert found.labels == {"ill": 2, "well": 2}
    assert found.notes == ()
    assert all(e.path.read_text() == "x" for e in found.entries)


def test_hidden_files_and_tables_are_no_images(folder: Path) -> None:
    extra = (".DS_Store", "well/.hidden.png", ".git/well/x.png", "__MACOSX/well/1.png", "meta.csv")
    lay_out(folder, dict.fromkeys(extra, "x"))

    assert len(read_folder(folder).entries) == 4
    assert len(list(find_images(folder))) == 4


def test_files_outside_class_folders_are_left_out_and_counted(folder: Path) -> None:
    lay_out(folder, {"README.md": "x", "loose.png": "x"})

    found = read_folder(folder)

    assert len(found.entries) == 4
    assert "2 files outside any class folder left out: 'README.md', 'loose.png'." in found.notes


def test_tables_in_the_folder_are_named_but_not_used(folder: Path) -> None:
    lay_out(folder, {"groups.csv": "path,group\nill/1.png,a\n", "split.csv": "path,split\n"})

    found = read_folder(folder)

    assert {e.group for e in found.entries} == {None}
    assert any("groups.csv" in n and "--groups" in n for n in found.notes)
    assert any("split.csv" in n and "--splits" in n for n in found.notes)


def test_groups_are_found_in_the_folder_by_name_and_strangers_are_counted(folder: Path) -> None:
    rows = "path,group\nill/1.png,a\nwell/1.png,b\ngone/9.png,c\nwell/2.png,\n"
    lay_out(folder, {"groups.csv": rows})

    found = read_folder(folder, groups="groups.csv")

    assert {e.name: e.group for e in found.entries} == {
        "ill/1.png": "a",
        "ill/deep/er/2.png": None,
        "well/1.png": "b",
        "well/2.png": None,
    }
    assert "1 of 3 paths in groups.csv match no file: 'gone/9.png'." in found.notes
    assert any(n.startswith("2 files without a group in groups.csv") for n in found.notes)


def test_a_table_here_goes_before_one_in_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(folder, {"groups.csv": "path,group\nill/1.png,inside\n"})
    lay_out(tmp_path, {"groups.csv": "path,group\nill/1.png,outside\n"})

    found = read_folder(folder, groups="groups.csv")

    assert found.entries[0].group == "outside"


def test_labels_csv_goes_before_folders_and_reaches_loose_files(folder: Path) -> None:
    rows = "path,label,group,split\nill/1.png,worse,p1,test\nloose.png,well,p2,\n"
    lay_out(folder, {"loose.png": "x", "labels.csv": rows})

    found = {e.name: (e.label, e.group, e.split) for e in read_folder(folder).entries}

    assert found["ill/1.png"] == ("worse", "p1", "test")
    assert found["loose.png"] == ("well", "p2", None)
    assert found["well/1.png"] == ("well", None, None)


@pytest.mark.parametrize(("on_disk", "written"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_in_paths_match_however_they_are_composed(
    tmp_path: Path, on_disk: Form, written: Form
) -> None:
    """A Mac takes accents apart in file names, and a spreadsheet does not."""

    def row(rest: str) -> str:
        return normalize(written, f"./Käse/Müller.png,{rest}\n")

    files = {
        normalize(on_disk, "Käse/Müller.png"): "x",
        "plain/1.png": "x",
        "labels.csv": "path,label\n" + row("Brie"),
        "groups.csv": "path,group\n" + row("p1"),
        "split.csv": "path,split\nplain/1.png,train\n" + row("test"),
    }
    found = read_folder(lay_out(tmp_path, files), groups="groups.csv", splits="split.csv")

    assert [(e.label, e.group, e.split) for e in found.entries if e.name != "plain/1.png"] == [
        ("Brie", "p1", "test")
    ]
    assert found.entries[0].path.exists()
    assert not any("match no file" in said for said in found.notes)


def splits_of(folder: Path, rows: str) -> dict[str, str | None]:
    lay_out(folder, {"split.csv": f"path,split\n{rows}"})
    return {e.name: e.split for e in read_folder(folder, splits="split.csv").entries}


@pytest.mark.parametrize("rows", ["ill/1.png,dev\n", "ill/1.png,val\nwell/1.png,test\n"])
def test_splits_must_be_train_or_test(folder: Path, rows: str) -> None:
    with pytest.raises(FolderUnusable, match="train or test, not"):
        splits_of(folder, rows)


def test_validation_is_the_test_split_where_there_is_no_other(folder: Path) -> None:
    found = splits_of(folder, "ill/1.png,train\nwell/1.png,val\nwell/2.png,val\n")

    assert found == {
        "ill/1.png": "train",
        "ill/deep/er/2.png": None,
        "well/1.png": "test",
        "well/2.png": "test",
    }
    assert any("'val' is taken" in n for n in read_folder(folder, splits="split.csv").notes)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no images"),
        ({"1.png": "x"}, "no class folders"),
        ({".hidden/1.png": "x"}, "no images"),
    ],
)
def test_a_folder_without_classes_is_refused(
    tmp_path: Path, files: Mapping[str, str], said: str
) -> None:
    (tmp_path / "set").mkdir()

    with pytest.raises(FolderUnusable, match=said) as refused:
        read_folder(lay_out(tmp_path / "set", files))

    assert "folder for each class" in refused.value.hint


def test_a_missing_folder_and_a_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(FolderUnusable, match="There is no folder"):
        read_folder(tmp_path / "nothing")
    with pytest.raises(FolderUnusable, match="is a file"):
        read_folder(tmp_path / "file")


def test_a_table_that_names_no_file_is_refused(folder: Path) -> None:
    lay_out(folder, {"groups.csv": "path,group\nset/ill/1.png,a\n"})

    with pytest.raises(FolderUnusable, match="names none") as refused:
        read_folder(folder, groups="groups.csv")

    assert "ill/1.png" in refused.value.hint


def test_a_missing_table_is_refused(folder: Path) -> None:
    with pytest.raises(FolderUnusable, match=r"no file 'groups\.csv'"):
        read_folder(folder, groups="groups.csv")


def test_links_are_followed_but_never_in_a_circle(folder: Path, tmp_path: Path) -> None:
    lay_out(tmp_path / "elsewhere", {"3.png": "x"})
    (folder / "third").symlink_to(tmp_path / "elsewhere")
    (folder / "well" / "back").symlink_to(folder)

    names = [e.name for e in read_folder(folder).entries]

    assert "third/3.png" in names
    assert len(names) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'path'"),
        ("file,group\na,b\n", "no column 'path'; it has: file, group"),
        ("path,patient\na,b\n", "no column 'group'"),
        ("path,group\na,1\na,2\n", "two things of 'a'"),
        ('path,group\n"a,1\n', "is no CSV"),
    ],
)
def test_an_unclear_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    table = tmp_path / "groups.csv"
    table.write_text(text, encoding="utf-8")

    with pytest.raises(FolderUnusable, match=said):
        read_column(table, "group")


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_bytes("path,group\nä,b\n".encode("latin-1"))

    with pytest.raises(FolderUnusable, match="UTF-8"):
        read_column(tmp_path / "groups.csv", "group")


@pytest.mark.parametrize(
    "data",
    [
        b"path,group\nill/1.png,a\n",
        b"\xef\xbb\xbfPath;Group\r\nill\\1.png;a\r\n",
        b"group\tother\tpath\na\tx\t./ill/1.png\n\n",
        b'"path","group"\n"ill/1.png"," a "\n',
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "groups.csv").write_bytes(data)

    assert read_column(tmp_path / "groups.csv", "group") == {"ill/1.png": "a"}


TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\\"),
    min_size=1,
    max_size=20,
).map(str.strip)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    rows=st.dictionaries(
        TEXT.filter(lambda path: path and not path.startswith("./")), TEXT.filter(bool)
    )
)
def test_whatever_csv_can_hold_comes_back(tmp_path: Path, rows: dict[str, str]) -> None:
    quoted = [
        f'"{p.replace(chr(34), 2 * chr(34))}","{v.replace(chr(34), 2 * chr(34))}"'
        for p, v in rows.items()
    ]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(quoted), encoding="utf-8")

    assert {p: {"label": v} for p, v in rows.items()} == read_rows(tmp_path / "t.csv", ("label",))


@pytest.mark.parametrize("path", ["C:\\\\me\\\\1.png", "set/ill/1.png", "ill/1"])
def test_a_table_of_labels_that_names_no_file_is_what_is_wrong(folder: Path, path: str) -> None:
    (folder / "said.csv").write_text(f"path,label\n{path},ill\n")
    with pytest.raises(FolderUnusable, match="names none of the 4 files") as refused:
        read_folder(folder, labels="said.csv")
    assert "ill/1.png" in refused.value.hint


def test_folders_that_say_when_an_image_is_used_are_no_classes(tmp_path: Path) -> None:
    names = ("train/ill/1.png", "Test/well/1.png", "val/ill/2.png")
    root = lay_out(tmp_path, dict.fromkeys(names, "x"))
    with pytest.raises(FolderUnusable, match="splits, not classes: Test, train, val"):
        read_folder(root)
    assert [e.label for e in read_folder(root / "train").entries] == ["ill"]
    lay_out(root, dict.fromkeys(("ill/1.png",), "x"))
    assert len(read_folder(root).entries) == 4


def test_rows_without_a_label_are_counted_apart(folder: Path) -> None:
    (folder / "labels.csv").write_text("path,label\nill/1.png,\nwell/1.png,well\nwell/2.png\n")
    notes = read_folder(folder, unlabelled=True).notes
    assert "labels.csv gives the labels of 1 file." in notes
    assert "2 files without a label in labels.csv: 'ill/1.png', 'well/2.png'." in notes
