"""Heads learn what is there, from little; they say so when nothing is; and they do it the same."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
from made_heads import LAYOUT, QUICK, WIDTH, alternating, digests, taught, vectors

from classifiers.card import Card
from classifiers.errors import (
    LabelProblems,
    NoSignal,
    SpaceMismatch,
    TrainingCancelled,
)
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import assess

CATS = alternating(("cat", "dog"), 30)
EASY = vectors(CATS, 1.5)
STAGES = ("checking labels", "evaluating", "drawing the learning curve", "fitting", "judging")


def auc_of(card: Any) -> tuple[float, float, float]:
    found = card.metrics["auc"]
    return found["value"], found["low"], found["high"]


@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c", "d")])
def test_ten_images_of_a_class_are_enough_for_what_is_easy(classes: tuple[str, ...]) -> None:
    labels = alternating(classes, 10)
    head = taught(vectors(labels, 3.0), labels, recipe=Recipe())
    assert head.card.metrics["auc"]["value"] > 0.97
    assert head.card.signal
    unseen = alternating(classes, 100)
    noise = np.random.default_rng(5).standard_normal((len(unseen), WIDTH)) / np.sqrt(WIDTH)
    X = vectors(unseen, 3.0) - vectors(unseen, 0.0) + noise.astype(np.float32)
    p = head.answers(X)
    right = np.array([classes.index(label) for label in unseen])
    assert np.mean(p.argmax(axis=1) == right) > 0.9
    assert p[np.arange(len(right)), right].mean() > 0.6


def test_lightgbms_own_defaults_learn_nothing_there() -> None:
    """Why the recipe exists: this is what `lightgbm.train` makes of the same 20 images."""
    labels = alternating(("cat", "dog"), 10)
    X, y = vectors(labels, 3.0), [label == "dog" for label in labels]
    booster = lightgbm.train({"objective": "binary", "verbosity": -1}, lightgbm.Dataset(X, y))
    assert set(np.asarray(booster.predict(X))) == {0.5}


def test_the_card_says_what_was_done() -> None:
    groups = [f"p{number // 2}" for number in range(60)]
    head = taught(EASY, CATS, groups, author="me", recipe=replace(QUICK, blocks=("penultimate",)))
    card = head.card
    assert (card.name, card.author, card.space_id) == ("made", "me", "space")
    assert (card.task, card.classes, card.width) == ("binary", ("cat", "dog"), WIDTH)
    assert [block.name for block in card.blocks] == ["penultimate"]
    assert (card.n_images, card.class_counts) == (60, {"cat": 30, "dog": 30})
    assert (card.n_groups, card.n_test_images) == (30, 0)
    assert card.folds == {"kind": "group-wise", "folds": 3, "repeats": 1, "reason": ""}
    assert card.lightgbm == lightgbm.__version__
    assert card.recipe.min_data_in_leaf == 2
    assert card.created == "2026-01-01T00:00:00Z"
    assert set(card.metrics) == set(card.baseline) == {"auc", "balanced_accuracy"}
    assert card.metrics_test == card.baseline_test == {}
    assert set(card.files) == set(head.to_files()) - {"card.json"}


def test_the_card_says_how_often_labels_were_dealt_for_its_p_value() -> None:
    labels = alternating(("cat", "dog"), 12)
    full, fast = (
        taught(vectors(labels, 3.0), labels, recipe=replace(QUICK, report=report)).card
        for report in ("full", "fast")
    )
    assert (full.permutations, fast.permutations) == (999, 199)
    assert full.p_value == 0.001
    assert fast.p_value == 0.005


def test_the_time_is_now_unless_given() -> None:
    assert taught(EASY, CATS, created=None).card.created.endswith("Z")


def test_labels_without_meaning_are_refused_and_the_interval_holds_chance() -> None:
    refused, held = 0, 0
    for seed in range(8):
        labels = np.random.default_rng(seed).permutation(CATS).tolist()
        try:
            taught(EASY, labels, recipe=replace(QUICK, seed=seed))
        except NoSignal as problem:
            refused += 1
            _, low, high = auc_of(problem.card)
            held += low <= 0.5 <= high
    assert refused >= 7
    assert held == refused


def test_a_head_without_signal_may_be_had_and_says_so() -> None:
    labels = np.random.default_rng(0).permutation(CATS).tolist()
    with pytest.raises(NoSignal) as caught:
        taught(EASY, labels)
    head = taught(EASY, labels, allow_no_signal=True)
    assert not head.card.signal
    assert head.card.limits[0].startswith("This head learnt nothing")
    refused = caught.value.card
    fitted = {"files": {}, "tree_factors": refused.tree_factors, "novelty": refused.novelty}
    assert replace(head.card, **fitted) == refused
    assert f"AUC {auc_of(head.card)[0]:.2f}" in str(caught.value)


def by_lot(seed: int) -> tuple[Any, list[str], list[str]]:
    """Return images of 24 patients who look like themselves, each with a label drawn by lot."""
    rng = np.random.default_rng(seed)
    patients = np.repeat(np.arange(24), 8)
    lot = rng.permutation(["ill", "well"] * 12)
    faces = rng.standard_normal((24, WIDTH)) * 2
    X = faces[patients] + 0.8 * rng.standard_normal((192, WIDTH))
    return X.astype(np.float32), lot[patients].tolist(), [f"p{p}" for p in patients]


def test_knowing_the_patient_is_not_knowing_the_disease() -> None:
    found = []
    for seed in range(6):
        X, labels, groups = by_lot(seed)
        fooled = taught(X, labels).card
        assert fooled.metrics["auc"]["value"] > 0.9
        assert any("No groups" in limit for limit in fooled.limits)
        recipe = Recipe(rounds=20, folds=6, repeats=1)
        found.append(taught(X, labels, groups, allow_no_signal=True, recipe=recipe).card)
    assert 0.35 < np.mean([card.metrics["auc"]["value"] for card in found]) < 0.65
    assert sum(card.signal for card in found) <= 1


def test_where_groups_cannot_be_kept_apart_the_card_says_so() -> None:
    groups = ["ward" if label == "dog" else f"p{i}" for i, label in enumerate(CATS)]
    card = taught(EASY, CATS, groups).card
    assert card.folds["kind"] == "stratified"
    assert "too good" in card.folds["reason"]
    assert any(card.folds["reason"] in limit for limit in card.limits)
    assert any("all come from one group" in warning for warning in card.warnings)


def test_images_kept_aside_are_looked_at_once_at_the_end() -> None:
    splits = tuple("test" if row >= 40 else "train" for row in range(60))
    label_set = LabelSet(digests(60), CATS, None, splits)
    head = taught(EASY, CATS, label_set=label_set)
    assert (head.card.n_images, head.card.n_test_images) == (40, 20)
    assert set(head.card.metrics_test) == set(head.card.baseline_test) == set(head.card.metrics)
    other = EASY.copy()
    other[40:] = np.random.default_rng(1).standard_normal((20, WIDTH))
    again = taught(other, CATS, label_set=label_set)
    assert again.text == head.text
    assert (again.card.metrics, again.card.baseline) == (head.card.metrics, head.card.baseline)
    assert again.arrays["out_of_fold"].tobytes() == head.arrays["out_of_fold"].tobytes()
    assert again.card.metrics_test != head.card.metrics_test
    p = head.answers(EASY[40:]).argmax(axis=1)
    accuracy = np.mean(p == [label == "dog" for label in CATS[40:]])
    assert head.card.metrics_test["balanced_accuracy"]["value"] == pytest.approx(accuracy, abs=1e-6)


def test_a_test_set_of_one_class_has_no_auc() -> None:
    splits = tuple("test" if row in (0, 2, 4) else None for row in range(60))
    card = taught(EASY, CATS, label_set=LabelSet(digests(60), CATS, None, splits)).card
    assert set(card.metrics_test) == {"balanced_accuracy"}


def test_a_rare_class_is_learnt_too() -> None:
    """Were images weighted alike, it would be 0.77: cats would win by their number."""
    labels = ("cat",) * 90 + ("dog",) * 10
    card = taught(vectors(labels, 0.6), labels, recipe=Recipe()).card
    assert card.metrics["balanced_accuracy"]["value"] > 0.84
    assert any("as frequent as among those it learnt from" in limit for limit in card.limits)


LEARN_ELSEWHERE = """
import sys
sys.path[:0] = sys.argv[1:]
from made_heads import *
labels = alternating(("cat", "dog"), 30)
print(hashlib.sha256(taught(vectors(labels, 1.5), labels).to_files()["card.json"]).hexdigest())
"""


def test_the_same_again_in_another_process_is_the_same_head() -> None:
    import hashlib

    command = [sys.executable, "-c", LEARN_ELSEWHERE, *sys.path]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    here = hashlib.sha256(taught(EASY, CATS).to_files()["card.json"]).hexdigest()
    assert there == here


def test_threads_change_nothing() -> None:
    assert taught(EASY, CATS, threads=3).to_files() == taught(EASY, CATS).to_files()


def test_the_order_of_rows_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(60)
    shuffled = LabelSet(tuple(digests(60)[row] for row in order), tuple(CATS[row] for row in order))
    again = taught(EASY[order], CATS, label_set=shuffled)
    assert again.to_files() == taught(EASY, CATS).to_files()


def test_an_image_listed_twice_is_learnt_from_once() -> None:
    twice = LabelSet((*digests(60), digests(1)[0]), (*CATS, CATS[0]))
    head = taught(np.concatenate([EASY, EASY[:1]]), CATS, label_set=twice)
    assert head.card.n_images == 60
    assert head.text == taught(EASY, CATS).text


def test_another_seed_is_another_head() -> None:
    assert taught(EASY, CATS, recipe=replace(QUICK, seed=1)).text != taught(EASY, CATS).text


def test_columns_that_are_not_chosen_are_not_looked_at() -> None:
    other = EASY.copy()
    other[:, 24:] = 7
    recipe = replace(QUICK, blocks=("penultimate",))
    assert taught(EASY, CATS, recipe=recipe).text == taught(other, CATS, recipe=recipe).text


def test_progress_is_told_often_and_only_grows() -> None:
    told: list[tuple[str, float]] = []
    taught(EASY, CATS, recipe=Recipe(), progress=lambda *what: told.append(what))
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages == [*STAGES, "done"]
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert len(told) > 15


@pytest.mark.parametrize("stage", [*STAGES, "done"])
def test_what_progress_raises_stops_the_learning_there(stage: str) -> None:
    told: list[str] = []

    def cancel(now: str, _: float) -> None:
        told.append(now)
        if now == stage:
            raise TrainingCancelled

    with pytest.raises(TrainingCancelled):
        taught(EASY, CATS, progress=cancel)
    assert told.count(stage) == 1
    assert told[-1] == stage


def with_value(value: float) -> np.ndarray:
    X = EASY.copy()
    X[7, 3] = value
    return X


@pytest.mark.parametrize("value", [np.nan, np.inf, -2e15])
def test_vectors_that_are_no_numbers_are_refused_by_digest(value: float) -> None:
    with pytest.raises(LabelProblems) as caught:
        taught(with_value(value), CATS)
    (found,) = caught.value.problems
    assert (found.code, found.items) == ("damaged_vectors", (digests(8)[7],))


def test_images_that_nothing_tells_apart_are_refused() -> None:
    few = alternating(("cat", "dog"), 6)
    alike = np.ones((12, WIDTH), np.float32)
    one_differs = alike.copy()
    one_differs[7, :20] = 3
    for X, fewest in ((alike, 2), (one_differs, 2), (vectors(few, 2.0), 7)):
        with pytest.raises(LabelProblems, match=f"tells {fewest} images") as caught:
            taught(X, few, recipe=replace(QUICK, min_data_in_leaf=fewest))
        assert [found.code for found in caught.value.problems] == ["images_alike"]


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X[:, :-1],
        lambda X: X[:-1],
        lambda X: X.astype(np.float64),
        lambda X: np.hstack([X, X]),
    ],
)
def test_a_matrix_of_another_shape_is_refused(change: Callable[[Any], Any]) -> None:
    with pytest.raises(SpaceMismatch):
        taught(change(EASY), CATS)


@pytest.mark.parametrize("task", ["multiclass", "ordinal", "regression", "guess"])
def test_a_task_that_the_labels_are_not_is_refused(task: str) -> None:
    with pytest.raises(LabelProblems) as caught:
        taught(EASY, CATS, task=task)
    assert "task_misfit" in [problem.code for problem in caught.value.problems]


def test_bad_labels_are_refused_before_anything_is_learnt() -> None:
    told: list[str] = []
    with pytest.raises(LabelProblems):
        taught(EASY, ("cat",) * 60, progress=lambda stage, _: told.append(stage))
    assert told == ["checking labels"]


def test_the_layout_covers_the_vectors() -> None:
    assert LAYOUT[-1][2] == WIDTH


def test_assessing_gives_the_figures_of_learning_and_makes_no_head() -> None:
    splits = ("train",) * 50 + ("test",) * 10
    label_set = LabelSet(digests(60), CATS, splits=splits)
    card = taught(EASY, CATS, label_set=label_set).card
    blank = EASY.copy()
    blank[50:] = 1.0  # the test images are not looked at
    found = assess(blank, label_set, blocks=LAYOUT, recipe=QUICK, threads=2)
    assert (found.metrics, found.baseline, found.p_value) == (
        card.metrics,
        card.baseline,
        card.p_value,
    )


def test_a_rare_class_that_prediction_sets_miss_is_told_of() -> None:
    labels = ("rare",) * 8 + ("common",) * 192
    card = taught(vectors(labels, 0.3), labels, allow_no_signal=True).card
    (told,) = [limit for limit in card.limits if "all classes together" in limit]
    assert "of 8 images of 'rare'" in told
    even = taught(EASY, CATS).card
    assert not any("all classes together" in limit for limit in even.limits)


@pytest.mark.parametrize("grouped", [False, True])
def test_no_answer_is_surer_than_so_many_images_can_show(*, grouped: bool) -> None:
    """Of n that are all right, the next may be wrong with 1 in n + 2 (Laplace)."""
    groups = tuple(f"p{row // 4}" for row in range(len(CATS))) if grouped else None
    head = taught(vectors(CATS, 30.0), CATS, groups)
    independent = len(set(groups)) if groups else len(CATS)
    doubt = 1 / (independent + 2)
    assert head.card.doubt == pytest.approx(doubt)
    sure = head.answers(vectors(CATS, 60.0)).max(axis=1)
    assert 1 - 2 * doubt < sure.max()
    assert sure.max() <= 1 - doubt / 2


def test_a_card_from_before_there_was_doubt_answers_as_it_did() -> None:
    card = taught(EASY, CATS).card
    said = json.loads(card.to_json())
    del said["calibration"]["doubt"]
    assert Card.from_dict(said).doubt == 0
    said["calibration"]["doubt"] = 1.0
    with pytest.raises(ValueError, match="share"):
        Card.from_dict(said)
