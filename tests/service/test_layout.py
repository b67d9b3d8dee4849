"""What the folders and tables in an archive say of its images."""

import pytest
from packed import KINDS, Maker, read, refused, tarred, zipped


def said(data: bytes) -> dict[str, tuple[str | None, str | None, str | None]]:
    return {m.path: (m.label, m.group, m.split) for m in read(data)}


@KINDS
def test_one_folder_around_the_class_folders_is_no_class(make: Maker) -> None:
    files = {"my set/cats/1.png": b"1", "my set/dogs/2.png": b"2", "my set/notes/": b""}
    assert said(make({k: v for k, v in files.items() if not k.endswith("/")})) == {
        "cats/1.png": ("cats", None, None),
        "dogs/2.png": ("dogs", None, None),
    }


@pytest.mark.parametrize("note", ["my set/README.txt", "about.md", "my set/papers/1.PDF"])
def test_a_note_beside_the_class_folders_changes_no_label(note: str) -> None:
    found = said(zipped({"my set/cats/1.png": b"1", "my set/dogs/2.png": b"2", note: b"text"}))
    assert found["cats/1.png"][0] == "cats"
    assert found["dogs/2.png"][0] == "dogs"


def test_a_single_class_folder_is_a_class() -> None:
    assert said(zipped({"cats/1.png": b"1", "cats/2.png": b"2"})) == {
        "cats/1.png": ("cats", None, None),
        "cats/2.png": ("cats", None, None),
    }


@KINDS
def test_tables_go_before_folders_and_fill_in_the_rest(make: Maker) -> None:
    labels = b"path,label,group,split\ncats/1.png,lion,g1,train\ndogs/2.png,,g2,\n"
    files = {"cats/1.png": b"1", "labels.csv": labels, "dogs/2.png": b"2", "dogs/3.png": b"3"}
    assert said(make(files)) == {
        "cats/1.png": ("lion", "g1", "train"),
        "dogs/2.png": ("dogs", "g2", None),
        "dogs/3.png": ("dogs", None, None),
    }


@pytest.mark.parametrize("key", ["1.png", "./1.png", "set/1.png", "set\\1.png"])
def test_a_flat_folder_with_its_table_needs_no_class_folders(key: str) -> None:
    table = f"path,label\n{key},cat\n".encode()
    assert said(zipped({"set/1.png": b"1", "set/labels.csv": table})) == {
        "1.png": ("cat", None, None)
    }


@pytest.mark.parametrize("key", ["a/1.png", "set/a/1.png"])
def test_a_table_may_name_files_with_or_without_the_folder_around(key: str) -> None:
    table = f"path,label\n{key},cat\n".encode()
    files = {"set/a/1.png": b"1", "set/b/2.png": b"2", "set/labels.csv": table}
    assert said(zipped(files)) == {"a/1.png": ("cat", None, None), "b/2.png": ("b", None, None)}


def test_groups_and_splits_beside_the_folders_are_not_lost() -> None:
    files = {
        "cats/1.png": b"1",
        "groups.csv": b"path,group\ncats/1.png,patient 7\n",
        "split.csv": b"path,split\ncats/1.png,test\n",
        "meta.csv": b"path,x\ncats/1.png,3\n",
    }
    assert said(zipped(files)) == {"cats/1.png": ("cats", "patient 7", "test")}


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
@pytest.mark.parametrize("table", ["labels.csv", "split.csv"])
def test_validation_is_the_test_split_where_there_is_no_other(table: str, name: str) -> None:
    files = {f"cats/{n}.png": b"%d" % n for n in (1, 2, 3)}
    rows = f"path,split\ncats/1.png,train\ncats/2.png,{name}\nlost.png,test\n"
    assert [split for _, _, split in said(zipped({**files, table: rows.encode()})).values()] == [
        *("train", "test", None)
    ]


def test_validation_beside_a_test_split_is_neither() -> None:
    rows = b"path,split\ncats/1.png,test\ncats/2.png,val\n"
    files = {"cats/1.png": b"1", "cats/2.png": b"2", "split.csv": rows}
    assert [split for _, _, split in said(zipped(files)).values()] == ["test", "val"]


@pytest.mark.parametrize(
    "table",
    [
        "path,label\r\ncats/1.png,Ödem\r\n".encode(),
        "\ufeffpath;label\ncats/1.png;Ödem\n".encode(),
        "Label\tPath \n Ödem \t cats/1.png\n".encode(),
        'path,label\n"cats/1.png","Ödem"\n\n'.encode(),
    ],
    ids=["windows lines", "semicolons and mark", "tabs, other order", "quotes, empty line"],
)
def test_a_table_as_spreadsheets_write_it(table: bytes) -> None:
    files = {"cats/1.png": b"1", "labels.csv": table}
    assert said(zipped(files)) == {"cats/1.png": ("Ödem", None, None)}


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (b"", "columns"),
        (b"file,label\ncats/1.png,x\n", "columns"),
        (b"path,shape\ncats/1.png,x\n", "columns"),
        (b"path,label\ncats/1.png,\xff\n", "CSV"),
        (b'path,label\n"cats/1.png,x\n', "CSV"),
        (b"path,label\ncats/1.png," + b"x" * 200_000 + b"\n", "CSV"),
        ("path,label\ncats/1.png,x\n".encode("utf-16"), "CSV"),
        (b"path,label\ncats/1.png,x\ncats/1.png,y\n", "two things"),
        (b"path,label\nelsewhere/1.png,x\n", "no file"),
    ],
)
def test_a_table_that_is_unclear_refuses_the_archive(table: bytes, word: str) -> None:
    assert word in refused(zipped({"cats/1.png": b"1", "labels.csv": table})).detail


def test_a_table_that_occurs_twice_refuses_the_archive() -> None:
    table = b"path,label\n1.png,x\n"
    files = {"cats/1.png": b"1", "cats/labels.csv": table, "dogs/labels.csv": table}
    assert "2 times" in refused(zipped(files)).detail


@KINDS
def test_hidden_files_and_what_describes_images_are_no_images(make: Maker) -> None:
    files = {
        "cats/1.png": b"1",
        ".DS_Store": b"x",
        "cats/._1.png": b"x",
        ".git/cats/2.png": b"x",
        "__MACOSX/cats/1.png": b"x",
        "__MACOSX/labels.csv": b"\xff",
        "cats/Thumbs.db": b"x",
    }
    assert [m.path for m in read(make(files))] == ["cats/1.png"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_archive_without_images_is_refused(make: Maker) -> None:
    assert "no images" in refused(make({})).detail
    assert "no images" in refused(make({".hidden": b"x", "meta.csv": b"x"})).detail


def test_a_table_beside_the_one_folder_around_the_classes_leaves_them_classes() -> None:
    table = b"path,group\ncat/1.png,g1\ntop/dog/2.png,g2\n"
    files = {"groups.csv": table, "top/cat/1.png": b"1", "top/dog/2.png": b"2"}
    found = {m.path: (m.label, m.group) for m in read(zipped(files))}
    assert found == {"cat/1.png": ("cat", "g1"), "dog/2.png": ("dog", "g2")}


def test_a_path_is_the_same_however_its_accents_are_written() -> None:
    apart, together = "cafe\u0301/1.png", "caf\u00e9/1.png"
    for name, said in ((apart, together), (together, apart)):
        table = f"path,group\n{said},g1\n".encode()
        (member,) = read(zipped({name: b"1", "groups.csv": table}))
        assert member.group == "g1"


def test_a_row_with_more_cells_than_columns_is_refused() -> None:
    table = b"path,label,group\ncats/1.png,pneumonia, viral,g1\n"
    said = refused(zipped({"cats/1.png": b"1", "labels.csv": table}))
    assert "more cells than columns" in said.detail
    spare = table.replace(b"pneumonia, viral,g1", b"viral,g1,,")
    (member,) = read(zipped({"cats/1.png": b"1", "labels.csv": spare}))
    assert (member.label, member.group) == ("viral", "g1")
