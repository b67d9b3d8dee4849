"""Everything wrong with a label set is found at once, before any fit."""

from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import digests

from classifiers.class_checks import FEWEST_IMAGES
from classifiers.errors import LabelProblems
from classifiers.labels import LabelSet, check, find_problems, fingerprint

LABELS = ("cat",) * 6 + ("dog",) * 6
GOOD = LabelSet(digests(12), LABELS)

columns = st.lists(
    st.tuples(
        st.sampled_from(digests(14)),
        st.sampled_from(["cat", "dog", "Dog", " ", ""]),
        st.sampled_from([None, "", "p1", "p2", "p3"]),
        st.sampled_from([None, "train", "test"]),
    ),
    max_size=30,
)


def codes(label_set: LabelSet, severity: str | None = None) -> set[str]:
    found = find_problems(label_set)
    return {problem.code for problem in found if severity in (None, problem.severity)}


def as_set(rows: list[tuple[str, str, str | None, str | None]]) -> LabelSet:
    columns = [tuple(column) for column in zip(*rows, strict=True)] or [()] * 4
    return LabelSet(*columns)  # type: ignore[arg-type]  # splits of any text are what is tested


def test_a_good_label_set_has_no_problem() -> None:
    assert find_problems(GOOD) == []
    assert check(GOOD, known=digests(12)) == []


def test_columns_of_different_lengths_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="11 labels for 12 digests"):
        LabelSet(digests(12), LABELS[1:])


@pytest.mark.parametrize(
    ("label_set", "code", "items"),
    [
        (LabelSet((), ()), "empty_dataset", ()),
        (replace(GOOD, splits=("test",) * 12), "empty_dataset", ()),
        (replace(GOOD, labels=("cat",) * 12), "one_label", ("cat",)),
        (replace(GOOD, labels=("", *LABELS[1:])), "missing_label", (digests(1)[0],)),
        (LabelSet(digests(10), ("cat",) * 6 + ("dog",) * 4), "too_few_images", ("dog",)),
        (replace(GOOD, splits=("train",) * 8 + ("test",) * 4), "too_few_images", ("dog",)),
        (replace(GOOD, splits=("tran",) + (None,) * 11), "bad_split", ("tran",)),
        (replace(GOOD, splits=(None,) * 6 + ("test",) * 6), "class_missing_in_split", ("dog",)),
        (
            replace(GOOD, groups=("p",) * 2 + (None,) * 10, splits=("test",) + (None,) * 11),
            "group_on_both_sides",
            ("p",),
        ),
        (
            LabelSet((*digests(12), digests(1)[0]), (*LABELS, "dog")),
            "conflicting_labels",
            (digests(1)[0],),
        ),
        (
            LabelSet((*digests(12), digests(1)[0]), (*LABELS, "cat"), ("a",) * 12 + ("b",)),
            "conflicting_groups",
            (digests(1)[0],),
        ),
        (
            LabelSet(
                (*digests(12), digests(1)[0]), (*LABELS, "cat"), None, (None,) * 12 + ("test",)
            ),
            "image_on_both_sides",
            (digests(1)[0],),
        ),
    ],
)
def test_each_error_is_found_and_names_what_it_concerns(
    label_set: LabelSet, code: str, items: tuple[str, ...]
) -> None:
    found = {problem.code: problem for problem in find_problems(label_set)}
    assert found[code].severity == "error"
    assert found[code].items == items


@pytest.mark.parametrize(
    ("label_set", "code"),
    [
        (LabelSet((*digests(12), digests(1)[0]), (*LABELS, "cat")), "duplicate_image"),
        (LabelSet(digests(17), (*LABELS, *["Cat"] * 5)), "similar_labels"),
        (LabelSet(digests(17), (*LABELS, *["cat "] * 5)), "similar_labels"),
        (replace(GOOD, groups=(None, *"abcdefghijk")), "missing_group"),
        (replace(GOOD, groups=("p",) * 6 + tuple("abcdef")), "single_group_class"),
        (replace(GOOD, splits=("test",) + (None,) * 11), "class_not_tested"),
    ],
)
def test_each_doubt_is_a_warning_that_does_not_stop(label_set: LabelSet, code: str) -> None:
    assert {problem.code for problem in check(label_set)} == {code}


def test_the_groups_of_images_kept_aside_are_not_asked_for() -> None:
    groups = (None, *"abcde", None, *"fghij")
    splits = ("test", *["train"] * 5, "test", *["train"] * 5)
    assert codes(replace(GOOD, groups=groups, splits=splits)) == set()


def test_images_without_a_record_are_an_error_where_records_are_known() -> None:
    (found,) = find_problems(GOOD, known=digests(12)[2:])
    assert (found.code, found.severity, found.items) == (
        "unknown_digests",
        "error",
        tuple(sorted(digests(2))),
    )


def test_every_problem_is_reported_at_once_errors_first() -> None:
    label_set = LabelSet(
        digests(8),
        ("cat",) * 6 + ("dog", ""),
        ("p",) * 8,
        ("test", *["train"] * 7),
    )
    with pytest.raises(LabelProblems) as caught:
        check(label_set, known=digests(7))
    problems = caught.value.problems
    assert [problem.severity for problem in problems] == sorted(
        problem.severity for problem in problems
    )
    assert {problem.code for problem in problems} == {
        "missing_label",
        "too_few_images",
        "group_on_both_sides",
        "unknown_digests",
        "class_not_tested",
        "single_group_class",
    }
    assert all(problem.detail in str(caught.value) for problem in problems[:4])


def test_a_long_list_of_items_is_cut_and_its_count_kept() -> None:
    (found,) = find_problems(GOOD, known=())
    assert len(found.items) == 5
    assert found.detail.startswith("12 images")


def test_an_image_listed_twice_counts_once_towards_its_class() -> None:
    four = digests(10)[:9]
    label_set = LabelSet((*four, four[8]), ("cat",) * 5 + ("dog",) * 5)
    assert "too_few_images" in codes(label_set, "error")


def test_a_task_that_the_labels_are_not_is_named_with_the_labels_that_are_not() -> None:
    (found,) = find_problems(replace(GOOD, labels=("1",) * 6 + ("two",) * 6), task="regression")
    assert (found.code, found.severity, found.items) == ("task_misfit", "error", ("two",))


SEVERAL = ("a|b", "b", "a", "-", "a|b|c", "c")


def test_of_several_labels_each_needs_images_with_it_and_without_it() -> None:
    good = LabelSet(digests(30), SEVERAL * 5)
    assert find_problems(good) == []
    rare = find_problems(LabelSet(digests(30), (*["a|b", "b", "a"] * 9, "-", "c", "c")))
    assert [(p.code, p.items) for p in rare] == [("too_few_images", ("c",))]
    common = find_problems(LabelSet(digests(30), (*["a|b", "a"] * 14, "b", "b")))
    assert [(p.code, p.items) for p in common] == [("too_few_images", ("a",))]


def test_of_several_labels_each_is_looked_for_on_both_sides_of_the_split() -> None:
    splits = ("train",) * 24 + ("test",) * 6
    labels = ("a", "b", "-") * 8 + ("c",) * 3 + ("a|b",) * 3
    found = find_problems(LabelSet(digests(30), labels, None, splits), task="multilabel")
    assert [(p.code, p.items) for p in found] == [("class_missing_in_split", ("c",))]


@pytest.mark.parametrize(("n", "expected"), [(19, {"too_few_images"}), (20, set())])
def test_numbers_need_twenty_images(n: int, expected: set[str]) -> None:
    label_set = LabelSet(digests(n), tuple(f"{number}.5" for number in range(n)))
    assert codes(label_set) == expected


def test_one_number_written_in_two_ways_is_one_label() -> None:
    written = LabelSet(digests(24), ("1.50", "1.5", "+1.5") * 8)
    (found,) = find_problems(written, task="regression")
    assert (found.code, found.severity) == ("one_label", "error")
    assert found.items == ("+1.5", "1.5", "1.50")


@given(columns)
def test_any_label_set_gets_a_verdict_that_agrees_with_counting(
    rows: list[tuple[str, str, str | None, str | None]],
) -> None:
    label_set = as_set(rows)
    found = codes(label_set)
    images: defaultdict[str, set[str]] = defaultdict(set)
    for digest, label, _, split in rows:
        if label.strip() and split != "test":
            images[label].add(digest)
    few = any(len(members) < FEWEST_IMAGES for members in images.values())
    torn = {digest: {row[1] for row in rows if row[0] == digest} for digest, *_ in rows}
    assert ("too_few_images" in found) == few
    assert ("one_label" in found) == (len(images) == 1)
    assert ("conflicting_labels" in found) == any(len(labels) > 1 for labels in torn.values())
    assert ("missing_label" in found) == any(not label.strip() for _, label, *_ in rows)
    if codes(label_set, "error"):
        with pytest.raises(LabelProblems):
            check(label_set)
    else:
        check(label_set)


@given(columns, st.randoms())
def test_the_fingerprint_ignores_the_order_of_rows(
    rows: list[tuple[str, str, str | None, str | None]], random: "st.random.Random"
) -> None:
    before = fingerprint(as_set(rows))
    random.shuffle(rows)
    assert before == fingerprint(as_set(rows))


@pytest.mark.parametrize(
    "changed",
    [
        replace(GOOD, digests=("f" * 64, *GOOD.digests[1:])),
        replace(GOOD, labels=("dog", *LABELS[1:])),
        replace(GOOD, groups=("p",) + (None,) * 11),
        replace(GOOD, splits=("test",) + (None,) * 11),
    ],
)
def test_the_fingerprint_tells_any_change(changed: LabelSet) -> None:
    assert fingerprint(changed) != fingerprint(GOOD)


def test_an_image_without_a_split_is_one_to_learn_from() -> None:
    assert fingerprint(replace(GOOD, splits=("train",) * 12)) == fingerprint(GOOD)


@pytest.mark.parametrize(
    "pair", [("caf\u00e9", "cafe\u0301"), ("x", "\u200bx"), ("ok", "\uff4f\uff4b")]
)
def test_labels_that_look_the_same_are_told_of(pair: tuple[str, str]) -> None:
    labels = LabelSet(tuple(f"{number:064x}" for number in range(20)), pair * 10)
    assert [problem.code for problem in find_problems(labels)] == ["similar_labels"]


def test_numbered_classes_that_one_slip_makes_numbers_are_told_of() -> None:
    names = [str(number % 12) for number in range(120)]
    assert find_problems(LabelSet(digests(120), tuple(names))) == []
    names[0] = "21"
    (told,) = find_problems(LabelSet(digests(120), tuple(names)))
    assert (told.code, told.severity, told.items) == ("taken_for_numbers", "warning", ("21",))
    ages = tuple(str(20 + number % 50) for number in range(120))
    assert find_problems(LabelSet(digests(120), ages)) == []
