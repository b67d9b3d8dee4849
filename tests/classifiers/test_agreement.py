"""Figures of grades and numbers agree with scikit-learn's, and their intervals keep their word."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, kendalltau, spearmanr
from sklearn.metrics import cohen_kappa_score, r2_score

from classifiers.agreement import kappa, mean_absolute_error, r_squared, spearman
from classifiers.scored import Pass, Scored
from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def numbers(truth: Float64, given: Float64, fold: IntArray | None = None) -> Scored:
    fold = np.zeros(len(truth), np.int64) if fold is None else fold
    once = Pass(fold, given[:, None])
    return Scored(Question("regression", ()), truth[:, None], np.arange(len(truth)), (once,))


def grades(truth: IntArray, given: IntArray, groups: IntArray | None = None) -> Scored:
    question = Question("ordinal", tuple("01234"))
    targets = question.targets([str(number) for number in truth.tolist()])
    once = Pass(np.zeros(len(truth), np.int64), np.eye(5)[given])
    return Scored(question, targets, np.arange(len(truth)) if groups is None else groups, (once,))


pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=6, max_size=40)


@given(pairs)
def test_figures_of_grades_are_scikit_learns(drawn: list[tuple[int, int]]) -> None:
    truth, said = np.array(drawn).T
    found = kappa(grades(truth, said))
    assert (found is None) == (len(set(truth.tolist())) == 1)
    if found is not None:
        expected = cohen_kappa_score(truth, said, weights="quadratic", labels=range(5))
        assert found.value == pytest.approx(expected)
        assert found.low <= found.value <= found.high
    error = mean_absolute_error(grades(truth, said))
    assert error is not None
    assert error.high <= 4
    assert error.value == pytest.approx(np.abs(truth - said).mean())
    assert 0 <= error.low <= error.value < error.high


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=6, max_size=40))
def test_figures_of_numbers_are_scikit_learns(drawn: list[tuple[int, int]]) -> None:
    truth, said = np.array(drawn, np.float64).T
    found = r_squared(numbers(truth + 1e6, said + 1e6))
    if found is not None:
        assert found.value == pytest.approx(r2_score(truth, said))
        assert found.low < found.value <= found.high or found.value == 1
    ranks = spearman(numbers(truth, said))
    assert (ranks is None) == (not np.ptp(truth))
    if ranks is None:
        assert found is None
        return
    if np.ptp(truth) and np.ptp(said):
        rho, tau, n = spearmanr(truth, said).statistic, kendalltau(truth, said).statistic, len(said)
        corrected = ((n + 1) * rho - 3 * tau) / (n - 2)
        assert ranks.value == pytest.approx(np.clip(corrected, -1, 1))
    assert ranks.low <= ranks.value <= ranks.high


def test_ranks_are_those_among_images_held_out_together() -> None:
    truth, fold = np.arange(8.0), np.repeat([0, 1], 4)
    said = np.array([0.0, 1, 2, 3, -9, -8, -7, -6])
    together, apart = spearman(numbers(truth, said)), spearman(numbers(truth, said, fold))
    assert together is not None
    assert apart is not None
    assert (together.value < 0, apart.value) == (True, pytest.approx(1))


@pytest.mark.parametrize("n", [10, 40, 160])
def test_grades_that_are_all_right_have_an_interval_that_shrinks_with_n(n: int) -> None:
    truth = np.arange(n) % 5
    found = mean_absolute_error(grades(truth, truth))
    assert found is not None
    assert (found.value, found.low) == (0, 0)
    assert 1 / n < found.high < 4 / n
    agreed = kappa(grades(truth, truth))
    assert agreed is not None
    assert 0.5 < agreed.low < 1


def test_images_of_few_groups_have_the_interval_of_few_images() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(12), 10)
    truth = rng.integers(0, 5, 120)
    said = np.clip(truth + rng.integers(-2, 3, 12)[groups], 0, 4)
    alone, tied = kappa(grades(truth, said)), kappa(grades(truth, said, groups))
    assert alone is not None
    assert tied is not None
    assert tied.high - tied.low > 1.5 * (alone.high - alone.low)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_intervals_hold_the_truth_as_often_as_they_say(slope: float) -> None:
    rng = np.random.default_rng(1)
    n, runs = 40, 300
    share = slope**2 / (1 + slope**2) if slope else -(0.1**2)
    rho = 6 / np.pi * np.arcsin(np.sqrt(max(share, 0)) / 2)
    inside = np.zeros(2)
    for _ in range(runs):
        seen = rng.standard_normal(n)
        scored = numbers(slope * seen + rng.standard_normal(n), (slope or 0.1) * seen)
        ranks, explained = spearman(scored), r_squared(scored)
        assert ranks is not None
        assert explained is not None
        inside += [ranks.low <= rho <= ranks.high, explained.low <= share <= explained.high]
    assert 0.92 <= inside[0] / runs <= 0.99
    assert inside[1] / runs >= 0.9


@pytest.mark.parametrize(("n", "folds"), [(12, 1), (40, 1), (40, 5), (100, 5)])
@pytest.mark.parametrize("correlation", [0.9, 0.97, 0.99])
def test_near_one_the_interval_of_spearman_holds_the_truth_as_well(
    n: int, folds: int, correlation: float
) -> None:
    rng = np.random.default_rng(n + folds)
    true = 6 / np.pi * np.arcsin(correlation / 2)
    runs, inside, values = 150, 0, []
    for _ in range(runs):
        truth, noise = rng.standard_normal((2, n))
        said = correlation * truth + np.sqrt(1 - correlation**2) * noise
        found = spearman(numbers(truth, said, np.arange(n) % folds))
        assert found is not None
        inside += found.low <= true <= found.high
        values.append(found.value)
    assert inside >= binom.ppf(0.005, runs, 0.93)
    assert np.mean(values) == pytest.approx(true, abs=0.012)


def test_ranks_that_are_all_right_are_not_certainty() -> None:
    for n, width in ((10, 0.2), (40, 0.001), (160, 1e-5)):
        found = spearman(numbers(np.arange(n), np.arange(n)))
        assert found is not None
        assert found.value == found.high == 1
        assert width / 20 < 1 - found.low < width


@pytest.mark.parametrize("truth", [[3.0], [3.0] * 10, [3.0] * 9 + [4.0], [1.0, 2.0]])
def test_what_does_not_vary_has_no_figure_rather_than_one_that_is_certain(
    truth: list[float],
) -> None:
    values = np.array(truth)
    assert r_squared(numbers(values, values + 0.1)) is None
    assert (spearman(numbers(values, values + 0.1)) is None) == (values.min() == values.max())
    assert (mean_absolute_error(numbers(values, values + 0.1)) is None) == (len(truth) == 1)


def test_grades_of_images_that_are_all_of_one_grade_have_no_kappa() -> None:
    two = np.full(9, 2)
    assert kappa(grades(two, two)) is None
    assert kappa(grades(two, np.arange(9) % 5)) is None


@pytest.mark.parametrize("unit", [1.0, 1e-7, 1e-12])
def test_an_error_in_a_small_unit_is_not_rounded_away(unit: float) -> None:
    truth = np.arange(30.0)
    error = mean_absolute_error(numbers(truth * unit, (truth + np.sin(truth)) * unit))
    assert error is not None
    found = error.measure()
    assert found["value"] == pytest.approx(error.value, rel=1e-4)
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.parametrize("n", [30, 40, 60])
def test_a_rank_correlation_near_one_is_not_called_chance(n: int) -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        truth = generator.standard_normal(n)
        given = truth + generator.standard_normal(n) / 5
        folds = replace(numbers(truth, given, generator.permutation(n) % 5), sharing=2.25)
        ranks, explained = spearman(folds), r_squared(folds)
        assert ranks is not None
        assert explained is not None
        assert explained.low > 0.6
        assert 0.4 < ranks.low < ranks.value


@pytest.mark.parametrize(
    "sizes", [[4] * 15, [3] * 30, [1] * 30 + [8] * 6], ids=["15 of 4", "30 of 3", "unequal"]
)
def test_a_rank_correlation_of_few_groups_holds_chance(sizes: list[int]) -> None:
    """With the sum of squares of what each group moves alone: 0.84 to 0.87."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth, given = rng.standard_normal((2, len(sizes)))[:, groups]
        given = given + 0.6 * rng.standard_normal(len(groups))
        folds = (rng.permutation(len(sizes)) % 5)[groups]
        ranks = spearman(replace(numbers(truth, given, folds), groups=groups))
        assert ranks is not None
        held += ranks.low <= 0 <= ranks.high
    assert held / 300 > 0.92
