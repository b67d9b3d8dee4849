"""A quick look sees what is there, is silent about what is not, and knows when it cannot tell."""

from time import process_time

import numpy as np
import pytest
from made_heads import LAYOUT, WIDTH, alternating, digests, taught, vectors
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier

from classifiers.errors import LabelProblems, SpaceMismatch
from classifiers.labels import LabelSet
from classifiers.look import (
    AT_MOST,
    METHODS,
    NEIGHBOURS,
    Look,
    _lda,
    _nearest,
    look,
    part,
    sample,
)
from classifiers.recipe import Recipe


def looked(labels: tuple[str, ...], distance: float, **given: tuple[str, ...]) -> Look:
    label_set = LabelSet(digests(len(labels)), labels, **given)
    return look(vectors(labels, distance), label_set, blocks=LAYOUT, threads=2)


@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c", "d")])
def test_every_method_sees_what_is_easy(classes: tuple[str, ...]) -> None:
    found = looked(alternating(classes, 20), 3.0)
    assert (found.verdict, found.n_images, found.classes) == ("signal", 20 * len(classes), classes)
    assert set(found.methods) == set(METHODS)
    for glance in found.methods.values():
        assert glance.auc is not None
        assert glance.auc.value > 0.9
        assert glance.balanced_accuracy.value > 0.7
    best = found.methods[found.best].auc
    assert best is not None
    assert f"AUC of {best.value:.2f}" in found.words


def test_no_signal_is_an_answer_where_there_are_images_enough_to_tell() -> None:
    found = looked(alternating(("cat", "dog"), 200), 0.0)
    assert found.verdict == "no_signal"
    assert "No signal in this space" in found.words
    assert "400 images" in found.words


def test_a_few_images_without_signal_do_not_rule_it_out() -> None:
    found = looked(alternating(("cat", "dog"), 8), 0.0)
    assert found.verdict == "too_few"
    assert "cannot be ruled out" in found.words


def test_shuffled_labels_have_no_signal_in_nineteen_of_twenty() -> None:
    """Three methods are tried, and the verdict is corrected for it."""
    generator = np.random.default_rng(0)
    labels = alternating(("cat", "dog"), 30)
    X = vectors(labels, 2.0)
    seen = 0
    for _ in range(40):
        shuffled = tuple(generator.permutation(labels).tolist())
        found = look(X, LabelSet(digests(60), shuffled), blocks=LAYOUT, threads=2)
        seen += found.verdict == "signal"
    assert seen <= 4  # of 40; more than 4 happens once in 25 where the rate is 1 in 20


def test_groups_are_kept_together_as_for_a_head() -> None:
    """Each patient's images are alike and the label is a coin toss: a split patient looks good."""
    generator = np.random.default_rng(1)
    patients = [f"p{number // 6}" for number in range(120)]
    labels = tuple("ab"[coin] for coin in generator.integers(0, 2, 20).repeat(6).tolist())
    own = generator.standard_normal((20, WIDTH)).repeat(6, axis=0)
    X = (own + 0.4 * generator.standard_normal((120, WIDTH))).astype(np.float32)
    kept = look(X, LabelSet(digests(120), labels, tuple(patients)), blocks=LAYOUT)
    split = look(X, LabelSet(digests(120), labels), blocks=LAYOUT)
    assert (kept.plan.kind, kept.verdict == "signal") == ("group-wise", False)
    assert split.verdict == "signal"


def test_the_logistic_regression_is_the_one_on_the_card() -> None:
    labels = alternating(("cat", "dog"), 15)
    X = vectors(labels, 1.0)
    card = taught(X, labels, recipe=Recipe()).card
    glance = look(X, LabelSet(digests(30), labels), blocks=LAYOUT).methods["logistic_regression"]
    assert glance.auc is not None
    assert glance.auc.measure() == card.baseline["auc"]
    assert glance.balanced_accuracy.measure() == card.baseline["balanced_accuracy"]


def test_images_of_the_test_split_are_not_looked_at() -> None:
    labels = alternating(("cat", "dog"), 20)
    splits = ("train",) * 30 + ("test",) * 10
    X = vectors(labels, 1.0)
    whole = look(X, LabelSet(digests(40), labels, splits=splits), blocks=LAYOUT)
    X[30:] = 1e3
    again = look(X, LabelSet(digests(40), labels, splits=splits), blocks=LAYOUT)
    assert whole.n_images == 30
    assert whole.methods == again.methods


def test_labels_that_cannot_be_learnt_from_are_refused() -> None:
    with pytest.raises(LabelProblems):
        looked(("cat",) * 10, 1.0)


def test_vectors_of_another_shape_are_refused() -> None:
    labels = alternating(("cat", "dog"), 10)
    X, label_set = vectors(labels, 1.0), LabelSet(digests(20), labels)
    for wrong in (X[:-1], X[:, :-1], X.astype(np.float64)):
        with pytest.raises(SpaceMismatch):
            look(wrong, label_set, blocks=LAYOUT)


def test_discriminant_analysis_agrees_with_scikit_learns_where_shrinkage_hardly_matters() -> None:
    generator = np.random.default_rng(2)
    y = np.arange(900) % 3
    A = generator.standard_normal((900, 5)) + np.eye(3, 5)[y]
    own = _lda(A[:600], y[:600], A[600:], 3)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(A[:600], y[:600])
    assert np.abs(own - theirs.predict_proba(A[600:])).max() < 0.02


def test_neighbours_are_scikit_learns() -> None:
    generator = np.random.default_rng(3)
    y = np.arange(100) % 2
    A = generator.standard_normal((100, 4)) + 3 * np.eye(2, 4)[y] + 2
    A /= np.linalg.norm(A, axis=1, keepdims=True)
    theirs = KNeighborsClassifier(
        NEIGHBOURS, metric="cosine", weights=lambda distance: 1 - distance
    ).fit(A[:60], y[:60])
    own = _nearest(A[:60], y[:60], A[60:], 2)
    assert np.abs(own - theirs.predict_proba(A[60:])).max() < 0.01
    assert own.sum(axis=1) == pytest.approx(1)


def test_a_look_at_a_thousand_images_takes_about_a_second() -> None:
    labels = alternating(("cat", "dog"), 500)
    names = ("penultimate", 0, 1280), ("stages", 1280, 2688)
    X = np.random.default_rng(4).standard_normal((1000, 2688)).astype(np.float32)
    start = process_time()
    look(X, LabelSet(digests(1000), labels), blocks=names, threads=2)
    assert process_time() - start < 10  # 2 of the processor, which two cores share


def test_of_very_many_images_a_fair_thousand_is_looked_at() -> None:
    labels = ("rare",) * 20 + ("common",) * 2980
    label_set = LabelSet(digests(3000), labels)
    rows = sample(label_set)
    assert len(set(rows)) == AT_MOST
    assert sum(labels[row] == "rare" for row in rows) == 20
    inner = part(label_set, rows)
    assert sample(inner) == [*range(AT_MOST)]
    X = vectors(labels, 2.0)
    found = look(X, label_set, blocks=LAYOUT, threads=2)
    assert found.n_images == AT_MOST
    assert found.methods == look(X[rows], inner, blocks=LAYOUT).methods
