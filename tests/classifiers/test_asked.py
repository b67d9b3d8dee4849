"""The question is the stated one, if labels fit it, or found from them; whole numbers are names."""

import pytest

from classifiers.asked import find_question
from classifiers.tasks import Question, TaskMisfit

GRADES = ("mild", "moderate", "severe")


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (("dog", "cat"), "binary", ("cat", "dog")),
        (("dog", "cat", "cow"), "multiclass", ("cat", "cow", "dog")),
        (("edema|effusion", "edema", "-"), "multilabel", ("edema", "effusion")),
        (("0", "1"), "binary", ("0", "1")),
        (("2", "0", "1"), "multiclass", ("0", "1", "2")),
        (tuple(map(str, range(10))), "multiclass", tuple(map(str, range(10)))),
        (("grade 2", "grade 10", "Grade 1"), "ordinal", ("Grade 1", "grade 2", "grade 10")),
        (("stage_1", "stage_2", "stage_4"), "ordinal", ("stage_1", "stage_2", "stage_4")),
        (("grade 1", "grade 01", "grade 2"), "multiclass", None),
        (("grade 1", "stage 2", "grade 3"), "multiclass", None),
        (("grade 1", "grade 2", "none"), "multiclass", None),
        (("grade 1", "grade 2"), "binary", None),
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


def test_whole_numbers_are_names_of_classes_where_each_has_images_enough() -> None:
    names = [str(number) for number in range(40)]
    assert find_question(names * 5).task == "multiclass"
    assert find_question(names * 5 + ["41"]).task == "regression"
    assert find_question([f"{name}.5" for name in names] * 5).task == "regression"


@pytest.mark.parametrize(
    ("labels", "task", "order", "items"),
    [
        (("a", "b", "c"), "binary", (), ("a", "b", "c")),
        (("a", "b"), "multiclass", (), ("a", "b")),
        (("1", "2", "x"), "regression", (), ("x",)),
        (("1", "-2e30", "nan", "1_0"), "regression", (), ("-2e30", "1_0", "nan")),
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
