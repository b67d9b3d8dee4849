"""Copies of an image are found, kept together, and named; images that are merely alike are not."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from made_heads import QUICK, alternating, digests

from classifiers import copies
from classifiers.card import Card
from classifiers.copies import doubts, find_copies
from classifiers.examples import Examples
from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.lesson import find_copied
from classifiers.look import look
from classifiers.recipe import Recipe
from classifiers.training import assess, learn

Float32 = npt.NDArray[np.float32]

IMAGES = 40
MANY = 120
WIDTH = 100
LAYOUT = [("penultimate", 0, 20), ("stage1", 20, WIDTH)]


def different(count: int, width: int = WIDTH, seed: int = 0) -> Float32:
    """Vectors of pictures that have much in common, each with something of its own."""
    rng = np.random.default_rng(seed)
    return (5 + rng.standard_normal((count, width))).astype(np.float32)


def again(X: Float32, amount: float = 0.1, seed: int = 1) -> Float32:
    """The same pictures, saved again."""
    noise = np.random.default_rng(seed).standard_normal(X.shape)
    return (X + amount * noise).astype(np.float32)


def taught(X: Float32, label_set: LabelSet, recipe: Recipe = QUICK) -> Head:
    return learn(
        X,
        label_set,
        name="made",
        space_id="space",
        blocks=LAYOUT,
        recipe=recipe,
        allow_no_signal=True,
        created="2026-01-01T00:00:00Z",
    )


def labelled(labels: Sequence[str], groups: Sequence[str] | None = None) -> LabelSet:
    known = tuple(groups) if groups is not None else None
    return LabelSet(digests(len(labels)), tuple(labels), known)


def rows(Z: Float32) -> list[tuple[int, ...]]:
    return [found.rows for found in find_copies(Z)]


def test_copies_are_found_and_images_that_are_merely_alike_are_not() -> None:
    X = different(MANY)
    assert find_copies(X) == []
    found = find_copies(np.concatenate([X, again(X[[3, 7]]), again(X[[7]], seed=2)]))
    assert [one.rows for one in found] == [(3, MANY), (7, MANY + 1, MANY + 2)]
    assert all(0.9 < one.score <= 1 for one in found)


def test_what_counts_is_how_near_others_are_and_not_how_near_a_copy_is() -> None:
    X = different(MANY)
    poor = again(X[:1], 0.45)
    assert rows(np.concatenate([X, poor])) == [(0, MANY)]
    crowd = again(np.repeat(X[:1], MANY, axis=0), 0.45)
    strangers = different(MANY, seed=5)
    assert rows(np.concatenate([crowd, strangers])) == []


def test_a_small_class_far_from_the_others_is_no_set_of_copies() -> None:
    X = different(30)
    X[:5] += 20
    assert find_copies(X) == []


def test_an_image_with_many_copies_is_found_too() -> None:
    X = different(MANY)
    crowd = again(np.repeat(X[:1], 10, axis=0), 0.1)
    assert rows(np.concatenate([X, crowd])) == [(0, *range(MANY, MANY + 10))]


def test_a_chain_of_copies_is_one_set() -> None:
    X = different(MANY)
    step = again(X[:1], 0.3)
    assert rows(np.concatenate([X, step, again(step, 0.3, 2)])) == [(0, MANY, MANY + 1)]


def test_where_vectors_vary_in_few_directions_only_equal_ones_are_copies() -> None:
    X = different(300, width=3)
    assert find_copies(X) == []
    assert rows(np.concatenate([X, X[[5]]])) == [(5, 300)]


def test_the_sets_do_not_depend_on_how_many_rows_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X = different(MANY)
    X = np.concatenate([X, again(X[::3])])
    whole = rows(X)
    assert len(whole) == MANY // 3
    monkeypatch.setattr(copies, "_AT_ONCE", 7)
    assert rows(X) == whole


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_a_handful_of_images_is_no_reason_to_fail(count: int) -> None:
    assert find_copies(different(count)) == []


def test_groups_that_share_copies_become_one() -> None:
    groups = np.array([0, 0, 1, 1, 2, 3, 4])
    Z, y = np.zeros((7, 1), np.float32), np.zeros(7, np.int64)
    examples = Examples(Z, np.zeros((7, 1)), y, groups, groups_known=True)
    kept = examples.keeping_together([(1, 2), (3, 4, 99), (6, 99)])
    assert kept.groups.tolist() == [0, 0, 0, 0, 0, 1, 2]
    assert kept.n_groups == 3
    assert examples.groups.tolist() == groups.tolist()


def copied(seed: int) -> tuple[Float32, tuple[str, ...]]:
    """Images that mean nothing, each of them twice; both have the label drawn for it."""
    X = different(IMAGES, seed=seed)
    labels = tuple(np.random.default_rng(seed).permutation(alternating(("no", "yes"), IMAGES // 2)))
    return np.concatenate([X, again(X)]), labels * 2


def cards() -> list[Card]:
    recipe = replace(QUICK, folds=5)
    drawn = [copied(seed) for seed in range(6)]
    return [taught(X, labelled(labels), recipe).card for X, labels in drawn]


def test_on_meaningless_labels_copies_do_not_make_a_head_look_good() -> None:
    found = cards()
    intervals = [card.metrics["auc"] for card in found]
    assert sum(auc["low"] <= 0.5 <= auc["high"] for auc in intervals) >= 5
    assert {card.n_copies for card in found} == {2 * IMAGES}
    assert {card.folds["kind"] for card in found} == {"copies together"}
    assert {card.n_groups for card in found} == {None}


def test_they_would_if_they_were_not_kept_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.lesson.find_copies", lambda _: [])
    found = cards()
    assert all(card.metrics["auc"]["low"] > 0.6 and card.signal for card in found)


def verdicts() -> list[str]:
    drawn = [copied(seed) for seed in range(6)]
    return [look(X, labelled(labels), blocks=LAYOUT).verdict for X, labels in drawn]


def test_a_quick_look_keeps_copies_together_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts().count("signal") <= 1
    monkeypatch.setattr("classifiers.lesson.find_copies", lambda _: [])
    assert verdicts() == ["signal"] * 6


def test_a_look_is_on_the_folds_of_the_head() -> None:
    X, labels = copied(0)
    seen = look(X, labelled(labels), blocks=LAYOUT).plan
    folds = assess(X, labelled(labels), blocks=LAYOUT, recipe=Recipe(rounds=5)).repeats
    assert seen.kind == "copies together"
    for planned, repeat in zip(seen.repeats, folds, strict=True):
        for number, (_, held_out) in enumerate(planned):
            assert np.flatnonzero(repeat.fold_of == number).tolist() == held_out.tolist()


def test_another_space_can_be_judged_on_the_copies_of_this_one() -> None:
    X, labels = copied(0)
    blind, label_set = different(len(X), seed=9), labelled(labels)
    found = find_copied(X, label_set, LAYOUT)
    assert not find_copied(blind, label_set, LAYOUT)
    recipe = Recipe(rounds=5, repeats=1)
    one = assess(X, label_set, blocks=LAYOUT, recipe=recipe)
    other = assess(blind, label_set, blocks=LAYOUT, recipe=recipe, copied=found)
    assert other.scored.groups.tolist() == one.scored.groups.tolist()
    assert other.repeats[0].fold_of.tolist() == one.repeats[0].fold_of.tolist()


def test_patients_who_share_an_image_are_never_apart() -> None:
    X, labels = different(60), alternating(("no", "yes"), 30)
    X[np.array(labels) == "yes", ::2] += 2
    X[1] = again(X[[0]])[0]
    groups = [f"p{row // 2}" for row in range(60)]
    groups[1] = groups[2]
    card = taught(X, labelled(labels, groups)).card
    assert (card.folds["kind"], card.n_groups, card.n_copies) == ("group-wise", 29, 2)
    said = " ".join(card.warnings)
    assert "different groups, which count as one" in said
    assert "different labels" in said


def test_where_copies_cannot_be_kept_together_the_card_says_so() -> None:
    X, labels = different(60), ("no",) * 50 + ("yes",) * 10
    X[50:] = again(np.repeat(X[50:51], 10, axis=0))
    card = taught(X, labelled(labels)).card
    assert card.folds["kind"] == "stratified"
    assert "copies of one image were on both sides" in card.folds["reason"]
    card = taught(X, labelled(labels, [f"p{row // 2}" for row in range(60)])).card
    assert card.folds["kind"] == "group-wise"
    assert "copies of one image were on both sides" in card.folds["reason"]
    assert any(card.folds["reason"] in limit for limit in card.limits)


def test_a_copy_on_the_other_side_of_the_split_is_named_and_not_dropped() -> None:
    X, labels = different(60), alternating(("no", "yes"), 30)
    X[np.array(labels) == "yes", ::2] += 2
    X[50] = again(X[[10]])[0]
    splits = tuple("test" if row >= 40 else "train" for row in range(60))
    label_set = LabelSet(digests(60), labels, splits=splits)  # type: ignore[arg-type]
    card = taught(X, label_set).card
    (warning,) = [w for w in card.warnings if "both sides of the split" in w]
    assert warning.startswith("Copies in 1 of these sets")
    assert (card.n_images, card.n_test_images, card.n_copies) == (40, 20, 2)
    assert card.folds["kind"] == "stratified", "among the images learnt from there are none"


def test_a_head_does_not_depend_on_the_order_of_its_images() -> None:
    X, labels = copied(0)
    order = np.random.default_rng(9).permutation(len(X))
    known = digests(len(X))
    shuffled = LabelSet(tuple(known[i] for i in order), tuple(labels[i] for i in order))
    one = taught(X, labelled(labels))
    other = taught(X[order], shuffled)
    assert one.to_files() == other.to_files()


def test_copies_are_counted_and_not_named() -> None:
    label_set = LabelSet(digests(10), ("no",) * 10)
    (said,) = doubts(label_set, [(row, row + 1) for row in range(0, 10, 2)])
    assert "10 images are nearly the same as another: 5 sets" in said
    assert not any(known[:8] in said for known in digests(10))
    assert list(doubts(label_set, [])) == []


def test_copies_within_a_test_split_count_as_one_image_in_its_intervals() -> None:
    labels = alternating(("no", "yes"), 40)
    X = different(len(labels))
    X[np.array(labels) == "yes", ::4] += 1
    width = {}
    for times in (1, 6):
        named = (*labels[:60], *np.repeat(labels[60:], times).tolist())
        splits = tuple("train" if row < 60 else "test" for row in range(len(named)))
        rows = np.concatenate([X[:60], np.repeat(X[60:], times, axis=0)])
        card = taught(rows, LabelSet(digests(len(named)), named, None, splits)).card
        width[times] = card.metrics_test["auc"]["high"] - card.metrics_test["auc"]["low"]
    assert width[6] > 0.9 * width[1]
