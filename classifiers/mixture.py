"""What a head's score is made of: linear parts and trees, mixed by what out-of-fold scores show.

Four members look at the same row, each in its own way:

    penultimate   logistic regression on the first block, the penultimate vector
    stages        logistic regression on all other blocks together
    blocks        the mean of a logistic regression on each block
    trees         LightGBM on every column

Numbers are learnt by ridge regression and squared loss in their place.

Each one's strength and slope minimise the out-of-fold loss; its share is its prior times the
likelihood of its scores, tempered (Bayesian model averaging with a power likelihood), so that small
data mixes evenly and large data lets the best one win; a share can be 0 or 1.

Sums of linear parts are one linear part: a head keeps one vector and its trees, whatever it mixes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from classifiers import boosting
from classifiers.blocks import Block
from classifiers.examples import Examples
from classifiers.linear import fit_paths
from classifiers.novelty import unit_rows
from classifiers.parallel import Tick
from classifiers.parts import STAGES, Part, linear_parts
from classifiers.recipe import Recipe
from classifiers.tasks import Question

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

PENULTIMATE, BLOCKS, TREES = "penultimate", "blocks", "trees"

LINEAR_WORK = 0.5
TINY = 1e-12

_STRENGTHS_OF_ONE = tuple(10.0 ** np.arange(-1, 2.01, 0.5))
_STRENGTHS_OF_MANY = tuple(10.0 ** np.arange(-1, 2.01, 0.75))


@dataclass(frozen=True, slots=True)
class Share:
    """One part of the mixture: which part, at which of its strengths, times what."""

    part: str
    strength: int
    factor: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen from out-of-fold scores.

    Attributes:
        shares: of every part that counts.
        members: each member's share, for the card; they sum to 1.
    """

    shares: tuple[Share, ...]
    members: dict[str, float]

    def apply(self, scores: "Scores", rows: IntArray) -> Float64:
        """Mix the scores of some rows: float64 (n_rows, n_outputs)."""
        return np.asarray(sum(s.factor * scores[s.part][s.strength][rows] for s in self.shares))


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """A mixture fitted on all images: score = columns @ linear + intercept + factor * trees.

    Attributes:
        linear: float64 (n_columns, n_outputs).
        intercept: float64 (n_outputs,).
        tree_factor: what the trees' raw scores are multiplied by; 0 where they do not count.
        text: the trees, as LightGBM writes them.
    """

    linear: Float64
    intercept: Float64
    tree_factor: float
    text: str


Scores = Mapping[str, Float64]
"""Part → float64 (n_strengths, n_images, n_outputs): scores at each of its strengths."""


class Mixture:
    """The parts of the mixture on one set of images, ready to be fitted on any rows of it.

    Centres, scales and directions come from all rows at once: they use no label, and so tell
    nothing of the held-out ones' classes.

    Args:
        examples: the images.
        question: what is asked of them.
        blocks: side by side in the images' columns.
        recipe: complete.

    Attributes:
        targets: float64 (n_images, n_outputs); numbers are centred, and divided by their deviation.
        weights: float64 (n_images,), what each image counts; their mean is 1.
        likeness: mean cosine between penultimate vectors of two images: near 1 where the images
            look alike to the backbone's last layer. It uses no label.
    """

    def __init__(
        self, examples: Examples, question: Question, blocks: Sequence[Block], recipe: Recipe
    ) -> None:
        self.question, self._recipe = question, recipe
        self._Z = Z = examples.Z
        self._strengths = _STRENGTHS_OF_ONE if question.n_outputs == 1 else _STRENGTHS_OF_MANY
        self._middle, self._unit = _middle_and_unit(examples.targets, question)
        self.targets = (examples.targets - self._middle) / self._unit
        self.weights = _weights(examples.y, question)
        self.likeness = _likeness(Z[:, : blocks[0].stop - blocks[0].start])
        self._centre = Z.mean(axis=0, dtype=np.float64)
        self._parts = linear_parts(Z - self._centre, blocks)
        self._steps = boosting.sort_into_steps(Z, self.targets, question, self.weights, recipe)

    @property
    def block_parts(self) -> tuple[str, ...]:
        """The parts that look at one block each, the penultimate one first."""
        return tuple(name for name in self._parts if name != STAGES)

    @property
    def views(self) -> tuple[Float64, ...]:
        """Rows as the penultimate vector and as all stages show them: float64 (n_images, rank)."""
        names = (next(iter(self._parts)), STAGES)
        return tuple(self._parts[name].reduced.rows for name in names if name in self._parts)

    def score(self, learnt: IntArray, held_out: IntArray, tick: Tick) -> dict[str, Float64]:
        """Fit every part on some rows, and score others: what one fold contributes to `Scores`."""
        linear = self.score_parts(learnt, held_out, lambda share: tick(LINEAR_WORK * share))
        boosted = self._boosted(learnt, lambda share: tick(LINEAR_WORK + (1 - LINEAR_WORK) * share))
        return {**linear, TREES: boosted.scores(self._Z[held_out])[None]}

    def score_parts(self, learnt: IntArray, held_out: IntArray, tick: Tick) -> dict[str, Float64]:
        """Fit every linear part on some rows, and score others at each of its strengths."""
        scores: dict[str, Float64] = {}
        for number, (name, part) in enumerate(self._parts.items()):
            tick(number / len(self._parts))
            path = self._paths(part, learnt, self._strengths)
            rows = part.reduced.rows[held_out]
            scores[name] = np.einsum("nr,osr->sno", rows, path[:, :, :-1], optimize=True)
            scores[name] += path[:, :, -1].T[:, None, :]
        return scores

    def fit(self, choice: Choice, tick: Tick) -> Mixed:
        """Fit what was chosen on all rows."""
        every = np.arange(len(self._Z))
        linear = np.zeros((self._Z.shape[1], self.targets.shape[1]))
        intercept = np.zeros(self.targets.shape[1])
        tree_factor = 0.0
        for share in choice.shares:
            if share.part == TREES:
                tree_factor = share.factor
                continue
            part = self._parts[share.part]
            beta = self._paths(part, every, [self._strengths[share.strength]])[:, 0]
            coefficients = part.reduced.back @ beta[:, :-1].T
            linear[part.columns] += share.factor * part.scale[:, None] * coefficients
            intercept += share.factor * beta[:, -1]
        boosted = self._boosted(every, tick)
        intercept += tree_factor * boosted.start - self._centre @ linear
        return Mixed(
            self._unit * linear,
            self._middle + self._unit * intercept,
            self._unit * tree_factor,
            boosted.booster.model_to_string(),
        )

    def in_units(self, scores: Float64) -> Float64:
        """Return scores as they are answered: numbers in the unit of their labels."""
        return self._middle + self._unit * scores

    def loss(self, z: Float64, rows: IntArray) -> Float64:
        """Return the weighted mean loss over images and outputs; lower is better.

        Log loss; of numbers the same under normal errors: half the log of their mean square.

        Args:
            z: float64 (..., n_rows, n_outputs), scores.
            rows: int64 (n_rows,), the images they are of.
        """
        target, weights = self.targets[rows], self.weights[rows]
        squared = self.question.is_number
        losses = (z - target) ** 2 if squared else np.logaddexp(0, z) - target * z
        summed = (weights[:, None] * losses).sum(axis=(-2, -1))
        mean = np.asarray(summed / (weights.sum() * target.shape[1]))
        return np.log(np.maximum(mean, TINY)) / 2 if squared else mean

    def score_linear(self, choice: Choice, learnt: IntArray, held_out: IntArray) -> Float64:
        """Fit the linear parts of a choice on some rows, and score others with their mixture."""
        found: Float64 = np.zeros((len(held_out), self.targets.shape[1]))
        for share in choice.shares:
            if share.part != TREES:
                part = self._parts[share.part]
                beta = self._paths(part, learnt, [self._strengths[share.strength]])[:, 0]
                rows = part.reduced.rows[held_out]
                found += share.factor * (rows @ beta[:, :-1].T + beta[:, -1])
        return found

    def _paths(self, part: Part, rows: IntArray, strengths: Sequence[float]) -> Float64:
        """Coefficients: float64 (n_outputs, n_strengths, rank + 1)."""
        Z, weights = part.reduced.rows[rows], self.weights[rows]
        squared = self.question.is_number
        return fit_paths(Z, self.targets[rows], strengths, weights, squared=squared)

    def _boosted(self, rows: IntArray, tick: Tick) -> boosting.Boosted:
        given = (self.targets, self.weights, self.question, self._recipe)
        return boosting.fit(self._steps, rows, *given, tick)


def _middle_and_unit(targets: Float64, question: Question) -> tuple[float, float]:
    """Of all images: a shift and a scale of every target tell nothing of one."""
    if not question.is_number:
        return 0.0, 1.0
    return float(targets.mean()), float(targets.std()) or 1.0


def _likeness(rows: Float32) -> float:
    units = unit_rows(rows)
    n, total = len(units), units.sum(axis=0, dtype=np.float64)
    return float((total @ total - n) / (n * (n - 1)))


def _weights(y: IntArray, question: Question) -> Float64:
    """Half-way to equal classes: at 1 to 10 the rare one is not drowned, nor does it rule.

    Without classes that exclude each other, all images alike.
    """
    if not question.exclusive:
        return np.ones(len(y))
    n_classes = len(question.classes)
    counts = np.bincount(y, minlength=n_classes)
    weights = np.sqrt(len(y) / (n_classes * np.maximum(counts, 1)))[y]
    return np.asarray(weights / weights.mean())
