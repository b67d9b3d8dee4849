"""A permutation p-value is small by chance as often as it says, and where there is something."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binom, spearmanr
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from classifiers import permutation
from classifiers.linear import reduce_columns
from classifiers.permutation import PENALTY, permutation_p

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RUNS = 200


def view_of(X: Float64) -> Float64:
    A = X - X.mean(axis=0)
    return reduce_columns(A / np.sqrt((A**2).sum(axis=1).mean())).rows


def patients(rng: np.random.Generator, n: int) -> IntArray:
    """Groups of one to six images."""
    sizes = rng.integers(1, 7, n)
    return np.repeat(np.arange(n), sizes)[:n]


def images(rng: np.random.Generator, groups: IntArray, dim: int = 30) -> Float64:
    """Vectors that are much alike within a group."""
    return rng.normal(size=(groups.max() + 1, dim))[groups] + 0.5 * rng.normal(
        size=(groups.size, dim)
    )


def p_of(
    X: Float64, targets: Float64, groups: IntArray, *, squared: bool = False, deals: int = 39
) -> float:
    given = {"squared": squared, "permutations": deals, "seed": 5}
    return permutation_p([view_of(X)], targets, groups, **given)


def one_hot(y: IntArray) -> Float64:
    return np.eye(3)[y]


@pytest.mark.parametrize("n", [20, 60])
@pytest.mark.parametrize(
    "kind", ["two classes", "three classes", "numbers", "patients", "mixed patients"]
)
def test_of_labels_that_mean_nothing_one_run_in_twenty_is_called_signal_at_most(
    n: int, kind: str
) -> None:
    rng = np.random.default_rng(n)
    small = 0
    for _ in range(RUNS):
        alone = "patients" not in kind
        groups = np.arange(n) if alone else patients(rng, n)
        targets = {
            "two classes": lambda: rng.permutation(np.arange(n) % 2)[:, None].astype(float),
            "three classes": lambda: one_hot(rng.permutation(np.arange(n) % 3)),
            "numbers": lambda: rng.normal(size=(n, 1)),
            "patients": lambda g=groups: rng.integers(0, 2, n)[g][:, None].astype(float),
            "mixed patients": lambda g=groups: (rng.random((n, 1)) < rng.random((n, 1))[g]) * 1.0,
        }[kind]()
        small += p_of(images(rng, groups), targets, groups, squared=kind == "numbers") <= 0.05
    assert small <= binom.ppf(0.999, RUNS, 0.05)


def test_alone_images_the_level_is_kept_and_not_undercut() -> None:
    rng = np.random.default_rng(1)
    n = 24
    found = [
        p_of(
            rng.normal(size=(n, 20)), rng.permutation(np.arange(n) % 2)[:, None] * 1.0, np.arange(n)
        )
        for _ in range(RUNS)
    ]
    for level in (0.05, 0.25, 0.5):
        low, high = binom.ppf([0.0005, 0.9995], RUNS, level)
        assert low <= np.sum(np.array(found) <= level) <= high


def test_what_vectors_know_is_found_also_in_few_patients() -> None:
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(12), 4)
    y = np.arange(12)[groups] % 2
    X = images(rng, groups, 6)
    X[:, 0] += 4 * y
    assert p_of(X, y[:, None] * 1.0, groups, deals=199) < 0.02
    level = X[:, :1] + rng.normal(size=(48, 1))
    assert p_of(X, level, groups, squared=True, deals=199) < 0.02


def test_labels_that_are_a_patients_own_are_not_dealt_to_single_images() -> None:
    """Twelve images of each patient look alike and have one label: 8 patients, not 96 images."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(8), 12)
    found = []
    for _ in range(60):
        y = rng.permutation(np.arange(8) % 2)[groups]
        targets = y[:, None] * 1.0
        found.append(p_of(images(rng, groups, 4), targets, groups))
    assert np.mean(np.array(found) <= 0.05) <= 0.12
    # Scored and dealt as if they were strangers, nearly all of it would be signal.
    alone = p_of(images(rng, groups, 4), targets, np.arange(96))
    assert alone <= 0.05


def test_no_p_value_is_below_what_so_many_deals_can_show() -> None:
    X = np.repeat(np.eye(2), 20, axis=0)
    X += 0.1 * np.random.default_rng(0).normal(size=X.shape)
    y = np.repeat([0.0, 1.0], 20)[:, None]
    assert p_of(X, y, np.arange(40), deals=99) == 0.01


def test_the_stand_in_is_ridge_regression_that_left_the_group_out() -> None:
    rng = np.random.default_rng(4)
    groups = patients(rng, 30)
    view = view_of(images(rng, groups))
    y = rng.normal(size=(30, 2))
    found = permutation._StandIn(view, groups).scores(y)
    for group in np.unique(groups):
        rest, own = groups != group, groups == group
        ridge = Ridge(alpha=PENALTY, fit_intercept=False).fit(view[rest], y[rest])
        assert found[own] == pytest.approx(ridge.predict(view[own]))


def test_the_figures_are_those_of_scikit_learn_and_scipy() -> None:
    rng = np.random.default_rng(6)
    scores, dealt = rng.normal(size=(25, 7, 3)), np.eye(3)[rng.integers(0, 3, (25, 7))]
    found = permutation._auc(scores, dealt)
    for one in range(7):
        expected = roc_auc_score(dealt[:, one], scores[:, one], average="macro")
        assert found[one] == pytest.approx(expected)
    numbers = rng.integers(0, 9, (25, 7, 1)) * 1.0
    ranks = permutation._spearman(scores[:, :, :1], numbers)
    for one in range(7):
        expected = spearmanr(numbers[:, one, 0], scores[:, one, 0]).statistic
        assert ranks[one] == pytest.approx(expected)


def test_a_deal_gives_each_patient_the_labels_of_one_other() -> None:
    groups = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
    rng = np.random.default_rng(0)
    for _ in range(50):
        giver = permutation._deal(groups, rng)
        for group in range(4):
            assert np.unique(groups[giver[groups == group]]).size == 1
        assert np.unique(groups[giver]).size == 4
    assert sorted(permutation._deal(np.arange(9), rng).tolist()) == list(range(9))


def test_one_label_that_all_have_says_nothing() -> None:
    X = np.random.default_rng(0).normal(size=(20, 3))
    assert p_of(X, np.ones((20, 1)), np.arange(20)) == 1.0


def test_the_same_seed_deals_the_same() -> None:
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(30, 5)), rng.integers(0, 2, (30, 1)) * 1.0
    assert p_of(X, y, np.arange(30)) == p_of(X, y, np.arange(30))


def test_what_is_dealt_in_portions_is_dealt_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(30, 5)), rng.integers(0, 2, (30, 1)) * 1.0
    whole = p_of(X, y, np.arange(30))
    monkeypatch.setattr(permutation, "_AT_ONCE", 200)
    assert p_of(X, y, np.arange(30)) == whole


@pytest.mark.parametrize("numbers", [False, True])
def test_of_one_group_nothing_can_be_learnt_and_rounding_is_no_signal(*, numbers: bool) -> None:
    rng = np.random.default_rng(3)
    groups = np.zeros(60, np.int64)
    for _ in range(8):
        X = images(rng, np.arange(60))
        y = rng.normal(size=60) if numbers else rng.permutation(np.arange(60) % 2).astype(float)
        assert p_of(X, y[:, None], groups, squared=numbers) == 1
