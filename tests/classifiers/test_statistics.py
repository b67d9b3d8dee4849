"""Figures agree with scikit-learn's, and their intervals hold what they promise at small n."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from classifiers.scored import Pass, Scored, cv_sharing
from classifiers.statistics import auc, balanced_accuracy
from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def scored(
    y: IntArray,
    probabilities: Float64,
    fold: IntArray | None = None,
    groups: IntArray | None = None,
    sharing: float = 1.0,
) -> Scored:
    fold = np.zeros_like(y) if fold is None else fold
    groups = np.arange(y.size) if groups is None else groups
    k = probabilities.shape[1]
    classes = tuple(str(number) for number in range(k))
    question = Question("binary" if k == 2 else "multiclass", classes)
    targets = question.targets([str(number) for number in y.tolist()])
    return Scored(question, targets, groups, (Pass(fold, probabilities),), sharing)


def binary(y: IntArray, scores: Float64, **given: IntArray) -> Scored:
    p = 1 / (1 + np.exp(-scores))
    return scored(y, np.stack([1 - p, p], axis=1), **given)


def value_of(given: Scored) -> float:
    found = auc(given)
    assert found is not None
    return found.value


samples = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 3), st.lists(st.integers(0, 5), min_size=4, max_size=4)
    ),
    min_size=6,
    max_size=40,
)


@given(samples)
def test_without_folds_figures_are_scikit_learns(
    rows: list[tuple[int, int, list[int]]],
) -> None:
    y = np.array([row[0] for row in rows])
    assume(set(y.tolist()) == set(range(4)))
    p = np.array([row[2] for row in rows]) + 0.1
    p /= p.sum(axis=1, keepdims=True)
    assert value_of(scored(y, p)) == pytest.approx(roc_auc_score(y, p, multi_class="ovr"))
    found = balanced_accuracy(scored(y, p)).value
    assert found == pytest.approx(balanced_accuracy_score(y, p.argmax(axis=1)))


@given(samples)
def test_only_images_held_out_together_are_compared(
    rows: list[tuple[int, int, list[int]]],
) -> None:
    y = np.array([row[0] % 2 for row in rows])
    fold = np.array([row[1] for row in rows])
    scores = np.array([row[2][0] for row in rows], np.float64)
    pairs = [
        (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
        for i in range(len(y))
        for j in range(len(y))
        if y[i] == 1 and y[j] == 0 and fold[i] == fold[j]
    ]
    found = auc(binary(y, scores, fold=fold))
    if pairs:
        assert found is not None
        assert found.value == pytest.approx(np.mean(pairs))
        assert found.low <= found.value <= found.high
    else:
        assert found is None


def test_scores_of_one_fold_may_all_be_higher_than_those_of_another() -> None:
    y, fold = np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    scores = np.array([0.0, 1, 2, 3, 100, 101, 102, 103]) / 10
    assert value_of(binary(y, scores, fold=fold)) == 1
    assert value_of(binary(y, scores)) < 1


@pytest.mark.parametrize("n", [5, 10, 100])
def test_an_auc_of_one_has_an_interval_that_shrinks_with_n(n: int) -> None:
    y = np.repeat([0, 1], n)
    found = auc(binary(y, y * 1.0))
    assert found is not None
    assert (found.value, found.high) == (1, 1)
    assert {5: 0.5, 10: 0.75, 100: 0.97}[n] < found.low < {5: 0.75, 10: 0.9, 100: 0.985}[n]


def test_perfect_answers_have_an_interval_too() -> None:
    y = np.repeat([0, 1, 2], 10)
    found = balanced_accuracy(scored(y, np.eye(3)[y]))
    assert (found.value, found.high) == (1, 1)
    assert 0.8 < found.low < 0.95


def test_images_of_few_groups_have_the_interval_of_few_images() -> None:
    rng = np.random.default_rng(0)
    y, groups = np.repeat([0, 1], 60), np.repeat(np.arange(12), 10)
    scores = y + rng.standard_normal(12)[groups]
    alone, tied = auc(binary(y, scores)), auc(binary(y, scores, groups=groups))
    assert alone is not None
    assert tied is not None
    assert tied.high - tied.low > 2 * (alone.high - alone.low)
    perfect = auc(binary(y, y * 1.0, groups=groups))
    assert perfect is not None
    assert perfect.low < 0.8


def test_sharing_images_between_models_widens_the_interval() -> None:
    y = np.tile([0, 1], 30)
    scores = y + np.random.default_rng(0).standard_normal(60)
    given = binary(y, scores)
    shared = replace(given, sharing=cv_sharing(5, 1))
    narrow, wide = auc(given), auc(shared)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.p_value > narrow.p_value


def coverage(separation: float, n: int, per_group: int = 1, runs: int = 400) -> float:
    """Return how often the interval holds the true AUC of normal scores."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], n)
    groups = np.arange(2 * n) // per_group
    within = np.sqrt(0.5) if per_group > 1 else 1.0
    true = norm.cdf(separation / np.sqrt(2))
    hits = 0
    for _ in range(runs):
        shared = np.sqrt(1 - within**2) * rng.standard_normal(groups.max() + 1)[groups]
        scores = separation * y + shared + within * rng.standard_normal(2 * n)
        found = auc(binary(y, scores, groups=groups))
        assert found is not None
        hits += found.low <= true <= found.high
    return hits / runs


@pytest.mark.parametrize("separation", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("n", [10, 40])
def test_the_interval_holds_the_true_auc_as_often_as_it_says(separation: float, n: int) -> None:
    assert 0.93 <= coverage(separation, n) <= 0.995


@pytest.mark.parametrize("separation", [0.0, 1.5])
def test_the_interval_holds_the_true_auc_of_images_in_groups_too(separation: float) -> None:
    assert 0.92 <= coverage(separation, 40, per_group=4) <= 0.995


def test_the_p_value_of_chance_is_small_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], 15)
    found = [auc(binary(y, rng.standard_normal(30))) for _ in range(600)]
    share = np.mean([one.p_value < 0.05 for one in found if one is not None])
    assert 0.02 < share < 0.07


def test_several_classes_averaged_are_surer_than_one() -> None:
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(6), 20)
    logits = rng.standard_normal((120, 6)) + 2 * np.eye(6)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    many = auc(scored(y, p))
    one = auc(binary((y == 0) * 1, logits[:, 0]))
    assert many is not None
    assert one is not None
    assert many.high - many.low < 0.75 * (one.high - one.low)


@pytest.mark.parametrize("groups_of", [1, 6])
def test_a_repeat_that_says_nothing_new_makes_no_interval_of_groups_narrower(
    groups_of: int,
) -> None:
    """How alike a patient's images are stays as unknown, however often they are asked about."""
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(60 // groups_of), groups_of)
    y, fold = groups % 2, groups // 2 % 5
    by_group = generator.standard_normal(groups.max() + 1)[groups]
    asked = binary(y, y + by_group, fold=fold, groups=groups)
    once = auc(replace(asked, sharing=cv_sharing(5, 1)))
    again = auc(replace(asked, passes=asked.passes * 4, sharing=cv_sharing(5, 4)))
    assert once is not None
    assert again is not None
    narrower = (again.high - again.low) / (once.high - once.low)
    assert narrower == pytest.approx(1) if groups_of > 1 else narrower < 0.9
