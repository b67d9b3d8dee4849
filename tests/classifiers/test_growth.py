"""The learning curve foretells what more images bring, and says nothing where nothing is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_heads import WIDTH, alternating, taught

from classifiers import growth
from classifiers.curve import CLOSE, Growth, Point, _sentence
from classifiers.recipe import Recipe
from classifiers.statistics import Measure
from classifiers.tasks import join_labels

RECIPE = Recipe(rounds=10, repeats=1)


def images(
    n: int, distance: float, seed: int, per_group: int = 1
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Two classes `distance` apart in noise; images of a group share half of their noise.

    All share a direction that tells nothing, as embeddings do: those of real images are never
    spread around zero, and the shares of a mixture start from how alike they are.
    """
    rng = np.random.default_rng(seed)
    labels = tuple(np.where(np.arange(n) // per_group % 2, "dog", "cat").tolist())
    groups = np.arange(n) // per_group
    noise = rng.standard_normal((n, WIDTH))
    if per_group > 1:
        noise = (noise + rng.standard_normal((groups.max() + 1, WIDTH))[groups]) / np.sqrt(2)
    direction = np.ones(WIDTH) / np.sqrt(WIDTH)
    noise += distance * np.where(np.array(labels) == "dog", 0.5, -0.5)[:, None] * direction
    noise += 0.9 * (-1.0) ** np.arange(WIDTH)
    return noise.astype(np.float32), labels, [f"g{number}" for number in groups]


def curve_of(
    X: np.ndarray, labels: Sequence[str], groups: Sequence[str] | None = None
) -> tuple[Growth, dict[str, float]]:
    card = taught(X, labels, groups, recipe=RECIPE, allow_no_signal=True).card
    assert card.growth is not None
    return card.growth, dict(card.metrics["auc"])


@pytest.mark.parametrize(("n", "per_group"), [(320, 1), (640, 4)])
def test_half_the_images_foretell_the_whole_in_four_cases_of_five(n: int, per_group: int) -> None:
    """As promised; "it stays as it is" misses by more, for these heads still learn."""
    misses, lazy, banded = [], [], []
    for seed in range(10):
        distance = (1.8, 2.1, 2.4, 2.8, 3.2)[seed % 5] * per_group**0.25
        X, labels, names = images(n, distance, seed, per_group)
        groups = names if per_group > 1 else None
        half = slice(0, n // 2)
        found, before = curve_of(X[half], labels[half], groups[half] if groups else None)
        fast = replace(RECIPE, report="fast")
        whole = taught(X, labels, groups, recipe=fast).card.metrics["auc"]
        foretold = found.fitted[-1]
        assert foretold["images"] == n
        misses.append(abs(foretold["value"] - whole["value"]))
        lazy.append(abs(before["value"] - whole["value"]))
        banded.append(foretold["low"] <= whole["value"] <= foretold["high"])
    assert np.mean(np.array(misses) <= CLOSE) >= 0.8
    assert np.mean(misses) < 0.9 * np.mean(lazy)
    assert np.mean(banded) >= 0.9


def test_labels_without_meaning_get_a_sentence_and_no_number() -> None:
    for seed in range(12):
        X, labels, _ = images(60, 0.0, seed)
        found, _ = curve_of(X, labels)
        assert found.state in ("no signal", "weak signal")
        assert not any(character.isdigit() for character in found.sentence)
        assert (found.measured, found.fitted, found.gain, found.backtest) == ((), (), None, None)


def test_too_few_images_to_leave_any_out_are_said_to_be_so() -> None:
    labels = alternating(("cat", "dog"), 12)
    X, _, _ = images(24, 8.0, 0)
    found, _ = curve_of(X, labels)
    assert found.state == "too few images"
    assert found.gain is None


def test_the_curve_ends_in_the_evaluation_and_goes_on_to_twice_the_images() -> None:
    X, labels, _ = images(160, 1.6, 0)
    found, today = curve_of(X, labels)
    assert found.measured[-1] == {"images": 160, **today}
    assert [point["images"] for point in found.measured] == [10, 20, 40, 80, 160]
    assert [point["images"] for point in found.fitted[-4:]] == [160, 200, 240, 320]
    assert {k: v for k, v in found.fitted[-4].items() if k != "images"} == today
    values = [point["value"] for point in found.fitted]
    assert values == sorted(values)
    assert all(p["low"] <= p["value"] <= p["high"] for p in (*found.measured, *found.fitted))
    widths = [point["high"] - point["low"] for point in found.fitted[-4:]]
    assert widths == sorted(widths)
    assert found.gain is not None
    assert found.gain["value"] == pytest.approx(values[-1] - today["value"], abs=2e-6)


def test_a_question_that_is_answered_gains_less_than_one_that_is_not() -> None:
    easy, hard = (curve_of(*images(160, distance, 1)[:2])[0].gain for distance in (6.0, 1.6))
    assert easy is not None
    assert hard is not None
    assert easy["value"] < 0.005 < hard["value"]


def test_whole_groups_are_left_out() -> None:
    X, labels, groups = images(240, 1.8, 2, per_group=6)
    head = taught(X, labels, groups, recipe=RECIPE)
    examples = growth.Examples(
        X, np.zeros((240, 1)), np.zeros(240, np.int64), np.arange(240) // 6, groups_known=True
    )
    rank = growth._ranks(examples, examples.groups % 5, np.random.default_rng(0))
    assert all(len(set(rank[examples.groups == group])) == 1 for group in range(40))
    assert (rank <= 0.5).mean() == pytest.approx(0.5, abs=0.05)
    assert head.card.growth is not None
    assert head.card.growth.state == "curve"


def test_the_back_test_admits_that_halves_of_few_images_miss() -> None:
    X, labels, _ = images(400, 3.2, 3)
    many, _ = curve_of(X, labels)
    few, _ = curve_of(X[:60], labels[:60])
    assert many.backtest is not None
    assert few.backtest is not None
    assert many.backtest["halves"] == 3
    assert many.backtest["error"] < few.backtest["error"]


@pytest.mark.parametrize("threads", [1, 3])
def test_the_curve_is_the_same_with_any_number_of_threads(threads: int) -> None:
    X, labels, _ = images(120, 2.0, 4)
    once = taught(X, labels, recipe=RECIPE)
    again = taught(X, labels, recipe=RECIPE, threads=threads)
    assert once.to_files() == again.to_files()


def test_several_classes_have_a_curve_too() -> None:
    rng = np.random.default_rng(0)
    labels = alternating(("a", "b", "c"), 50)
    X = rng.standard_normal((150, WIDTH))
    X[np.arange(150), np.arange(150) % 3] += 2.5
    found, _ = curve_of(X.astype(np.float32), labels)
    assert found.state == "curve"
    assert found.measured[0]["value"] < found.measured[-1]["value"]


def answers_to(task: str, n: int, seed: int, noise: float) -> tuple[np.ndarray, list[str]]:
    """Vectors and labels of a task, half known from them."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, WIDTH)).astype(np.float32)
    hidden = X[:, :3] @ np.array([[2, 0], [1, 1], [0, 2]]) + noise * rng.standard_normal((n, 2))
    if task == "multilabel":
        return X, [
            join_labels([c for c, yes in zip("ab", row, strict=True) if yes]) for row in hidden > 0
        ]
    if task == "ordinal":
        return X, [f"grade {grade}" for grade in np.digitize(hidden[:, 0], [-1.5, 1.5])]
    return X, [f"{value:.4f}" for value in hidden[:, 0]]


@pytest.mark.parametrize("task", ["multilabel", "ordinal", "regression"])
def test_every_task_has_a_curve_of_its_leading_metric(task: str) -> None:
    X, labels = answers_to(task, 160, 0, 2.0)
    card = taught(X, labels, recipe=RECIPE).card
    leading = "spearman" if task == "regression" else "auc"
    found = card.growth
    assert card.task == task
    assert found is not None
    assert (found.state, found.metric) == ("curve", leading)
    assert found.measured[-1] == {"images": 160, **card.metrics[leading]}
    assert found.measured[0]["value"] < found.measured[-1]["value"] - 0.05
    assert found.fitted[-1]["images"] == 320
    assert found.backtest is not None
    assert ("rank correlation" in found.sentence) == (task == "regression")


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_halves_foretell_the_whole_of_every_task(task: str) -> None:
    """Of both halves: which images are in one moves its own figure more than anything."""
    errors, lazy, banded = [], [], []
    for seed in range(5):
        X, labels = answers_to(task, 240, seed, 2.0)
        fast = replace(RECIPE, report="fast")
        whole = next(iter(taught(X, labels, recipe=fast).card.metrics.values()))["value"]
        for half in (slice(0, 120), slice(120, 240)):
            card = taught(X[half], labels[half], recipe=RECIPE).card
            assert card.growth is not None
            foretold = card.growth.fitted[-1]
            errors.append(foretold["value"] - whole)
            lazy.append(next(iter(card.metrics.values()))["value"] - whole)
            banded.append(foretold["low"] <= whole <= foretold["high"])
    assert abs(np.mean(errors)) < 0.03
    assert np.mean(lazy) < np.mean(errors) - 0.01
    assert np.mean(banded) >= 0.9


@pytest.mark.parametrize("task", ["multilabel", "ordinal", "regression"])
def test_of_no_task_is_anything_said_where_labels_mean_nothing(task: str) -> None:
    for seed in range(4):
        X, labels = answers_to(task, 60, seed, 0.0)
        dealt = np.random.default_rng(seed).permutation(labels).tolist()
        found = taught(X, dealt, recipe=RECIPE, allow_no_signal=True).card.growth
        assert found is not None
        assert found.state in ("no signal", "weak signal")
        assert found.metric == ("spearman" if task == "regression" else "auc")
        assert found.fitted == ()


def test_a_label_that_few_images_have_leaves_too_few_of_them() -> None:
    X, labels = answers_to("multilabel", 120, 1, 1.0)
    rare = ["a|rare" if row % 20 == 0 else label for row, label in enumerate(labels)]
    found = taught(X, rare, recipe=RECIPE).card.growth
    assert found is not None
    assert found.state == "too few images"


def test_a_fast_report_has_no_curve_and_says_so() -> None:
    X, labels, _ = images(80, 3.0, 5)
    card = taught(X, labels, recipe=replace(RECIPE, repeats=None, report="fast")).card
    assert card.growth is None
    assert card.folds["repeats"] == 1
    assert any("fast way" in sentence for sentence in card.limits)


@pytest.mark.parametrize(
    ("gain", "said"), [(0.004, "hardly change"), (0.006, "help a little"), (0.03, "would help:")]
)
def test_a_small_gain_is_called_small(gain: float, said: str) -> None:
    today = Measure(value=0.9, low=0.85, high=0.95)
    twice = Point(images=200, value=0.9 + gain, low=0.85, high=0.95)
    found = Measure(value=gain, low=0.0, high=2 * gain)
    assert said in _sentence(today, twice, found, None, "AUC")
