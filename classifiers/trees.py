"""LightGBM's model text: its grammar, checked line by line, and its trees as arrays.

LightGBM's own reader trusts what it reads, in C++. It is shown nothing that has not passed here.
Knows nothing of cards or files.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isinf

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
UInt8 = npt.NDArray[np.uint8]

END = "end of trees\n"

MOST_CHARACTERS = 512 * 2**20
"""No head is near this size; a longer text is refused before it is taken apart."""

MISSING_ZERO, MISSING_NAN = 4, 8
"""Bits of a split's `decision`: what counts as missing there (neither: nothing does)."""

DEFAULT_LEFT = 2
"""Bit of a split's `decision`: a missing value goes left."""

_DECISIONS = {missing + left for missing in (0, MISSING_ZERO, MISSING_NAN) for left in (0, 2)}

_WHOLE = re.compile(r"-?[0-9]{1,9}(?: -?[0-9]{1,9})*|")
_REAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[+-][0-9]{1,3})?")


class BadText(ValueError):
    """The text is not a model as we write them; the message says where."""


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees of one booster; tree t adds to output t % n_outputs.

    Attributes:
        n_columns: columns the trees may look at.
        n_outputs: raw scores per image.
        roots: int32 (n_trees,). A place >= 0 is a split, a place < 0 is leaf ~place.
        column, threshold, decision, left, right: (n_splits,), one entry per split; left and right
            are places; a value goes left if it is not above the threshold.
        leaves: float64 (n_leaves,), what each leaf adds.
    """

    n_columns: int
    n_outputs: int
    roots: Int32
    column: Int32
    threshold: Float64
    decision: UInt8
    left: Int32
    right: Int32
    leaves: Float64


def canonical(text: str) -> str:
    """Return LightGBM's text without what describes the training run and not the trees.

    What goes: parameters, importances, and the range of every column, which would tell something
    of single images. LightGBM reads the rest, and predicts the same.
    """
    trees, found, _ = text.partition(END)
    if not found:
        raise BadText("no end of trees")
    lines = trees.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("feature_infos="):
            lines[number] = "feature_infos=" + " ".join(["none"] * len(line.split(" ")))
            return "\n".join(lines) + END
    raise BadText("no feature_infos")


def parse(text: str, n_columns: int, n_outputs: int, objective: str) -> Trees:
    """Take a canonical text apart.

    Args:
        text: what `canonical` returned once.
        n_columns: how many columns the model must expect.
        n_outputs: how many outputs it must have.
        objective: what it must say it was fitted for; "" where it says nothing.

    Raises:
        BadText: if one line is not as LightGBM writes it, or the trees are not trees.
    """
    if len(text) > MOST_CHARACTERS:
        raise BadText(f"{len(text)} characters, at most {MOST_CHARACTERS} are read")
    lines = _Lines(text)
    for expected in _header(n_columns, n_outputs, objective):
        lines.expect(expected)
    sizes = lines.whole("tree_sizes", None)
    lines.expect("")
    if not sizes or len(sizes) % n_outputs:
        raise BadText(f"{len(sizes)} trees for {n_outputs} outputs")
    trees = []
    for number, size in enumerate(sizes):
        start = lines.offset
        trees.append(_read_tree(lines, number, n_columns))
        if lines.offset - start != size:
            raise BadText(f"tree {number} is {lines.offset - start} bytes, not {size}")
    lines.expect(END.rstrip("\n"))
    lines.expect_end()
    return _join(trees, n_columns, n_outputs)


def _header(n_columns: int, n_outputs: int, objective: str) -> Iterator[str]:
    yield "tree"
    yield "version=v4"
    yield f"num_class={n_outputs}"
    yield f"num_tree_per_iteration={n_outputs}"
    yield "label_index=0"
    yield f"max_feature_idx={n_columns - 1}"
    if objective:
        yield f"objective={objective}"
    yield "feature_names=" + " ".join(f"Column_{column}" for column in range(n_columns))
    yield "feature_infos=" + " ".join(["none"] * n_columns)


class _Lines:
    """The lines of a text, read once from the top; `offset` is where the next one starts."""

    def __init__(self, text: str) -> None:
        if not text.isascii():
            raise BadText("characters that LightGBM does not write")
        self._lines = text.split("\n")
        self._next = 0
        self.offset = 0

    def read(self) -> str:
        if self._next == len(self._lines):
            raise BadText("the text ends too early")
        line = self._lines[self._next]
        self._next += 1
        self.offset += len(line) + 1
        return line

    def expect(self, expected: str) -> None:
        line = self.read()
        if line != expected:
            raise BadText(f"line {self._next} is {line[:60]!r}, not {expected[:60]!r}")

    def expect_end(self) -> None:
        self.expect("")
        if self._next != len(self._lines):
            raise BadText(f"text after line {self._next}")

    def value(self, key: str) -> str:
        name, found, value = self.read().partition("=")
        if name != key or not found:
            raise BadText(f"line {self._next} is {name[:60]!r}, not {key!r}")
        return value

    def whole(self, key: str, length: int | None) -> list[int]:
        value = self.value(key)
        if not _WHOLE.fullmatch(value):
            raise BadText(f"line {self._next}: {key} is not whole numbers")
        found = [int(word) for word in value.split()]
        self._check_length(key, len(found), length)
        return found

    def thresholds(self, key: str, length: int) -> list[float]:
        # A split that parts missing values from all others has such a threshold.
        return self.reals(key, length, besides=("inf", "nan"))

    def reals(self, key: str, length: int, besides: tuple[str, ...] = ()) -> list[float]:
        value = self.value(key)
        words = value.split(" ") if value else []
        for word in words:
            if not _REAL.fullmatch(word) and word not in besides:
                raise BadText(f"line {self._next}: {key} is not numbers")
        found = [float(word) for word in words]
        if not besides and any(map(isinf, found)):
            raise BadText(f"line {self._next}: {key} is not finite")
        self._check_length(key, len(found), length)
        return found

    def _check_length(self, key: str, found: int, expected: int | None) -> None:
        if expected is not None and found != expected:
            raise BadText(f"line {self._next}: {key} has {found} numbers, not {expected}")


@dataclass(frozen=True, slots=True)
class _Tree:
    column: list[int]
    threshold: list[float]
    decision: list[int]
    left: list[int]
    right: list[int]
    leaves: list[float]


def _read_tree(lines: _Lines, number: int, n_columns: int) -> _Tree:
    lines.expect(f"Tree={number}")
    (n_leaves,) = lines.whole("num_leaves", 1)
    if n_leaves < 1:
        raise BadText(f"tree {number} has {n_leaves} leaves")
    n_splits = n_leaves - 1
    lines.expect("num_cat=0")
    column = lines.whole("split_feature", n_splits)
    lines.reals("split_gain", n_splits)
    threshold = lines.thresholds("threshold", n_splits)
    decision = lines.whole("decision_type", n_splits)
    left = lines.whole("left_child", n_splits)
    right = lines.whole("right_child", n_splits)
    leaves = lines.reals("leaf_value", n_leaves)
    lines.reals("leaf_weight", 1 if n_leaves == 1 else n_leaves)
    lines.whole("leaf_count", n_leaves)
    lines.reals("internal_value", n_splits)
    lines.reals("internal_weight", n_splits)
    lines.whole("internal_count", n_splits)
    lines.expect("is_linear=0")
    lines.reals("shrinkage", 1)
    lines.expect("")
    lines.expect("")
    tree = _Tree(column, threshold, decision, left, right, leaves)
    _check_tree(tree, number, n_columns)
    return tree


def _check_tree(tree: _Tree, number: int, n_columns: int) -> None:
    """Refuse what is no binary tree over the columns, or splits in a way we do not know."""
    n_splits = len(tree.column)
    if any(not 0 <= column < n_columns for column in tree.column):
        raise BadText(f"tree {number} looks at a column outside 0..{n_columns - 1}")
    if any(decision not in _DECISIONS for decision in tree.decision):
        raise BadText(f"tree {number} has a split that is not numerical")
    # Every place but the root is somebody's child once, and children come after their parents:
    # then a walk from the root ends at a leaf.
    places = [*range(-n_splits - 1, 0), *range(1, n_splits)]
    if n_splits and sorted(tree.left + tree.right) != places:
        raise BadText(f"tree {number} is not a tree")
    for split, children in enumerate(zip(tree.left, tree.right, strict=True)):
        if any(0 <= child <= split for child in children):
            raise BadText(f"tree {number} turns back on itself")


def _join(trees: Sequence[_Tree], n_columns: int, n_outputs: int) -> Trees:
    splits, leaves = 0, 0
    roots: list[int] = []
    left: list[int] = []
    right: list[int] = []
    for tree in trees:
        roots.append(splits if tree.column else ~leaves)
        for places, children in ((left, tree.left), (right, tree.right)):
            places += [child + splits if child >= 0 else ~(~child + leaves) for child in children]
        splits += len(tree.column)
        leaves += len(tree.leaves)
    return Trees(
        n_columns,
        n_outputs,
        np.array(roots, np.int32),
        np.array([column for tree in trees for column in tree.column], np.int32),
        np.array([threshold for tree in trees for threshold in tree.threshold], np.float64),
        np.array([decision for tree in trees for decision in tree.decision], np.uint8),
        np.array(left, np.int32),
        np.array(right, np.int32),
        np.array([leaf for tree in trees for leaf in tree.leaves], np.float64),
    )
