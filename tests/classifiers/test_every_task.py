"""Heads of every task: they learn what is there, say when nothing is, and score as they did."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from made_heads import QUICK, WIDTH, digests, small_head, taught
from sklearn.metrics import roc_auc_score

from classifiers.errors import NoSignal
from classifiers.forest import Forest
from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.tasks import join_labels

N = 100
RNG = np.random.default_rng(7)
X = RNG.standard_normal((2 * N, WIDTH)).astype(np.float32)
HIDDEN = 2 * X[:, 0] + X[:, 1]
"""What grades and numbers are made of; several labels are signs of single columns."""

TASKS = ("multilabel", "ordinal", "regression")


def labels_of(task: str) -> list[str]:
    """Return labels of all images that are easy to learn."""
    if task == "multilabel":
        has = np.stack([X[:, 0] > 0, X[:, 1] > 0.3, X[:, 2] > 0.8], axis=1)
        return [join_labels([n for n, yes in zip("abc", row, strict=True) if yes]) for row in has]
    if task == "ordinal":
        return np.digitize(HIDDEN, [-1.5, 0.5, 2.5]).astype(str).tolist()
    return [f"{1000 + 10 * value:.4f}" for value in HIDDEN]


@cache
def head_of(task: str) -> Head:
    """Return a head learnt from the first half."""
    stated = "ordinal" if task == "ordinal" else "auto"  # bare numbers are names
    return taught(X[:N], labels_of(task)[:N], task=stated, recipe=Recipe())


@pytest.mark.parametrize("task", TASKS)
def test_the_task_is_found_learnt_and_better_than_chance(task: str) -> None:
    card = head_of(task).card
    assert (card.task, card.signal) == (task, True)
    leading, *_ = card.metrics.values()
    assert leading["low"] > 0.6
    assert set(card.metrics) == set(card.baseline)


def test_several_labels_are_each_found_on_unseen_images() -> None:
    head = head_of("multilabel")
    p = head.answers(X[N:])
    truth = head.card.question.targets(labels_of("multilabel")[N:])
    for column, name in enumerate("abc"):
        area = roc_auc_score(truth[:, column], p[:, column])
        assert area > 0.8
        claimed = head.card.label_auc[name]
        assert claimed["low"] - 0.05 < area < claimed["high"] + 0.05
    sets = head.card.sets.members(p)
    for column in range(3):
        held = sets[truth[:, column] > 0, column].mean()
        assert held >= 0.75, "a label that is there is hardly ever ruled out"


def test_grades_are_near_the_truth_on_unseen_images() -> None:
    head = head_of("ordinal")
    p = head.answers(X[N:])
    truth = np.array(labels_of("ordinal")[N:]).astype(int)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.abs(p.argmax(axis=1) - truth).mean() < 0.6
    inside = head.card.sets.members(p, ordered=True)
    assert inside[np.arange(N), truth].mean() >= 0.8
    holes = np.abs(np.diff(inside.astype(int), axis=1)).sum(axis=1) > 2
    assert not holes.any()


def test_numbers_come_with_intervals_that_hold_the_truth() -> None:
    head = head_of("regression")
    values = head.answers(X[N:])[:, 0]
    truth = np.array(labels_of("regression")[N:]).astype(float)
    explained = 1 - np.var(values - truth) / np.var(truth)
    assert head.card.metrics["r2"]["low"] - 0.05 < explained
    assert explained > 0.7
    assert head.card.sets.margin is not None
    held = np.mean(np.abs(values - truth) <= head.card.sets.margin)
    assert head.card.sets.low - 0.03 <= held <= head.card.sets.high + 0.03


@pytest.mark.parametrize("task", TASKS)
def test_a_head_survives_its_files_and_the_forest_to_the_bit(task: str) -> None:
    head = head_of(task)
    again = Head.from_files(head.to_files())
    assert again.to_files() == head.to_files()
    forest = Forest([small_head(), head, small_head(("a", "b", "c"))])
    assert forest.raw(X)[1].tobytes() == head.raw(X).tobytes()
    assert forest.ask(X).by_head[1].tobytes() == head.answers(X).tobytes()
    assert forest.ask(X, [1]).by_head[0].tobytes() == again.answers(X).tobytes()


@pytest.mark.parametrize("task", TASKS)
def test_threads_and_the_order_of_rows_change_nothing(task: str) -> None:
    labels = labels_of(task)[:N]
    order = RNG.permutation(N)
    shuffled = LabelSet(tuple(digests(N)[row] for row in order), tuple(labels[r] for r in order))
    once = taught(X[:N], labels)
    again = taught(X[:N][order], labels, label_set=shuffled, threads=3)
    assert once.to_files() == again.to_files()


@pytest.mark.parametrize("task", TASKS)
def test_labels_without_meaning_are_refused_and_the_interval_holds_chance(task: str) -> None:
    held, said, runs = 0, [], 6
    chance = 0.0 if task == "regression" else 0.5
    for seed in range(runs):
        labels = np.random.default_rng(seed).permutation(labels_of(task)[:N]).tolist()
        try:
            taught(X[:N], labels, recipe=replace(QUICK, seed=seed))
        except NoSignal as problem:
            said.append(str(problem))
            figure = problem.card.metrics[problem.metric]
            held += figure["low"] <= chance <= figure["high"]
    assert len(said) >= runs - 1
    assert held == len(said)
    assert all(f"chance is {chance:.2f}" in one for one in said)


@pytest.mark.parametrize("task", TASKS)
def test_groups_and_an_official_split_are_kept(task: str) -> None:
    splits = tuple("test" if row >= 80 else "train" for row in range(N))
    groups = tuple(f"p{row // 2}" for row in range(N))
    label_set = LabelSet(digests(N), tuple(labels_of(task)[:N]), groups, splits)
    card = taught(X[:N], label_set.labels, label_set=label_set).card
    assert (card.folds["kind"], card.n_groups) == ("group-wise", 40)
    assert (card.n_images, card.n_test_images) == (80, 20)
    assert set(card.metrics_test) == set(card.baseline_test) == set(card.metrics)


@pytest.mark.parametrize("task", ["binary", "multiclass", *TASKS])
def test_nothing_but_the_figures_of_test_images_depends_on_them(task: str) -> None:
    """Other test images with other labels: the same head, byte for byte, and other test figures."""
    classes = {
        "binary": np.where(HIDDEN > 0, "yes", "no").tolist(),
        "multiclass": np.digitize(HIDDEN, [-1, 1]).astype(str).tolist(),
    }
    labels = classes[task][:N] if task in classes else labels_of(task)[:N]
    stated = "ordinal" if task == "ordinal" else "auto"
    splits = tuple("test" if row >= 80 else "train" for row in range(N))
    other_X, other_labels = X[:N].copy(), [*labels[:80], *labels[99:79:-1]]
    other_X[80:] = X[N : N + 20]
    once, again = (
        taught(rows, said, label_set=LabelSet(digests(N), tuple(said), None, splits), task=stated)
        for rows, said in ((X[:N], labels), (other_X, other_labels))
    )
    assert (once.card.task, once.card.n_test_images) == (task, 20)
    seen_at_the_end = {"metrics_test", "baseline_test", "fingerprint"}
    cards = (once.card.to_dict(), again.card.to_dict())
    assert {name for name in cards[0] if cards[0][name] != cards[1][name]} == seen_at_the_end
    assert once.text == again.text
    assert all((once.arrays[name] == again.arrays[name]).all() for name in once.arrays)


def test_the_order_of_grades_is_what_is_learnt() -> None:
    words = np.array(["none", "mild", "moderate", "severe"])
    labels = words[np.array(labels_of("ordinal")[:N]).astype(int)].tolist()
    named = taught(X[:N], labels, task="ordinal", order=words.tolist(), recipe=Recipe())
    assert named.card.classes == tuple(words)
    assert named.card.metrics == head_of("ordinal").card.metrics
    assert named.answers(X).tobytes() == head_of("ordinal").answers(X).tobytes()


def test_a_rare_label_that_a_fold_lacks_does_not_stop_the_learning() -> None:
    """Six images of one patient: where the patient is held out, no fold has learnt the label."""
    labels = [
        join_labels([name for name, yes in (("rare", row < 6), ("b", X[row, 1] > 0)) if yes])
        for row in range(N)
    ]
    groups = ["one" if row < 6 else f"p{row}" for row in range(N)]
    card = taught(X[:N], labels, groups, allow_no_signal=True).card
    assert card.class_counts["rare"] == 6
    assert any("all come from one group" in warning for warning in card.warnings)


def test_a_test_split_of_one_group_gives_a_card_that_can_be_kept_and_says_what_is_unknown() -> None:
    splits = tuple("test" if row % 5 == 0 else "train" for row in range(N))
    groups = tuple("site" if row % 5 == 0 else f"p{row}" for row in range(N))
    label_set = LabelSet(digests(N), tuple(labels_of("regression")[:N]), groups, splits)
    head = taught(X[:N], label_set.labels, label_set=label_set)
    assert set(head.card.metrics_test) == {"spearman"}
    assert Head.from_files(head.to_files()).card == head.card
    assert any("cannot tell the R² and the mean absolute" in each for each in head.card.limits)
