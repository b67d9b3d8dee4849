"""A card says in plain sentences what its reader must know, and nothing that is not so."""

from typing import Any

import pytest

from classifiers.folds import Plan
from classifiers.limits import Facts, describe_limits
from classifiers.statistics import Measure
from classifiers.tasks import Question

FINE = Measure(value=0.9, low=0.85, high=0.95)
GROUP_WISE = Plan("group-wise", 5, ())


def limits(**given: Any) -> str:
    facts: dict[str, Any] = {
        "question": Question("binary", ("cat", "dog")),
        "n_images": 200,
        "leading": "auc",
        "class_counts": {"cat": 100, "dog": 100},
        "n_groups": 60,
        "plan": GROUP_WISE,
        "signal": True,
        "metrics": {"auc": FINE},
        "baseline": {"auc": FINE},
    }
    return " ".join(describe_limits(Facts(**{**facts, **given})))


def test_a_head_without_a_fault_is_still_one_of_its_place() -> None:
    assert limits().startswith("The figures are for images like the ones it learnt from")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"signal": False}, "learnt nothing"),
        ({"n_groups": None}, "No groups (patients, slides) were given"),
        ({"n_groups": 4}, "4 groups only"),
        ({"plan": Plan("stratified", 5, (), "some reason")}, "group by group: some reason."),
        ({"n_images": 18}, "It never calls an image unlike"),
        ({"held": {"cat": 97, "dog": 40}}, "of 100 images of 'dog', 40 had it in their set"),
        ({"fast": True}, "evaluated the fast way"),
        ({"class_counts": {"cat": 100, "dog": 8}}, "'dog', has 8 images"),
        ({"class_counts": {"cat": 100, "dog": 60}}, "as frequent as among those it learnt from"),
        ({"class_counts": {"cat": 600, "dog": 60}}, "'dog' is 10 times rarer"),
        (
            {"baseline": {"auc": Measure(value=0.97, low=0.9, high=1.0)}},
            "logistic regression did better on the same folds: AUC 0.97, not 0.90",
        ),
    ],
)
def test_each_limit_is_said_when_it_holds_and_only_then(given: dict[str, Any], said: str) -> None:
    assert said in limits(**given)
    assert said not in limits()


def test_having_learnt_nothing_comes_first() -> None:
    assert limits(signal=False, n_groups=None).startswith("This head learnt nothing")


def test_a_figure_that_is_not_there_is_said_to_be_unknown() -> None:
    numbers = {"question": Question("regression", ()), "leading": "spearman"}
    known = {"spearman": FINE, "mean_absolute_error": FINE}
    unknown = "The images it learnt from cannot tell the R²:"
    assert unknown in limits(**numbers, metrics=known, baseline={})
    assert "cannot tell" not in limits(**numbers, metrics=known | {"r2": FINE}, baseline={})
