"""The images that are most worth a label come first, and choosing them beats drawing lots."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from classifiers.next_labels import choices, rank_candidates
from classifiers.novelty import unit_rows
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]
Choose = Callable[[Float32, npt.NDArray[np.float64], Float32, int], list[int]]

DIM = 20
BATCH, FIRST, LAST = 10, 20, 80


def unit(*angles: float) -> Float32:
    turned = np.radians(angles)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def answers(*yes: float) -> npt.NDArray[np.float64]:
    return np.array([[1 - p, p] for p in yes])


def test_where_all_are_equally_far_the_head_that_hesitates_decides() -> None:
    pool = np.eye(4, dtype=np.float32)
    found = rank_candidates(pool, answers(0.9, 0.5, 0.2, 0.6), np.zeros((0, 4), np.float32), 4)
    assert [one.row for one in found] == [1, 3, 2, 0]
    assert [round(one.hesitation, 3) for one in found] == [1.0, 0.8, 0.4, 0.2]
    assert found[0].distance == 2, "nothing is labelled"
    assert [round(one.distance, 3) for one in found[1:]] == [1.414] * 3


def test_where_it_hesitates_alike_what_is_unlike_labelled_images_comes_first() -> None:
    found = rank_candidates(unit(10, 80, 40), answers(0.5, 0.5, 0.5), unit(0), 1)
    assert [one.row for one in found] == [1]
    assert found[0].distance == pytest.approx(2 * np.sin(np.radians(40)), abs=1e-6)


def test_an_image_like_one_that_is_listed_already_waits() -> None:
    pool = unit(90, 91, 45)
    found = rank_candidates(pool, answers(0.5, 0.5, 0.7), unit(0), 3)
    assert [one.row for one in found] == [1, 2, 0]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_a_shorter_list_is_the_beginning_of_a_longer_one_and_holds_no_image_twice() -> None:
    rng = np.random.default_rng(0)
    pool = unit_rows(rng.standard_normal((50, DIM)).astype(np.float32))
    pool[10:20] = pool[:10]
    p = rng.dirichlet(np.ones(3), 50)
    whole = rank_candidates(pool, p, pool[:5], 60)
    assert sorted(one.row for one in whole) == list(range(50))
    assert rank_candidates(pool, p, pool[:5], 7) == whole[:7]


def test_no_image_no_list() -> None:
    none = np.zeros((0, DIM), np.float32)
    assert rank_candidates(none, np.zeros((0, 2)), none, 5) == []


def as_ranked(units: Float32, p: npt.NDArray[np.float64], known: Float32, n: int) -> list[int]:
    return [one.row for one in rank_candidates(units, p, known, n)]


def the_other_way_round(
    units: Float32, p: npt.NDArray[np.float64], known: Float32, n: int
) -> list[int]:
    return as_ranked(units, p, known, len(units))[-n:]


def drawn_by_lot(units: Float32, p: npt.NDArray[np.float64], known: Float32, n: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(len(known)).permutation(len(units))[:n].tolist()
    return drawn


def pool_of(seed: int, count: int) -> tuple[Float32, Rows]:
    """A rare class beside the commonest of six kinds of image, as in a screening."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((6, DIM)) * 1.5
    rare = rng.random(count) < 0.12
    kinds = np.where(rare, 0, rng.integers(0, 6, count))
    X = centres[kinds] + rng.standard_normal((count, DIM))
    X[rare, 2:5] += 1.0
    return unit_rows(X.astype(np.float32)), rare.astype(np.int64)


def area_after(choose: Choose, seed: int) -> float:
    """Mean AUC on images apart, while labels are given to what was chosen."""
    X, y = pool_of(seed, 400)
    asked, truth = pool_of(seed + 1000, 1000)
    known = [*np.flatnonzero(y == 1)[:3], *np.flatnonzero(y == 0)[: FIRST - 3]]
    areas = []
    while True:
        model = LogisticRegression(C=10, class_weight="balanced", solver="liblinear").fit(
            X[known], y[known]
        )
        areas.append(roc_auc_score(truth, model.predict_proba(asked)[:, 1]))
        if len(known) == LAST:
            return float(np.mean(areas))
        rest = np.setdiff1d(np.arange(len(y)), known)
        p = model.predict_proba(X[rest])
        known += rest[choose(X[rest], p, X[known], BATCH)].tolist()


def test_a_head_learns_more_from_what_is_listed_than_from_images_drawn_by_lot() -> None:
    chosen, lot, reverse = (
        np.array([area_after(choose, seed) for seed in range(4)])
        for choose in (as_ranked, drawn_by_lot, the_other_way_round)
    )
    assert chosen.mean() > lot.mean() + 0.005, (chosen, lot)
    assert lot.mean() > reverse.mean() + 0.005, (lot, reverse)


def test_of_several_labels_the_least_sure_decides_and_numbers_are_all_alike() -> None:
    p = np.array([[0.9, 0.45], [0.2, 0.99]])
    several = choices(p, Question("multilabel", ("a", "b")))
    np.testing.assert_allclose(several, [[0.45, 0.55], [0.2, 0.8]])
    assert choices(p, Question("binary", ("a", "b"))) is p
    alike = choices(np.array([[7.0], [900.0]]), Question("regression", ()))
    assert (alike == 0.5).all()
