"""Labels say what is asked, and what each image's answer should be; nothing is guessed twice."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.tasks import (
    Question,
    Task,
    is_number,
    join_labels,
    split_label,
)

names = st.text("abc xyz", min_size=1).map(str.strip).filter(bool)


@given(st.lists(names, unique=True))
def test_several_labels_survive_being_written(chosen: list[str]) -> None:
    assert split_label(join_labels(chosen)) == tuple(chosen)
    assert split_label(" | ".join(chosen) or " - ") == tuple(chosen)


@given(st.floats(-1e30, 1e30))
def test_every_number_that_can_be_learnt_is_one(number: float) -> None:
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
