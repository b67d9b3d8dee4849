"""A recipe takes what makes sense, refuses the rest by name, and fills itself in from the data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.errors import BadRecipe
from classifiers.recipe import Recipe

options = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**31 - 1),
        "rounds": st.none() | st.integers(1, 500),
        "learning_rate": st.none() | st.floats(0.001, 1.0),
        "folds": st.integers(2, 20),
        "blocks": st.lists(st.sampled_from(["penultimate", "stage3"]), min_size=1),
        "normalisation": st.sampled_from(["l2", "none"]),
        "report": st.sampled_from(["full", "fast"]),
    },
)


@given(options)
def test_a_recipe_survives_its_dictionary(values: dict[str, Any]) -> None:
    recipe = Recipe.from_dict(values)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@given(options, st.integers(10, 100_000), st.integers(1, 5000), st.integers(2, 50))
def test_a_complete_recipe_has_every_number_and_keeps_the_given_ones(
    values: dict[str, Any], n_images: int, n_columns: int, n_classes: int
) -> None:
    complete = Recipe.from_dict(values).complete(n_images, n_columns, n_classes).to_dict()
    assert None not in complete.values()
    assert {k: complete[k] for k, v in values.items() if v is not None} == {
        k: v for k, v in values.items() if v is not None
    }


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"round": 5}, "round"),
        ({"rounds": 0}, "rounds"),
        ({"rounds": "5"}, "rounds"),
        ({"rounds": 5.5}, "rounds"),
        ({"rounds": True}, "rounds"),
        ({"seed": None}, "seed"),
        ({"seed": -1}, "seed"),
        ({"folds": 1}, "folds"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"lambda_l2": float("inf")}, "lambda_l2"),
        ({"normalisation": "l3"}, "normalisation"),
        ({"report": "short"}, "report"),
        ({"blocks": []}, "blocks"),
        ({"blocks": [3]}, "blocks"),
        ({"blocks": 3}, "blocks"),
    ],
)
def test_a_bad_option_is_refused_by_name(values: dict[str, Any], option: str) -> None:
    with pytest.raises(BadRecipe) as caught:
        Recipe.from_dict(values)
    assert caught.value.option == option


def test_the_name_of_one_block_will_do() -> None:
    assert Recipe.from_dict({"blocks": "penultimate"}).blocks == ("penultimate",)


def test_many_classes_do_not_mean_many_trees() -> None:
    trees = [c * (Recipe().complete(300, 100, c).rounds or 0) for c in (3, 5, 7)]
    assert max(trees) <= 150


def test_few_images_are_evaluated_more_often() -> None:
    repeats = [Recipe().complete(n, 100, 2).repeats for n in (10, 100, 300, 3000)]
    assert repeats == [4, 2, 1, 1]


def test_a_fast_report_evaluates_once_unless_told_otherwise() -> None:
    assert Recipe().complete(60, 100, 2).repeats == 4
    assert Recipe(report="fast").complete(60, 100, 2).repeats == 1
    assert Recipe(report="fast", repeats=3).complete(60, 100, 2).repeats == 3
