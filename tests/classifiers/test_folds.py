"""Folds keep groups together, hold every image out once, and learn every class."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from classifiers.folds import Plan, make_plan

rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=8, max_size=60)


def check_covers(plan: Plan, y: np.ndarray) -> None:
    for repeat in plan.repeats:
        held_out = np.concatenate([held for _, held in repeat])
        assert sorted(held_out.tolist()) == list(range(len(y)))
        for learnt, held in repeat:
            assert not set(learnt.tolist()) & set(held.tolist())
            assert set(y[learnt].tolist()) == set(y.tolist())


@given(rows, st.integers(0, 100))
def test_no_group_is_on_both_sides_where_groups_allow_it(
    members: list[tuple[int, int]], seed: int
) -> None:
    y, groups = (np.array(column) for column in zip(*members, strict=True))
    _, y = np.unique(y, return_inverse=True)
    assume(np.unique(y).size > 1)
    assume(np.bincount(y).min() >= 5)
    plan = make_plan(y, groups, 5, 2, seed)
    check_covers(plan, y)
    if plan.kind == "group-wise":
        assert plan.reason == ""
        for learnt, held in plan.folds:
            assert not set(groups[learnt].tolist()) & set(groups[held].tolist())
    else:
        assert "too few groups" in plan.reason


@given(st.lists(st.integers(5, 30), min_size=2, max_size=5), st.integers(2, 6), st.integers(1, 3))
def test_without_groups_every_fold_has_its_share_of_every_class(
    sizes: list[int], folds: int, repeats: int
) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    plan = make_plan(y, None, folds, repeats, 0)
    check_covers(plan, y)
    assert (plan.kind, plan.reason, len(plan.repeats)) == ("stratified", "", repeats)
    assert plan.n_folds == min(folds, *sizes)
    for _, held in plan.folds:
        shares = np.bincount(y[held], minlength=len(sizes)) - np.array(sizes) / plan.n_folds
        assert np.abs(shares).max() < 1


def test_a_class_of_two_groups_gets_two_folds() -> None:
    y = np.repeat([0, 1], 20)
    groups = np.concatenate([np.arange(20), np.repeat([50, 51], 10)])
    plan = make_plan(y, groups, 5, 1, 0)
    assert (plan.kind, plan.n_folds) == ("group-wise", 2)


def test_a_class_of_one_group_is_split_and_the_reason_given() -> None:
    y = np.repeat([0, 1], 20)
    groups = np.concatenate([np.arange(20), np.full(20, 50)])
    plan = make_plan(y, groups, 5, 1, 0)
    assert plan.kind == "stratified"
    assert "too few groups" in plan.reason


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(2, 6), st.integers(0, 100))
def test_groups_of_numbers_are_kept_apart_however_few_there_are(
    sizes: list[int], folds: int, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    assume(len(groups) >= 2)
    y = np.arange(len(groups)) * 5 // len(groups)
    assume(np.bincount(y)[np.bincount(y) > 0].min() >= 2)
    plan = make_plan(y, groups, folds, 2, seed, must_learn=False)
    if len(sizes) == 1:
        assert "too few groups" in plan.reason
        return
    assert (plan.kind, plan.reason) == ("group-wise", "")
    for repeat in plan.repeats:
        held_out = np.concatenate([held for _, held in repeat])
        assert sorted(held_out.tolist()) == list(range(len(y)))
    for learnt, held in plan.folds:
        assert learnt.size
        assert held.size
        assert not set(groups[learnt].tolist()) & set(groups[held].tolist())


def test_a_fold_that_could_not_learn_a_class_is_never_used() -> None:
    """Here the split in two would put both groups of class 1 on the same side."""
    y = np.array([2, 0, 2, 1, 1, 1, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 1, 0, 2, 2, 2, 0, 2])
    groups = np.array(
        [2, 0, 0, 3, 0, 3, 3, 1, 2, 1, 3, 0, 0, 2, 2, 2, 0, 3, 3, 3, 2, 3, 2, 0, 3, 2]
    )
    for seed in range(5):
        check_covers(make_plan(y, groups, 2, 1, seed), y)


def test_groups_that_are_each_of_one_class_are_still_compared() -> None:
    y = np.repeat([0, 1], 20)
    plan = make_plan(y, np.repeat(np.arange(8), 5), 5, 1, 0)
    assert plan.kind == "group-wise"
    assert any(np.unique(y[held]).size == 2 for _, held in plan.folds)


@pytest.mark.parametrize("groups", [None, np.arange(40) // 2])
def test_equal_seeds_give_equal_plans_and_repeats_differ(groups: np.ndarray | None) -> None:
    y = np.tile([0, 1], 20)
    one, again, other = (make_plan(y, groups, 4, 2, seed) for seed in (1, 1, 7))

    def held(plan: Plan) -> list[list[int]]:
        return [fold.tolist() for _, fold in plan.folds]

    assert held(one) == held(again)
    assert held(one) != held(other)
    assert held(one)[:4] != held(one)[4:]
