"""Which scores have a say in the choices for a fold: those of models that have not seen it.

Out-of-fold scores of the other folds come from models that have learnt from this one. Where two
folds happen to agree, whatever is chosen because of the first then suits the second: with labels
that mean nothing the AUC was 0.55 of ten patients, 0.52 to 0.54 of 20 to 40 images and 0.51 of 150,
where the choices were made so. Of few images both folds are therefore left out (nested
cross-validation; Varma and Simon 2006, BMC Bioinformatics 7) of what the linear parts learn from.
Trees are fitted once: they have no strength to choose, and with that left as it was the AUC is 0.50
to 0.51. Knows nothing of what is chosen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

from classifiers.folds import Fold
from classifiers.mixture import Mixture, Scores
from classifiers.parallel import Tick, run_jobs

IntArray = npt.NDArray[np.int64]

FEWEST_FOLDS = 5
"""With fewer folds nothing is chosen: what is left without two of them says too little."""

ENOUGH = 200
"""Images, or groups, from which on a fold tells so little of another that it may stay."""

Pair = tuple[int, int]
"""Two folds of one repeat."""


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """What the choices for one fold are made from.

    Attributes:
        scores: of all images; those of the fold's own mean nothing.
        rows: int64 (n_rows,), the images whose scores count.
    """

    scores: Scores
    rows: IntArray

    def without(self, part: str) -> "Votes":
        """Return these less the scores of one part."""
        return Votes({name: of for name, of in self.scores.items() if name != part}, self.rows)


def voters(n_folds: int, rows: IntArray) -> IntArray:
    """The rows that may have a say in choices: none where there are too few folds."""
    return rows if n_folds >= FEWEST_FOLDS else rows[:0]


def votes_of(scores: Scores, fold_of: IntArray) -> list[Votes]:
    """For each fold the scores of all the others, whoever made them."""
    n = int(fold_of.max()) + 1
    return [Votes(scores, voters(n, np.flatnonzero(fold_of != fold))) for fold in range(n)]


def is_nested(n_folds: int, groups: IntArray) -> bool:
    """Whether scores for choices are to be made anew, without the fold that is chosen for."""
    return n_folds >= FEWEST_FOLDS and np.unique(groups).size < ENOUGH


def nested_votes(
    mixture: Mixture,
    kinds: IntArray,
    repeats: Sequence[Sequence[Fold]],
    known: Sequence[Scores],
    threads: int,
    report: Callable[[float], None],
) -> list[list[Votes]]:
    """For each fold of each repeat the scores of all the others, by models that have seen neither.

    Those of trees are as they were known.

    Args:
        mixture: of the images.
        kinds: int64 (n_images,), classes or strata: what must be left to learn from.
        repeats: their folds.
        known: for each, the scores of held-out images.
        threads: fits at once; the result does not depend on it.
        report: called with the share done; what it raises stops the fits.
    """
    tasks = [
        (number, pair, _neither(folds, pair))
        for number, folds in enumerate(repeats)
        for pair in combinations(range(len(folds)), 2)
    ]
    # Where a whole class lies in two folds, nobody can have learnt it without both.
    able = [task for task in tasks if np.unique(kinds[task[2][0]]).size == np.unique(kinds).size]
    jobs = [partial(_score, mixture, fold) for _, _, fold in able]
    found = run_jobs(jobs, threads, report)
    of_repeat: list[dict[Pair, Scores]] = [{} for _ in repeats]
    for (number, pair, _), scores in zip(able, found, strict=True):
        of_repeat[number][pair] = scores
    return [
        [_gathered(fold, folds, pairs, scores) for fold in range(len(folds))]
        for folds, pairs, scores in zip(repeats, of_repeat, known, strict=True)
    ]


def _neither(folds: Sequence[Fold], pair: Pair) -> Fold:
    """The rows of no fold of a pair, and those of both, the first one's first."""
    first, second = (folds[number] for number in pair)
    return np.intersect1d(first[0], second[0]), np.concatenate([first[1], second[1]])


def _score(mixture: Mixture, fold: Fold, tick: Tick) -> Scores:
    return mixture.score_parts(*fold, tick)


def _gathered(
    fold: int, folds: Sequence[Fold], pairs: Mapping[Pair, Scores], known: Scores
) -> Votes:
    """What others said of every other fold without this one."""
    scores, rows = {part: of.copy() for part, of in known.items()}, [np.zeros(0, np.int64)]
    for other, own, of_pair in _with(fold, folds, pairs):
        for part, said in of_pair.items():
            scores[part][:, other] = said[:, own]
        rows.append(other)
    return Votes(scores, np.sort(np.concatenate(rows)))


def _with(
    fold: int, folds: Sequence[Fold], pairs: Mapping[Pair, Scores]
) -> Iterator[tuple[IntArray, slice, Scores]]:
    """The rows of every other fold, where they stand in the scores of both, and those scores."""
    for (first, second), scores in pairs.items():
        size = len(folds[first][1])
        if fold == first:
            yield folds[second][1], slice(size, None), scores
        elif fold == second:
            yield folds[first][1], slice(size), scores
