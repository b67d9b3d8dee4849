"""Labels say what is asked, and what each image's answer should be; nothing is guessed twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.tasks import (
    Question,
    Task,
    TaskMisfit,
    find_question,
    is_number,
    join_labels,
    split_label,
)

names = st.text("abc xyz", min_size=1).map(str.strip).filter(bool)
GRADES = ("mild", "moderate", "severe")


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (("dog", "cat"), "binary", ("cat", "dog")),
        (("dog", "cat", "cow"), "multiclass", ("cat", "cow", "dog")),
        (("edema|effusion", "edema", "-"), "multilabel", ("edema", "effusion")),
        (("0", "1"), "binary", ("0", "1")),
        (("2", "0", "1"), "ordinal", ("0", "1", "2")),
        (tuple(map(str, range(1, 11))), "ordinal", tuple(str(n) for n in range(1, 11))),
        (("0", "1", "3"), "multiclass", ("0", "1", "3")),
        (("-1", "0", "1"), "ordinal", ("-1", "0", "1")),
        (tuple(map(str, range(11))), "regression", ()),
        (tuple(f"{n / 2}" for n in range(11)), "regression", ()),
        (tuple(f"{n / 2}" for n in range(10)), "multiclass", None),
        ((*map(str, range(11)), "x"), "multiclass", None),
    ],
)
def test_the_task_is_found_from_the_labels(
    labels: tuple[str, ...], task: str, classes: tuple[str, ...] | None
) -> None:
    found = find_question(labels * 2)
    assert found.task == task
    assert classes is None or found.classes == classes
    assert find_question(labels, task) == found


@pytest.mark.parametrize(
    ("labels", "task", "order", "items"),
    [
        (("a", "b", "c"), "binary", (), ("a", "b", "c")),
        (("a", "b"), "multiclass", (), ("a", "b")),
        (("1", "2", "x"), "regression", (), ("x",)),
        (("1", "1e999", "nan", "1_0"), "regression", (), ("1_0", "1e999", "nan")),
        (("1,5", "2"), "regression", (), ("1,5",)),
        (GRADES, "ordinal", (), GRADES),
        (GRADES, "ordinal", ("mild", "severe"), ("moderate",)),
        (GRADES, "auto", (*GRADES, "worst"), ("worst",)),
        (GRADES, "ordinal", (*GRADES, "mild"), ()),
        (("1", "2"), "ordinal", (), ("1", "2")),
        (("1", "1.0", "2"), "ordinal", (), ("1", "1.0", "2")),
        (("a", "-"), "multilabel", (), ("a",)),
        (("a||b", "c"), "multilabel", (), ("a||b",)),
        (("a|-", "c"), "auto", (), ("a|-",)),
        (GRADES, "multiclass", GRADES, GRADES),
        (GRADES, "guess", (), ()),
    ],
)
def test_labels_that_are_not_of_the_task_are_named(
    labels: tuple[str, ...], task: str, order: tuple[str, ...], items: tuple[str, ...]
) -> None:
    with pytest.raises(TaskMisfit) as caught:
        find_question(labels, task, order)
    assert caught.value.items == items


def test_an_order_makes_grades_of_words() -> None:
    found = find_question(GRADES, order=GRADES[::-1])
    assert found == Question("ordinal", ("severe", "moderate", "mild"))


@given(st.lists(names, unique=True))
def test_several_labels_survive_being_written(chosen: list[str]) -> None:
    assert split_label(join_labels(chosen)) == tuple(chosen)
    assert split_label(" | ".join(chosen) or " - ") == tuple(chosen)


@given(st.floats(-1e300, 1e300))
def test_every_finite_number_is_one(number: float) -> None:
    assert is_number(repr(number))
    assert is_number(f"{number:.3e}")


QUESTIONS: list[tuple[Task, tuple[str, ...], list[str]]] = [
    ("binary", ("a", "b"), ["b", "a"]),
    ("multiclass", ("a", "b", "c"), ["c", "a", "b"]),
    ("multilabel", ("a", "b", "c"), ["a|c", "-", "b"]),
    ("ordinal", ("lo", "mid", "hi"), ["hi", "lo", "mid"]),
    ("regression", (), ["1.5", "-2", "300"]),
]


@pytest.mark.parametrize(("task", "classes", "labels"), QUESTIONS)
def test_an_answer_that_is_the_truth_is_written_as_the_label(
    task: Task, classes: tuple[str, ...], labels: list[str]
) -> None:
    question = Question(task, classes)
    targets = question.targets(labels)
    assert targets.shape == (len(labels), question.n_outputs)
    assert question.is_truth(targets)
    answers = targets
    if question.exclusive:
        numbers = question.numbers(targets)
        assert [classes[number] for number in numbers] == labels
        answers = np.eye(len(classes))[numbers]
    assert [question.label_of(row) for row in answers.tolist()] == labels
    assert answers.shape[1] == question.n_answers
    np.testing.assert_array_equal(question.ranked(answers), targets)


def test_grades_ask_whether_it_is_above_each() -> None:
    question = Question("ordinal", ("0", "1", "2", "3"))
    np.testing.assert_array_equal(
        question.targets(["0", "2", "3"]), [[0, 0, 0], [1, 1, 0], [1, 1, 1]]
    )
    assert not question.is_truth(np.array([[0.0, 1, 0]]))


@given(st.lists(st.lists(st.sampled_from("abcd"), unique=True), min_size=25, max_size=60))
def test_several_labels_are_held_out_by_the_rarest_and_no_stratum_is_too_small(
    drawn: list[list[str]],
) -> None:
    question = Question("multilabel", tuple("abcd"))
    strata = question.strata(question.targets([join_labels(one) for one in drawn]))
    sizes = np.bincount(strata)
    assert strata.shape == (len(drawn),)
    assert (sizes >= 5).all()


@given(st.lists(st.floats(-9, 9), min_size=20, max_size=80))
def test_numbers_are_held_out_by_equal_steps(values: list[float]) -> None:
    strata = Question("regression", ()).strata(np.array(values)[:, None])
    sizes = np.bincount(strata)
    assert sizes.min() >= 5
    assert sizes.max() - sizes.min() <= 1
    steps = [np.array(values)[strata == step] for step in range(len(sizes))]
    assert all(low.max() <= high.min() for low, high in pairwise(steps))
