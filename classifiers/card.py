"""What a head says of itself. Knows nothing of vectors, trees or files."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from classifiers.blocks import Block, Scaling
from classifiers.conformal import SetRule
from classifiers.errors import BadRecipe
from classifiers.judgement import Calibrated
from classifiers.novelty import NoveltySize
from classifiers.recipe import Recipe
from classifiers.statistics import Measure
from classifiers.strict import STRICT

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

WIDEST = 2**20
"""Columns a feature matrix may have; what a stranger's card asks for beyond this is refused."""

_UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

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
        task: "binary" or "multiclass".
        classes: in the order of probabilities; of two, the raw score is that of the second.
        space_id: the only space whose vectors it understands.
        width: columns of the feature matrix it is offered.
        blocks: the columns it looks at, by name.
        fingerprint: SHA-256 of the label set.
        n_images: learnt from; images kept aside by an official split are not among them.
        class_counts: images learnt from, by class.
        n_groups: among the images learnt from; None where no group is known.
        n_copies: images that are nearly the same as another, those kept aside among them.
        n_test_images: kept aside by an official split.
        metrics: out of fold: "auc" (one-versus-rest mean for several classes) and
            "balanced_accuracy", each with "value", "low" and "high" (95 % interval).
        metrics_test: the same of the images kept aside; empty without an official split.
        baseline: the same as `metrics`, of a logistic regression on the same folds.
        baseline_test: the same as `metrics_test`, of that logistic regression.
        signal: whether the head knows anything: `p_value` below 0.05.
        p_value: one-sided, of an AUC this good by chance.
        folds: how it was evaluated.
        recipe: how it was learnt, every number set.
        shares: what each member of the mixture counts; they sum to 1.
        tree_factor: what the trees' raw scores are multiplied by; 0 where they do not count.
        calibration: how its probabilities were calibrated, and what that did.
        sets: the rule of its prediction sets.
        confusion: images out of fold, by true class (row) and likeliest class (column).
        novelty: how many directions and distances tell its kind of image from others.
        lightgbm: version that learnt it.
        created: RFC 3339, UTC.
        author: who learnt it; may be empty.
        limits: what a reader must know before trusting it, in sentences.
        warnings: doubts about the label set that did not stop the learning.
        files: SHA-256 of each file beside the card, by name.
    """

    name: str
    task: Literal["binary", "multiclass"]
    classes: tuple[str, ...]
    space_id: str
    width: int
    blocks: tuple[Block, ...]
    fingerprint: str
    n_images: int
    class_counts: dict[str, int]
    n_groups: int | None
    n_copies: int
    n_test_images: int
    metrics: dict[str, Measure]
    metrics_test: dict[str, Measure]
    baseline: dict[str, Measure]
    baseline_test: dict[str, Measure]
    signal: bool
    p_value: float
    folds: Folds
    recipe: Recipe
    shares: dict[str, float]
    tree_factor: float
    calibration: Calibrated
    sets: SetRule
    confusion: tuple[tuple[int, ...], ...]
    novelty: NoveltySize
    lightgbm: str
    created: str
    author: str
    limits: tuple[str, ...]
    warnings: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(len(set(self.classes)) == len(self.classes) > 1, "classes", self.classes)
        _require((self.task == "binary") == (len(self.classes) == 2), "task", self.task)  # noqa: PLR2004  binary means two
        _require(set(self.class_counts) == set(self.classes), "class_counts", self.class_counts)
        _require(0 < self.width <= WIDEST, "width", self.width)
        edges = [0, *(edge for block in self.blocks for edge in (block.start, block.stop))]
        _require(edges == sorted(edges) and 0 < edges[-1] <= self.width, "blocks", self.blocks)
        empty = any(block.start == block.stop for block in self.blocks)
        _require(not empty, "blocks", self.blocks)
        for name, digest in self.files.items():
            sound = _FILE.fullmatch(name) and _SHA256.fullmatch(digest)
            _require(bool(sound), "files", (name, digest))

    @property
    def n_outputs(self) -> int:
        """Raw scores per image: one for two classes, else one per class."""
        return 1 if self.task == "binary" else len(self.classes)

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
        raise ValueError(f"{name} cannot be {value!r}")
