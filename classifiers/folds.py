"""Which images are held out together: stratified, groups and copies of images kept together.

Knows nothing of vectors or scores.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Fold = tuple[IntArray, IntArray]

GROUPS_APART = (
    "some class has too few groups to hold one out; images of one group were on both sides of the "
    "folds, and the figures are too good"
)
COPIES_APART = (
    "without its copies some class has too few images or groups to hold one out; copies of one "
    "image were on both sides of the folds, and the figures are too good"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A repeated cross-validation.

    Attributes:
        kind: "group-wise" (no group is on both sides of a fold), "copies together" (no groups are
            known, and no image has a copy on the other side) or "stratified".
        n_folds: folds of each repeat.
        repeats: for each repeat its folds: (rows learnt from, rows held out); every row is held
            out once per repeat.
        reason: why it is not what was wished for, in a sentence; empty if it is.
    """

    kind: str
    n_folds: int
    repeats: tuple[tuple[Fold, ...], ...]
    reason: str = ""

    @property
    def folds(self) -> list[Fold]:
        """All folds of all repeats."""
        return [fold for repeat in self.repeats for fold in repeat]


def make_plan(
    y: IntArray,
    groups: IntArray | None,
    folds: int,
    repeats: int,
    seed: int,
    *,
    with_copies: IntArray | None = None,
    must_learn: bool = True,
) -> Plan:
    """Plan the cross-validation that the data allow, as near as possible to what is wished for.

    Args:
        y: int64 (n_images,), class numbers from 0, or what else folds are balanced by; every one
            has at least two images.
        groups: int64 (n_images,), group numbers, or None where none is known.
        folds: wished for; no more than the images, or groups, of the rarest class.
        repeats: of the whole, each with other folds.
        seed: equal seeds give equal plans.
        with_copies: the groups, or images, with those that share copies made one; None where no
            image has a copy.
        must_learn: whether every one of `y` must be learnt in each fold, and met by another among
            those held out, as classes must. Otherwise groups are kept apart however few there are.
    """
    reason = ""
    for together, kind, otherwise in (
        (with_copies, "copies together" if groups is None else "group-wise", COPIES_APART),
        (groups, "group-wise", GROUPS_APART),
    ):
        if together is not None:
            planned = _group_wise(y, together, folds, repeats, seed)
            if planned is None and not must_learn:
                planned = _by_groups_alone(together, folds, repeats, seed)
            if planned is not None:
                return replace(planned, kind=kind, reason=reason)
            reason = otherwise
    return _stratified(y, folds, repeats, seed, reason)


def _stratified(y: IntArray, folds: int, repeats: int, seed: int, reason: str) -> Plan:
    from sklearn.model_selection import StratifiedKFold

    n_folds = min(folds, int(np.bincount(y).min()))
    planned = tuple(
        _as_folds(StratifiedKFold(n_folds, shuffle=True, random_state=seed + repeat).split(y, y))
        for repeat in range(repeats)
    )
    return Plan("stratified", n_folds, planned, reason)


def _group_wise(y: IntArray, groups: IntArray, folds: int, repeats: int, seed: int) -> Plan | None:
    from sklearn.model_selection import StratifiedGroupKFold

    pairs = np.unique(np.stack([y, groups]), axis=1)
    fewest = int(np.bincount(pairs[0]).min())
    classes = np.unique(y).size
    for n_folds in range(min(folds, fewest), 1, -1):
        planned = []
        for repeat in range(repeats):
            splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed + repeat)
            with warnings.catch_warnings():
                # It warns of classes rarer than folds; the groups rule here, and are checked below.
                warnings.simplefilter("ignore", UserWarning)
                planned.append(_as_folds(splitter.split(y, y, groups)))
        if all(_is_usable(folds_once, y, classes) for folds_once in planned):
            return Plan("group-wise", n_folds, tuple(planned))
    return None


def _by_groups_alone(groups: IntArray, folds: int, repeats: int, seed: int) -> Plan | None:
    """Two groups or more are held out together where there are enough: one has nobody to meet."""
    from sklearn.model_selection import KFold

    names, place = np.unique(groups, return_inverse=True)
    n_folds = max(2, min(folds, names.size // 2))
    if names.size < n_folds:
        return None
    planned = tuple(
        tuple(
            (np.flatnonzero(np.isin(place, learnt)), np.flatnonzero(np.isin(place, held_out)))
            for learnt, held_out in KFold(n_folds, shuffle=True, random_state=seed + r).split(names)
        )
        for r in range(repeats)
    )
    return Plan("group-wise", n_folds, planned)


def _is_usable(folds_once: tuple[Fold, ...], y: IntArray, classes: int) -> bool:
    """Say whether each fold learns every class, and each class meets another among held-out ones.

    Only images held out together are ever compared, so a class held out alone has no AUC.
    """
    compared: set[int] = set()
    for learnt, held_out in folds_once:
        held = np.unique(y[held_out])
        if np.unique(y[learnt]).size < classes or not held.size:
            return False
        if held.size > 1:
            compared.update(held.tolist())
    return len(compared) == classes


def _as_folds(splits: Iterator[Fold]) -> tuple[Fold, ...]:
    return tuple((np.asarray(learnt), np.asarray(held_out)) for learnt, held_out in splits)
