"""How many more images would help: a learning curve of the user's own images, and its back-test.

Fewer images are had by leaving some of a fold's out: whole groups, each class alike, always the
same order, so that a smaller draw lies within a larger one. The held-out images are all scored as
in the evaluation. Refitted are the linear members, with the shares and strengths that the folds
chose; LightGBM would take many times as long. What fewer images take from them is taken from the
evaluation's figure, which stands at the curve's end, and a power law is laid through the points.

Back-test: within a draw, its first half is all that a user with half the images would have. A law
is fitted to that half, learnt and scored on it alone, and asked for the whole.

The figure is the task's leading metric: the AUC, or of numbers Spearman's correlation.

Knows nothing of LightGBM; says nothing at all where the head may know nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from classifiers.choosing import cross_choices
from classifiers.curve import (
    CLOSE,
    NO_SIGNAL,
    TOO_FEW,
    WEAK_SIGNAL,
    Backtest,
    Figure,
    Growth,
    draw_curve,
)
from classifiers.evaluation import METRICS, Evaluation, Repeat
from classifiers.examples import Examples
from classifiers.folds import Plan
from classifiers.mixture import Choice, Mixture
from classifiers.parallel import Tick, run_jobs
from classifiers.power_law import Law, fit_law
from classifiers.scored import Pass, Scored, cv_sharing
from classifiers.statistics import Estimate
from classifiers.tasks import Question

Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]

SHARES = (0.5, 0.25, 0.125, 0.0625)
"""Of the images; the first is what the back-test stands on."""

FEWEST_IMAGES = 3
"""Of a class that are learnt from, and with and without a label; a share that leaves fewer is left
out."""

FEWEST_SHARES = 2

SURE = 0.01
"""p-value from which there is no curve: a head without signal gets one in a run of 100 at most."""

_DRAWS, _FEWEST_DRAWS = 5, 2
_ROWS = 1200


@dataclass(frozen=True, slots=True, eq=False)
class _Draw:
    """One order in which images are left out, and what was found with it.

    Attributes:
        repeat: of the cross-validation whose folds are used.
        rank: float64 (n_images,), 0 to 1; a share takes the images of a lower rank.
        scores: for the whole and for each share, float64 (n_images, n_outputs).
    """

    repeat: Repeat
    rank: Float64
    scores: tuple[Float64, ...]


def measure_growth(
    mixture: Mixture,
    examples: Examples,
    plan: Plan,
    evaluation: Evaluation,
    *,
    seed: int,
    threads: int = 1,
    report: Callable[[float], None] = lambda _: None,
) -> Growth:
    """Draw the learning curve, to twice the images there are.

    Args:
        mixture: of these images.
        examples: the images.
        plan: the folds of the evaluation.
        evaluation: of the mixture.
        seed: of the order in which images are left out.
        threads: fits at once; the result does not depend on it.
        report: called with the share done; what it raises stops the measuring.
    """
    question = mixture.question
    metric: Figure = "spearman" if question.is_number else "auc"
    if not evaluation.signal or evaluation.p_value >= SURE:
        return replace(WEAK_SIGNAL if evaluation.signal else NO_SIGNAL, metric=metric)
    count = int(np.clip(_ROWS // len(examples), _FEWEST_DRAWS, _DRAWS))
    pairs = []
    for number in range(count):
        repeat = evaluation.repeats[number % len(evaluation.repeats)]
        rank = _ranks(examples, repeat.fold_of, np.random.default_rng([seed, number]))
        pairs.append((repeat, rank))
    shares = _usable(_kinds(examples, question), pairs)
    if len(shares) < FEWEST_SHARES:
        return replace(TOO_FEW, metric=metric)
    draws = _refit(mixture, pairs, shares, threads, report)
    taken = _real_shares(draws, shares)
    return _Measured(question, metric, examples, draws, taken, evaluation).growth(plan)


def _ranks(examples: Examples, fold_of: IntArray, rng: np.random.Generator) -> Float64:
    """A rank of each image, such that any share takes whole groups, and each class alike.

    Folds take turns, so that few images are few of every fold.
    """
    y, groups = examples.y, examples.groups
    place = rng.permutation(int(groups.max()) + 1)[groups]
    turn = rng.permutation(int(fold_of.max()) + 1)[fold_of] / (fold_of.max() + 1)
    rank = np.empty(len(y))
    for number in np.unique(y):
        rows = np.flatnonzero(y == number)
        rows = rows[np.lexsort((place[rows], fold_of[rows]))]
        folds, first, sizes = np.unique(fold_of[rows], return_index=True, return_counts=True)
        own = np.searchsorted(folds, fold_of[rows])
        key = (np.arange(len(rows)) - first[own] + turn[rows]) / sizes[own]
        rank[rows[np.argsort(key, kind="stable")]] = (np.arange(len(rows)) + 0.5) / len(rows)
    sizes = np.maximum(np.bincount(groups), 1)
    return np.asarray((np.bincount(groups, rank) / sizes)[groups])


def _kinds(examples: Examples, question: Question) -> Bool:
    """What must be learnt from enough images each: bool (n_images, n_kinds).

    Classes, or strata of numbers; of several labels the images with each and those without.
    """
    if question.task == "multilabel":
        has = examples.targets > 0
        return np.concatenate([has, ~has], axis=1)
    return np.asarray(examples.y[:, np.newaxis] == np.arange(examples.y.max() + 1))


def _usable(kinds: Bool, pairs: Sequence[tuple[Repeat, Float64]]) -> list[float]:
    """The shares that leave enough images of each kind in every fold of every draw."""

    def fewest(share: float) -> int:
        return min(
            int(kinds[learnt[rank[learnt] <= share]].sum(axis=0).min())
            for repeat, rank in pairs
            for learnt, _ in repeat.folds
        )

    return [share for share in SHARES if fewest(share) >= FEWEST_IMAGES]


def _real_shares(draws: Sequence[_Draw], shares: Sequence[float]) -> Float64:
    """What was taken on average: whole groups do not add up to a share exactly."""
    return np.array([np.mean([(d.rank <= share).mean() for d in draws]) for share in shares])


def _refit(
    mixture: Mixture,
    pairs: Sequence[tuple[Repeat, Float64]],
    shares: Sequence[float],
    threads: int,
    report: Callable[[float], None],
) -> list[_Draw]:
    jobs, places = [], []
    scores = [[np.zeros_like(mixture.targets) for _ in (1.0, *shares)] for _ in pairs]
    for number, (repeat, rank) in enumerate(pairs):
        chosen = cross_choices(repeat.votes, mixture)
        for (learnt, held_out), choice in zip(repeat.folds, chosen, strict=True):
            scores[number][0][held_out] = choice.apply(repeat.linear, held_out)
            drawn = [learnt[rank[learnt] <= share] for share in shares]
            jobs.append(_job(mixture, choice, drawn, held_out))
            places.append((number, held_out))
    found = run_jobs(jobs, threads, report)
    for (number, held_out), of_job in zip(places, found, strict=True):
        for share, of_share in enumerate(of_job, 1):
            scores[number][share][held_out] = of_share
    return [
        _Draw(repeat, rank, tuple(of_draw))
        for (repeat, rank), of_draw in zip(pairs, scores, strict=True)
    ]


def _job(
    mixture: Mixture, choice: Choice, drawn: Sequence[IntArray], held_out: IntArray
) -> Callable[[Tick], list[Float64]]:
    def run(tick: Tick) -> list[Float64]:
        found = []
        for number, rows in enumerate(drawn):
            tick(number / len(drawn))
            found.append(mixture.score_linear(choice, rows, held_out))
        return found

    return run


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """What all draws found, and what follows from it.

    Attributes:
        question: what is asked.
        metric: the figure that grows.
        examples: the images.
        draws: with the scores at the whole and at each share.
        shares: float64 (n_shares,), of the images, the half first.
        evaluation: of the whole head.
    """

    question: Question
    metric: Figure
    examples: Examples
    draws: Sequence[_Draw]
    shares: Float64
    evaluation: Evaluation

    def growth(self, plan: Plan) -> Growth:
        """The curve and its back-test."""
        today = self.evaluation.metrics[self.metric]
        # float64 (n_draws, 1 + n_shares); the evaluation has a figure on the same folds.
        values = np.array([[self._figure([d], k).value for k in self._all] for d in self.draws])
        changes = values[:, 1:] - values[:, :1]
        spread = changes.std(axis=0, ddof=1)
        law = fit_law(
            self.shares,
            changes.mean(axis=0),
            spread / np.sqrt(len(self.draws)),
            1 - today["value"],
        )
        sharing = cv_sharing(plan.n_folds, len(self.draws))
        measured = [self._figure(self.draws, k, sharing).measure() for k in self._all[1:]]
        return draw_curve(
            len(self.examples),
            today,
            law,
            dict(zip(self.shares.tolist(), measured, strict=True)),
            today["value"] - float(values[:, 0].mean()),
            self._backtest(values[:, 0], spread),
            self.metric,
        )

    def _backtest(self, wholes: Float64, spread: Float64) -> Backtest | None:
        misses = []
        for draw, whole in zip(self.draws, wholes.tolist(), strict=True):
            half = self._half(draw, spread)
            if half is not None:
                value, law = half
                misses.append(abs(value + law.gain(1 / self.shares[0])[0] - whole))
        if not misses:
            return None
        close = sum(miss <= CLOSE for miss in misses)
        return Backtest(halves=len(misses), close=close, error=round(float(np.mean(misses)), 6))

    def _half(self, draw: _Draw, spread: Float64) -> tuple[float, Law] | None:
        """The figure and the law of a draw's first half, as if it were all there is."""
        rows = np.flatnonzero(draw.rank <= SHARES[0])
        found = [self._try_figure([draw], k, rows) for k in self._all[1:]]
        values = np.array([one.value for one in found if one is not None])
        if len(values) < len(found):
            return None
        shares = self.shares[1:] / self.shares[0]
        return float(values[0]), fit_law(shares, values[1:] - values[0], spread[1:], 1 - values[0])

    @property
    def _all(self) -> range:
        return range(1 + len(self.shares))

    def _figure(self, draws: Sequence[_Draw], share: int, sharing: float = 1.0) -> Estimate:
        found = self._try_figure(draws, share, np.arange(len(self.examples)), sharing)
        assert found is not None  # noqa: S101  the evaluation has one on the same folds
        return found

    def _try_figure(
        self, draws: Sequence[_Draw], share: int, rows: IntArray, sharing: float = 1.0
    ) -> Estimate | None:
        targets, groups = self.examples.targets[rows], self.examples.groups[rows]
        passes = tuple(
            Pass(draw.repeat.fold_of[rows], self.question.answers(draw.scores[share][rows]))
            for draw in draws
        )
        return METRICS[self.question.task][self.metric](
            Scored(self.question, targets, groups, passes, sharing)
        )
