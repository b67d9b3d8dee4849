"""What a head says of itself. Knows nothing of vectors, trees or files."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from classifiers.blocks import Block, Scaling
from classifiers.conformal import SetRule
from classifiers.curve import Growth
from classifiers.errors import BadRecipe
from classifiers.examples import Values
from classifiers.judgement import Calibrated
from classifiers.novelty import NoveltySize
from classifiers.recipe import Recipe
from classifiers.statistics import Measure
from classifiers.strict import STRICT
from classifiers.tasks import Question, Task

FORMAT = 1
"""Version of the files of a head: `card.json`, `model.txt` and the arrays beside them.

To change anything in them, a field of the card included:

1. Raise `FORMAT`.
2. Give `_UPGRADES` a function from the previous number that turns the old card's dictionary into
   the new one, with the value that a head of that age truly has (unknown is a value too).
3. Learn a tiny head with the old code and commit its files as `tests/classifiers/formats/<old>/`;
   `test_old_formats.py` loads every folder there for ever and compares its scores.
4. Say in the changelog that older versions refuse heads learnt by this one.
"""

WIDEST = 2**16
"""Columns a feature matrix may have: the trees of a served head count them in two bytes."""

_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_CLASSES: Mapping[Task, tuple[int, int]] = {
    "binary": (2, 2),
    "multilabel": (2, WIDEST),
    "regression": (0, 0),
}
"""Fewest and most classes of a task; three or more of any other."""

MOST_SHOWN = 200
"""Characters of a wrong value that a refusal repeats."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[a-z][a-z0-9_]{0,40}\.(?:txt|npy)")


@with_config(STRICT)
class Folds(TypedDict):
    """How a head was evaluated; `reason` says why not as wished for, and is empty if it was."""

    kind: str
    folds: int
    repeats: int
    reason: str


@with_config(STRICT)
@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything a head says of itself.

    Attributes:
        name: given by whoever learnt it.
        task: "binary", "multiclass", "multilabel", "ordinal" or "regression".
        classes: classes, labels or grades (lowest first) in the order of probabilities; of two
            classes the raw score is that of the second; of regression none.
        space_id: the only space whose vectors it understands.
        width: columns of the feature matrix it is offered.
        blocks: the columns it looks at, by name.
        fingerprint: SHA-256 of the label set.
        n_images: learnt from; images kept aside by an official split are not among them.
        class_counts: images learnt from, by class; one may have several labels, or none.
        values: of regression, the numbers learnt from; None otherwise.
        n_groups: among the images learnt from; None where no group is known.
        n_copies: images that are nearly the same as another, those kept aside among them.
        n_test_images: kept aside by an official split.
        metrics: out of fold, each with "value", "low" and "high" (95 % interval): "auc" (for
            several classes or labels their mean, each against the rest; for grades the mean over
            "above grade k") and "balanced_accuracy"; of grades "auc", "kappa" (quadratic weights)
            and "mean_absolute_error"; of regression "spearman", "r2" and "mean_absolute_error".
        label_auc: of several labels, the AUC of each, by its name; otherwise empty.
        metrics_test: the same of the images kept aside; empty without an official split.
        baseline: the same as `metrics`, of a logistic (for numbers: ridge) regression on the same
            folds.
        baseline_test: the same as `metrics_test`, of that regression.
        signal: whether the head knows anything: `p_value` below 0.05, and an AUC (of regression: a
            Spearman correlation) above chance.
        p_value: how often chance does as well: of labels dealt out at random, and learnt anew by a
            quick stand-in of the head; at least 1 / (permutations + 1).
        permutations: how often labels were dealt for it.
        folds: how it was evaluated.
        recipe: how it was learnt, every number set.
        shares: what each member of the mixture counts; they sum to 1.
        tree_factors: what the trees' raw scores are multiplied by, one an output; 0 where they do
            not count.
        calibration: how its probabilities were calibrated, and what that did; None of regression.
        sets: the rule of its prediction sets, or of its intervals.
        confusion: images out of fold, by true class (row) and likeliest class (column); empty for
            several labels and for regression.
        growth: what more images would bring to the leading metric; None where that was not asked
            for.
        novelty: how many directions and distances tell its kind of image from others.
        lightgbm: version that learnt it.
        created: RFC 3339, UTC.
        author: who learnt it; may be empty.
        limits: what a reader must know before trusting it, in sentences.
        warnings: doubts about the label set that did not stop the learning.
        files: SHA-256 of each file beside the card, by name.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    space_id: str
    width: int
    blocks: tuple[Block, ...]
    fingerprint: str
    n_images: int
    class_counts: dict[str, int]
    values: Values | None
    n_groups: int | None
    n_copies: int
    n_test_images: int
    metrics: dict[str, Measure]
    label_auc: dict[str, Measure]
    metrics_test: dict[str, Measure]
    baseline: dict[str, Measure]
    baseline_test: dict[str, Measure]
    signal: bool
    p_value: float
    permutations: int
    folds: Folds
    recipe: Recipe
    shares: dict[str, float]
    tree_factors: tuple[float, ...]
    calibration: Calibrated | None
    sets: SetRule
    confusion: tuple[tuple[int, ...], ...]
    growth: Growth | None
    novelty: NoveltySize
    lightgbm: str
    created: str
    author: str
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number, k = self.question.is_number, len(self.classes)
        _require(len(set(self.classes)) == k, "classes", self.classes)
        fewest, most = _CLASSES.get(self.task, (3, k))
        _require(fewest <= k <= most, "task", self.task)
        _require((self.values is not None) == number, "values", self.values)
        _require((self.calibration is None) == number, "calibration", self.calibration)
        thresholds = self.sets.thresholds
        expected = {"multilabel": k, "regression": 0}.get(self.task, 1)
        _require(len(thresholds) == expected, "sets.thresholds", thresholds)
        _require(len(self.tree_factors) == self.n_outputs, "tree_factors", self.tree_factors)
        _require(set(self.class_counts) == set(self.classes), "class_counts", self.class_counts)
        _require(0 < self.width <= WIDEST, "width", self.width)
        edges = [0, *(edge for block in self.blocks for edge in (block.start, block.stop))]
        _require(edges == sorted(edges) and 0 < edges[-1] <= self.width, "blocks", self.blocks)
        empty = any(block.start == block.stop for block in self.blocks)
        _require(not empty, "blocks", self.blocks)
        self._check_counts()
        for name, digest in self.files.items():
            sound = _FILE.fullmatch(name) and _SHA256.fullmatch(digest)
            _require(bool(sound), "files", (name, digest))

    def _check_counts(self) -> None:
        """What a report is drawn from must be there, and fit."""
        least = {"n_images": 1, "n_copies": 0, "n_test_images": 0, "permutations": 0}
        for name, low in least.items():
            _require(getattr(self, name) >= low, name, getattr(self, name))
        _require(self.n_groups is None or self.n_groups >= 1, "n_groups", self.n_groups)
        _require(self.sets.images >= 1, "sets.images", self.sets.images)
        _require(min(self.class_counts.values(), default=0) >= 0, "counts", self.class_counts)
        k = len(self.classes) if self.question.exclusive else 0
        _require([len(row) for row in self.confusion] == [k] * k, "confusion", self.confusion)
        _require(min((n for row in self.confusion for n in row), default=0) >= 0, "confusion", k)
        leading = "spearman" if self.question.is_number else "auc"
        _require(leading in self.metrics, "metrics", list(self.metrics))

    @property
    def n_outputs(self) -> int:
        """Raw scores per image."""
        return self.question.n_outputs

    @property
    def doubt(self) -> float:
        """The share of an even guess in its probabilities, as of `Calibrated`."""
        return self.calibration.doubt if self.calibration else 0.0

    @property
    def question(self) -> Question:
        """What the head is asked."""
        return Question(self.task, self.classes)

    @property
    def scaling(self) -> Scaling:
        """The columns the head looks at, and how they are scaled."""
        return Scaling(self.blocks, self.recipe.normalisation)

    def with_files(self, files: Mapping[str, str]) -> "Card":
        """Return the card with the SHA-256 of each file beside it."""
        return replace(self, files=dict(files))

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON-able values, its format number among them."""
        values: dict[str, Any] = json.loads(self.to_json())
        return values

    def to_json(self) -> bytes:
        """Return the one JSON text of this card: equal cards give equal bytes."""
        values = {"format": FORMAT, **asdict(self)}
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=2, sort_keys=True)
        return (text + "\n").encode()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Card":
        """Build a card from what `to_dict` of this or an older version returned.

        Raises:
            ValueError: if it is no card, or one of a newer version; the message says why.
        """
        current = dict(values)
        number = current.pop("format", None)
        # True and 1.0 equal 1 in Python, and are no format number.
        if type(number) is not int or not (number == FORMAT or number in _UPGRADES):
            raise ValueError(f"format {number!r} is unknown here; format {FORMAT} is read")
        for old in range(number, FORMAT):
            current = _UPGRADES[old](current)
        try:
            # JSON has one kind of list, and strict types are meant for what it can say.
            return _adapter().validate_json(json.dumps(current))
        except ValidationError as problem:
            first = problem.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{place or 'card'}: {first['msg']}") from problem
        except BadRecipe as problem:
            raise ValueError(f"recipe: {problem}") from problem

    @classmethod
    def from_json(cls, data: bytes) -> "Card":
        """Build a card from the bytes of `card.json`; raises ValueError as `from_dict` does."""
        try:
            values = json.loads(data)
        except RecursionError as problem:
            raise ValueError("nested too deeply") from problem
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004  the file is wrong, not the caller
        return cls.from_dict(values)


@cache
def _adapter() -> TypeAdapter[Card]:
    return TypeAdapter(Card)


def _require(condition: bool, name: str, value: object) -> None:  # noqa: FBT001  it is what is required
    if not condition:
        raise ValueError(f"{name} cannot be {repr(value)[:MOST_SHOWN]}")
