"""The mixture lets the member win that knows most, and tells no fold its own labels."""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from classifiers import choosing
from classifiers.blocks import Block
from classifiers.boosting import raw_scores, read
from classifiers.choosing import PRIORS, choose, cross_choices, cross_fitted
from classifiers.examples import Examples
from classifiers.folds import make_plan
from classifiers.mixture import BLOCKS, PENULTIMATE, STAGES, TREES, Mixture
from classifiers.recipe import Recipe
from classifiers.tasks import Question, Task
from classifiers.voting import voters, votes_of

LAYOUT = (Block("penultimate", 0, 12), Block("s.mean", 12, 20), Block("s.std", 20, 28))
RECIPE = Recipe(feature_fraction=1.0, rounds=60).complete(200, 28, 1)


def made(
    y: np.ndarray, informative: slice, how: Any, task: Task | None = None
) -> tuple[Mixture, np.ndarray]:
    """A mixture on noise whose informative columns were given to `how` with the class numbers."""
    classes = tuple(str(number) for number in range(int(y.max()) + 1))
    question = Question(task or ("binary" if len(classes) == 2 else "multiclass"), classes)
    if task == "regression":
        question = Question(task, ())
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((len(y), 28)).astype(np.float32)
    how(Z[:, informative], y)
    labels = [str(number) for number in y.tolist()]
    if task == "multilabel":
        labels = ["|".join(map(str, range(number))) or "-" for number in y.tolist()]
        question = Question(task, classes[:-1])
    examples = Examples(Z, question.targets(labels), y, np.arange(len(y)), groups_known=False)
    return Mixture(examples, question, LAYOUT, RECIPE), Z


def out_of_fold(
    mixture: Mixture, y: np.ndarray, folds: int = 5
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    plan = make_plan(y, None, folds, 1, seed=0)
    fold_of = np.zeros(len(y), np.int64)
    scores: dict[str, np.ndarray] = {}
    for number, (learnt, held_out) in enumerate(plan.folds):
        fold_of[held_out] = number
        for part, found in mixture.score(learnt, held_out, lambda _: None).items():
            whole = scores.setdefault(part, np.zeros((found.shape[0], len(y), found.shape[2])))
            whole[:, held_out] = found
    return scores, fold_of


def shifted(columns: np.ndarray, y: np.ndarray) -> None:
    columns += (1.2 * y[:, None]).astype(np.float32)


def two_sided(columns: np.ndarray, y: np.ndarray) -> None:
    """What no linear part can see: one class lies on both sides of the other."""
    columns *= np.float32(0.4)
    columns += (np.sign(columns) * 1.2 * y[:, None]).astype(np.float32)


LABELS = np.arange(200) % 2


@pytest.mark.parametrize(
    ("informative", "how", "winners", "share"),
    [
        (slice(0, 12), shifted, {PENULTIMATE, BLOCKS}, 0.9),
        (slice(12, 28), shifted, {STAGES, BLOCKS}, 0.9),
        (slice(0, 3), two_sided, {TREES}, 0.9),
    ],
)
def test_the_member_that_knows_wins(
    informative: slice, how: Any, winners: set[str], share: float
) -> None:
    mixture, _ = made(LABELS, informative, how)
    scores, _ = out_of_fold(mixture, LABELS)
    shares = choose(scores, mixture, np.arange(200)).members
    assert sum(shares.values()) == pytest.approx(1)
    assert sum(shares[name] for name in winners) > share


def test_where_nothing_is_to_be_known_the_priors_stay() -> None:
    mixture, _ = made(LABELS, slice(0, 1), lambda columns, y: None)
    mixture.likeness = choosing.MIDWAY
    scores, _ = out_of_fold(mixture, LABELS)
    shares = choose(scores, mixture, np.arange(200)).members
    for name, prior in PRIORS.items():
        assert shares[name] == pytest.approx(prior / sum(PRIORS.values()), abs=0.15)


@pytest.mark.parametrize(
    ("task", "n_classes"),
    [("binary", 2), ("multiclass", 3), ("multilabel", 4), ("ordinal", 4), ("regression", 4)],
)
def test_the_fitted_mixture_scores_as_its_parts_do_together(task: Task, n_classes: int) -> None:
    y = np.arange(150) % n_classes
    mixture, Z = made(y, slice(0, 20), shifted, task)
    scores, _ = out_of_fold(mixture, y)
    choice = choose(scores, mixture, np.arange(150))
    mixed = mixture.fit(choice, lambda _: None)
    rows = np.arange(150)
    parts = mixture.score(rows, rows, lambda _: None)
    expected = sum(s.factor * parts[s.part][s.strength] for s in choice.shares)
    raw = raw_scores(read(mixed.text), Z, mixture.targets.shape[1])
    own = Z @ mixed.linear + mixed.intercept + mixed.tree_factor * raw
    assert own == pytest.approx(mixture.in_units(expected), abs=1e-3)


def test_what_is_answered_for_a_fold_follows_from_what_the_others_chose() -> None:
    mixture, _ = made(LABELS, slice(0, 12), shifted)
    scores, fold_of = out_of_fold(mixture, LABELS)
    votes = votes_of(scores, fold_of)
    found = cross_fitted(scores, mixture, fold_of, votes)
    for fold, choice in enumerate(cross_choices(votes, mixture)):
        rows = np.flatnonzero(fold_of == fold)
        assert np.array_equal(found[rows], choice.apply(scores, rows))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_linear_parts_fitted_alone_score_as_they_do_with_all_others(n_classes: int) -> None:
    y = np.arange(150) % n_classes
    mixture, _ = made(y, slice(0, 20), shifted)
    scores, fold_of = out_of_fold(mixture, y)
    linear = {part: found for part, found in scores.items() if part != TREES}
    choice = cross_choices(votes_of(linear, fold_of), mixture)[0]
    assert TREES not in choice.members
    learnt, held_out = np.flatnonzero(fold_of != 0), np.flatnonzero(fold_of == 0)
    alone = mixture.score_linear(choice, learnt, held_out)
    assert alone == pytest.approx(choice.apply(linear, held_out), abs=1e-3)


def test_few_images_are_held_nearer_to_the_penultimate_vector() -> None:
    few, many = (choosing._priors(n, choosing.MIDWAY)[PENULTIMATE] for n in (20, 4000))
    assert few == pytest.approx(3 * PRIORS[PENULTIMATE])
    assert many == pytest.approx(1.01 * PRIORS[PENULTIMATE])


def moved(columns: np.ndarray, y: np.ndarray) -> None:
    """All in one direction, whatever the class: the images look alike."""
    columns += np.float32(3)


def test_likeness_is_the_mean_cosine_of_all_pairs_whatever_the_length_of_rows() -> None:
    mixture, Z = made(LABELS, slice(0, 12), moved)
    pairs = cosine_similarity(Z[:, :12])[~np.eye(len(Z), dtype=bool)]
    assert mixture.likeness == pytest.approx(pairs.mean(), abs=1e-6)
    assert mixture.likeness > 0.8


@pytest.mark.parametrize("folds", [3, 5])
def test_images_that_look_alike_are_asked_by_their_stages_and_others_by_their_embedding(
    folds: int,
) -> None:
    found = {}
    for how in (moved, lambda columns, y: None):
        mixture, _ = made(LABELS[:30], slice(0, 12), how)
        scores, _ = out_of_fold(mixture, LABELS[:30], folds)
        rows = voters(folds, np.arange(30))
        found[how] = choose(scores, mixture, rows).members[PENULTIMATE]
    alike, unlike = found.values()
    assert alike < 0.2
    assert unlike > 0.8


def test_labels_can_say_otherwise_than_likeness() -> None:
    def known(columns: np.ndarray, y: np.ndarray) -> None:
        moved(columns, y)
        shifted(columns, y)

    mixture, _ = made(LABELS, slice(0, 12), known)
    scores, _ = out_of_fold(mixture, LABELS)
    shares = choose(scores, mixture, np.arange(200)).members
    assert shares[STAGES] == 0
    assert shares[PENULTIMATE] > 0.02


def test_without_stages_likeness_changes_nothing() -> None:
    mixture, _ = made(LABELS, slice(0, 1), lambda columns, y: None)
    scores, _ = out_of_fold(mixture, LABELS)
    alone = {part: scores[part] for part in (PENULTIMATE, TREES)}
    found = []
    for likeness in (0.0, 0.9):
        mixture.likeness = likeness
        found.append(choose(alone, mixture, np.arange(200)).members)
    assert found[0] == found[1]
