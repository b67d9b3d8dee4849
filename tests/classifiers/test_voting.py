"""Choices for a fold are made from scores of models that have not seen it."""

from itertools import combinations

import numpy as np
import pytest

from classifiers.blocks import Block
from classifiers.choosing import cross_choices
from classifiers.examples import Examples
from classifiers.folds import Fold, make_plan
from classifiers.labels import LabelSet
from classifiers.mixture import TREES, Mixture, Scores
from classifiers.recipe import Recipe
from classifiers.tasks import Question
from classifiers.training import assess
from classifiers.voting import (
    ENOUGH,
    FEWEST_FOLDS,
    Votes,
    is_nested,
    nested_votes,
    voters,
    votes_of,
)

BLOCKS = (Block("penultimate", 0, 8), Block("stage", 8, 12))
Y = np.arange(40) % 2


def made(y: np.ndarray) -> Mixture:
    Z = np.random.default_rng(3).standard_normal((len(y), 12)).astype(np.float32)
    Z[:, :2] += Y[:, None]
    targets = y[:, None].astype(np.float64)
    examples = Examples(Z, targets, y, np.arange(len(y)), groups_known=False)
    recipe = Recipe(rounds=4).complete(len(y), 12, 1)
    return Mixture(examples, Question("binary", ("0", "1")), BLOCKS, recipe)


def out_of_fold(mixture: Mixture, folds: tuple[Fold, ...]) -> Scores:
    scores: dict[str, np.ndarray] = {}
    for learnt, held_out in folds:
        for part, found in mixture.score(learnt, held_out, lambda _: None).items():
            whole = scores.setdefault(part, np.zeros((found.shape[0], len(Y), found.shape[2])))
            whole[:, held_out] = found
    return scores


def nested(mixture: Mixture, folds: tuple[Fold, ...], kinds: np.ndarray = Y) -> list[Votes]:
    known = [out_of_fold(mixture, folds)]
    return nested_votes(mixture, kinds, [folds], known, 2, lambda _: None)[0]


def test_every_other_fold_is_scored_by_a_model_that_has_seen_neither() -> None:
    folds = make_plan(Y, None, 5, 1, seed=0).repeats[0]
    mixture = made(Y)
    found = nested(mixture, folds)
    for one, other in combinations(range(5), 2):
        learnt = np.intersect1d(folds[one][0], folds[other][0])
        for own, held_out in ((one, folds[other][1]), (other, folds[one][1])):
            expected = mixture.score_parts(learnt, held_out, lambda _: None)
            for part, scores in expected.items():
                # A matrix of other rows is multiplied in another order.
                assert found[own].scores[part][:, held_out] == pytest.approx(scores, abs=1e-9)
    for number, votes in enumerate(found):
        assert votes.rows.tolist() == sorted(folds[number][0].tolist())


def test_labels_of_a_fold_have_no_say_in_what_is_chosen_for_it() -> None:
    folds = make_plan(Y, None, 5, 1, seed=0).repeats[0]
    other = Y.copy()
    other[folds[2][1]] = 1 - other[folds[2][1]]
    fold_of = np.zeros(len(Y), np.int64)
    for number, (_, held_out) in enumerate(folds):
        fold_of[held_out] = number
    chosen, leaked = [], []
    for y in (Y, other):
        mixture = made(y)
        votes = [each.without(TREES) for each in nested(mixture, folds)]
        chosen.append(cross_choices(votes, mixture))
        linear = [each.without(TREES) for each in votes_of(out_of_fold(mixture, folds), fold_of)]
        leaked.append(cross_choices(linear, mixture))
    assert chosen[0][2] == chosen[1][2]
    assert chosen[0][1] != chosen[1][1]
    assert leaked[0][2] != leaked[1][2]


def test_where_a_class_lies_in_two_folds_neither_has_a_say_for_the_other() -> None:
    folds = make_plan(Y, None, 5, 1, seed=0).repeats[0]
    kinds = Y.copy()
    kinds[[folds[0][1][0], folds[1][1][0]]] = 2
    first, second, *others = nested(made(Y), folds, kinds)
    assert not set(first.rows.tolist()) & set(folds[1][1].tolist())
    assert not set(second.rows.tolist()) & set(folds[0][1].tolist())
    assert [len(votes.rows) for votes in others] == [32, 32, 32]


def test_few_groups_are_nested_and_few_folds_choose_nothing() -> None:
    assert is_nested(FEWEST_FOLDS, np.arange(ENOUGH - 1))
    assert not is_nested(FEWEST_FOLDS, np.arange(ENOUGH))
    assert is_nested(FEWEST_FOLDS, np.arange(ENOUGH) // 2)
    assert not is_nested(FEWEST_FOLDS - 1, np.arange(20))
    rows = np.arange(7)
    assert voters(FEWEST_FOLDS, rows).size == 7
    assert voters(FEWEST_FOLDS - 1, rows).size == 0


def shuffled(seed: int) -> float:
    """The AUC of a head that learnt from ten patients of six images, by labels without meaning."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(10), 6)
    X = (0.6 * rng.standard_normal((60, 48)) + rng.standard_normal((10, 48))[groups]).astype("f4")
    labels = rng.permutation(np.arange(10) % 2)[groups]
    digests = tuple(f"{number:064x}" for number in range(60))
    label_set = LabelSet(digests, tuple(map(str, labels)), tuple(f"p{g}" for g in groups))
    blocks = (("penultimate", 0, 32), ("stage", 32, 48))
    found = assess(X, label_set, blocks=blocks, recipe=Recipe(rounds=4, report="fast"))
    return found.metrics["auc"]["value"]


def test_an_auc_of_ten_patients_does_not_flatter_labels_without_meaning() -> None:
    """Seen with scores that knew the fold: 0.549, and 0.558 of 400 such heads."""
    assert np.mean([shuffled(seed) for seed in range(100)]) == pytest.approx(0.5, abs=0.04)
