"""Names, references, labels and file names: what is taken, refused, and made of them."""

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.names import (
    MAX_FILENAME,
    MAX_LABEL,
    HeadReference,
    check_alias,
    check_name,
    check_text,
    clean_filename,
    parse_reference,
    trainer_prefix,
)


@pytest.mark.parametrize("name", ["a", "A-1", "0", "x.y_z-", "v2", "a" * 64])
def test_a_plain_name_is_taken(name: str) -> None:
    assert check_name("head", name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "-a",
        ".a",
        "_a",
        "a/b",
        "a@1",
        "ä",
        "a\n",
        "\na",
        "a" * 65,
        "a\x00",
        "\ud800",
    ],
)
def test_a_name_that_is_unsafe_somewhere_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_name("head", name)
    assert refused.value.hint


@given(st.text(max_size=70))
def test_a_name_that_is_taken_is_safe_in_an_address_and_a_path(name: str) -> None:
    try:
        check_name("dataset", name)
    except InvalidRequest:
        return
    assert name.isascii()
    assert Path("/x", name).parent == Path("/x")
    assert not set(name) & set("/\\@%?#&= '\"$`;|<>*")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", HeadReference("a")),
        ("a@3", HeadReference("a", version=3)),
        ("a@003", HeadReference("a", version=3)),
        ("a@champion", HeadReference("a", alias="champion")),
        ("a@3b", HeadReference("a", alias="3b")),
        ("a@999999999", HeadReference("a", version=999_999_999)),
    ],
)
def test_a_reference_is_a_name_a_version_or_an_alias(text: str, expected: HeadReference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text", ["", "@", "a@", "@1", "a@b@c", "a@-1", "a@1.", "a b@1", "a@٣", "a@9999999999", "a@²"]
)
def test_a_reference_that_is_unclear_is_refused(text: str) -> None:
    if text == "a@1.":
        assert parse_reference(text) == HeadReference("a", alias="1.")
        return
    with pytest.raises(InvalidRequest):
        parse_reference(text)


@given(st.text(max_size=80))
def test_any_reference_is_read_or_refused(text: str) -> None:
    try:
        found = parse_reference(text)
    except InvalidRequest:
        return
    assert found.version is None or found.alias is None
    assert text.startswith(found.name)


@pytest.mark.parametrize("alias", ["3", "007", "٣"])
def test_an_alias_cannot_look_like_a_version(alias: str) -> None:
    with pytest.raises(InvalidRequest):
        check_alias(alias)


@pytest.mark.parametrize("text", [None, "", "   ", "\n", "\t "])
def test_a_label_of_nothing_is_no_label(text: str | None) -> None:
    assert check_text("label", text) is None


def test_a_label_is_stripped_and_kept_in_any_script() -> None:
    assert check_text("label", " Ödem, links (7%) ") == "Ödem, links (7%)"
    assert check_text("label", "肺炎") == "肺炎"
    assert check_text("label", "x" * MAX_LABEL) == "x" * MAX_LABEL


def test_two_spellings_of_one_accent_are_one_label() -> None:
    apart, composed = "O\u0308dem", "\u00d6dem"
    assert apart != composed
    assert check_text("label", apart) == check_text("label", composed) == composed


@pytest.mark.parametrize("text", ["a\nb", "a\x00b", "a\x1bb", "\ud800", "a\u202eb", "x" * 201])
def test_a_label_that_cannot_be_shown_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_text("label", text)
    assert "label" in refused.value.detail


def test_a_label_that_would_take_for_ever_to_compose_is_refused_at_once() -> None:
    begun = time.perf_counter()
    with pytest.raises(InvalidRequest):
        check_text("label", "a" + "\u0301\u0316" * 40_000)
    assert time.perf_counter() - begun < 0.5
    longest = "가" * MAX_LABEL
    assert check_text("label", unicodedata.normalize("NFD", longest)) == longest


@given(st.text(max_size=300))
def test_a_label_that_is_taken_is_taken_again_unchanged(text: str) -> None:
    try:
        label = check_text("label", text)
    except InvalidRequest:
        return
    assert check_text("label", label) == label
    if label is not None:
        assert unicodedata.is_normalized("NFC", label)
        label.encode()


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        (None, None),
        ("", None),
        ("a.png", "a.png"),
        ("/etc/a.png", "a.png"),
        ("C:\\pictures\\a.png", "a.png"),
        ("../a.png", "a.png"),
        ("folder/", "folder"),
        ("a\x00b\n.png", "ab.png"),
        ("\x00", None),
        ("\ud800.png", ".png"),
        ("x" * 2_000, "x" * MAX_FILENAME),
    ],
)
def test_of_a_file_name_the_last_printable_part_is_kept(
    filename: str | None, expected: str | None
) -> None:
    assert clean_filename(filename) == expected


def test_trainers_of_one_home_share_a_prefix_and_those_of_another_do_not(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "link").symlink_to(home)
    assert trainer_prefix(home) == trainer_prefix(tmp_path / "link")
    assert trainer_prefix(home) != trainer_prefix(tmp_path)
    assert not trainer_prefix(tmp_path).startswith(trainer_prefix(home))
    assert len(trainer_prefix(home)) < 100  # the job table's column takes 128 with the rest
