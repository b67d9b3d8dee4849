"""LightGBM's model text: its grammar, checked line by line, and its trees as arrays.

LightGBM's own reader trusts what it reads, in C++. It is shown nothing that has not passed here.
Knows nothing of cards or files.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

from classifiers.tree_shape import BadText, Found, check_trees, within_all

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

END = "end of trees\n"

MOST_CHARACTERS = 512 * 2**20
"""No head is near this size; a longer text is refused before it is taken apart."""

_WHOLE = r"-?+[0-9]{1,9}+"
_COUNT = r"[1-9][0-9]{0,8}+"
_REAL = r"-?+[0-9]++(?:\.[0-9]++)?+(?:e[+-][0-9]{1,3}+)?+"
_SURELY_FINITE = r"-?+[0-9]{1,20}+(?:\.[0-9]{1,40}+)?+(?:e(?:-[0-9]{1,3}+|\+[0-9]{1,2}+))?+"
_THRESHOLD = f"(?:{_REAL}|inf)"


@cache
def _lines_of(key: str, number: str) -> re.Pattern[str]:
    """Lines of a key and numbers with a space between them, or none; nothing is tried twice."""
    return re.compile(rf"(?:{key}=(?:{number}(?: {number})*+)?+\n)*+")


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

    Every tree has the same lines in the same order, so that all lines of one kind are checked by
    one pattern and read in one go.

    Args:
        text: what `canonical` returned once.
        n_columns: how many columns the model must expect.
        n_outputs: how many outputs it must have.
        objective: what it must say it was fitted for; "" where it says nothing.

    Raises:
        BadText: if one line is not as LightGBM writes it, or the trees are not trees.
    """
    if len(text) > MOST_CHARACTERS or not text.isascii():
        raise BadText("too long, or characters that LightGBM does not write")
    lines = text.split("\n")
    header = _header(n_columns, n_outputs, objective)
    _expect(lines, 0, header)
    n_lines = len(_KINDS)
    sizes = _Lines(lines, len(header), 1, 1).whole("tree_sizes", None)
    first, n_trees = len(header) + 2, len(sizes)
    if not n_trees or n_trees % n_outputs:
        raise BadText(f"{n_trees} trees for {n_outputs} outputs")
    stop = first + n_trees * n_lines
    _expect(lines, first - 1, ("",))
    _expect(lines, stop, (END.rstrip("\n"), "", None))
    for number, size in enumerate(sizes.tolist()):
        start = first + number * n_lines
        if (found := sum(map(len, lines[start : start + n_lines])) + n_lines) != size:
            raise BadText(f"tree {number} is {found} bytes, not {size}")
    trees = _read_trees(lines, first, n_trees)
    check_trees(trees, n_columns)
    return _join(trees, n_columns, n_outputs)


@lru_cache(4)
def _header(n_columns: int, n_outputs: int, objective: str) -> tuple[str, ...]:
    return (
        "tree",
        "version=v4",
        f"num_class={n_outputs}",
        f"num_tree_per_iteration={n_outputs}",
        "label_index=0",
        f"max_feature_idx={n_columns - 1}",
        *([f"objective={objective}"] if objective else []),
        "feature_names=" + " ".join(f"Column_{column}" for column in range(n_columns)),
        "feature_infos=" + " ".join(["none"] * n_columns),
    )


def _expect(lines: Sequence[str], start: int, expected: Sequence[str | None]) -> None:
    """Refuse other lines than these; None is the end of the text."""
    for place, line in enumerate(expected, start):
        found = lines[place] if place < len(lines) else None
        if found != line:
            say = [what if what is None else what[:60] for what in (found, line)]
            raise BadText(f"line {place + 1} is {say[0]!r}, not {say[1]!r}")


class _Lines:
    """Every so manieth line of a text: those of one kind, one for each tree."""

    def __init__(self, lines: Sequence[str], first: int, step: int, count: int) -> None:
        self._lines = lines[first : first + step * count : step]
        self._first, self._step = first, step

    def are(self, expected: Sequence[str]) -> None:
        """Refuse other lines than these."""
        if self._lines != expected:
            pairs = enumerate(zip(self._lines, expected, strict=True))
            raise self._bad(*next((n, f"not {b!r}") for n, (a, b) in pairs if a != b))

    def whole(self, key: str, counts: Int64 | None) -> Int64:
        """Return the whole numbers of all lines; each must have so many, if it is known."""
        return np.asarray(self._read(key, _WHOLE, np.int64, counts))

    def reals(self, key: str, number: str, counts: Int64) -> Float64:
        """Return the numbers of all lines."""
        return np.asarray(self._read(key, number, np.float64, counts))

    def _read(
        self, key: str, number: str, dtype: type[np.generic], counts: Int64 | None
    ) -> npt.NDArray[np.generic]:
        text = self.check(key, number, counts).strip()
        # Lenient, but shown nothing that the pattern has not passed; of no text it makes a number.
        return np.fromstring(text, dtype, sep=" ") if text else np.zeros(0, dtype)

    def check(self, key: str, number: str, counts: Int64 | None) -> str:
        """Refuse what are not lines of so many numbers; return the numbers."""
        joined, pattern = "\n".join((*self._lines, "")), _lines_of(key, number)
        if not pattern.fullmatch(joined):
            bad = (n for n, line in enumerate(self._lines) if not pattern.fullmatch(f"{line}\n"))
            raise self._bad(next(bad), f"not {key} and numbers")
        found = [line.count(" ") + (line[-1] != "=") for line in self._lines]
        if counts is not None and found != counts.tolist():
            place = next(n for n, count in enumerate(found) if count != counts[n])
            raise self._bad(place, f"{key} has {found[place]} numbers, not {counts[place]}")
        return joined.replace(f"{key}=", "")

    def _bad(self, number: int, what: str) -> BadText:
        line = self._lines[number][:60]
        return BadText(f"line {self._first + number * self._step + 1} is {line!r}: {what}")


_KINDS = (
    *("Tree", "num_leaves", "num_cat", "split_feature", "split_gain", "threshold"),
    *("decision_type", "left_child", "right_child", "leaf_value", "leaf_weight", "leaf_count"),
    *("internal_value", "internal_weight", "internal_count", "is_linear", "shrinkage", "", ""),
)
"""The lines of a tree, by their keys."""


def _read_trees(lines: Sequence[str], first: int, n_trees: int) -> Found:
    of = {
        kind: _Lines(lines, first + place, len(_KINDS), n_trees)
        for place, kind in enumerate(_KINDS)
    }
    one = np.ones(n_trees, np.int64)
    of["Tree"].are([f"Tree={number}" for number in range(n_trees)])
    for kind, line in (("num_cat", "num_cat=0"), ("is_linear", "is_linear=0"), ("", "")):
        of[kind].are([line] * n_trees)
    _Lines(lines, first + len(_KINDS) - 2, len(_KINDS), n_trees).are([""] * n_trees)
    n_leaves = of["num_leaves"].whole("num_leaves", one)
    if n_leaves.min() < 1:
        raise BadText(f"tree {int(n_leaves.argmin())} has {n_leaves.min()} leaves")
    n_splits = n_leaves - 1
    # What follows LightGBM reads to explain and nobody to predict: it is checked, and left.
    for kind in ("split_gain", "internal_value", "internal_weight"):
        of[kind].check(kind, _SURELY_FINITE, n_splits)
    of["leaf_weight"].check("leaf_weight", _SURELY_FINITE, n_leaves)
    of["shrinkage"].check("shrinkage", _SURELY_FINITE, one)
    for kind, counts in (("leaf_count", n_leaves), ("internal_count", n_splits)):
        of[kind].check(kind, _COUNT, counts)
    return Found(
        n_splits,
        of["split_feature"].whole("split_feature", n_splits),
        of["threshold"].reals("threshold", _THRESHOLD, n_splits),
        of["decision_type"].whole("decision_type", n_splits),
        of["left_child"].whole("left_child", n_splits),
        of["right_child"].whole("right_child", n_splits),
        of["leaf_value"].reals("leaf_value", _SURELY_FINITE, n_leaves),
    )


def _join(trees: Found, n_columns: int, n_outputs: int) -> Trees:
    n_splits = trees.n_splits
    first_split = np.cumsum(n_splits) - n_splits
    first_leaf = first_split + np.arange(len(n_splits))
    return Trees(
        n_columns,
        n_outputs,
        np.where(n_splits > 0, first_split, ~first_leaf).astype(np.int32),
        trees.column.astype(np.int32),
        trees.threshold,
        trees.decision.astype(np.uint8),
        within_all(trees.left, n_splits).astype(np.int32),
        within_all(trees.right, n_splits).astype(np.int32),
        trees.leaves,
    )
