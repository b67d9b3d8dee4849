"""Only texts that LightGBM could have written, and whose trees are trees, get through."""

import random

import lightgbm
import numpy as np
import pytest
from any_boosters import COLUMNS, KINDS, any_head
from hypothesis import given, settings
from hypothesis import strategies as st
from made_heads import small_head

from classifiers.boosting import objective_line
from classifiers.tree_shape import BadText
from classifiers.trees import Trees, canonical, parse

HEAD = small_head()
TEXT = HEAD.text
LINES = TEXT.split("\n")
COLUMNS_SEEN = HEAD.card.scaling.n_columns
FIRST_TREE = LINES.index("Tree=0")


def read(text: str) -> Trees:
    return parse(text, COLUMNS_SEEN, 1, "binary sigmoid:1")


def with_line(key: str, value: str) -> str:
    """Return the text with one line of its first tree replaced, and the sizes made right."""
    lines = list(LINES)
    number = next(i for i in range(FIRST_TREE, len(lines)) if lines[i].startswith(f"{key}="))
    lines[number] = f"{key}={value}"
    first, second = lines.index("Tree=0"), lines.index("Tree=1")
    size = sum(len(line) + 1 for line in lines[first:second])
    sizes = next(i for i, line in enumerate(lines) if line.startswith("tree_sizes="))
    others = lines[sizes].split(" ")[1:]
    lines[sizes] = " ".join([f"tree_sizes={size}", *others])
    return "\n".join(lines)


def words(key: str) -> list[str]:
    line = next(line for line in LINES[FIRST_TREE:] if line.startswith(f"{key}="))
    return line.split("=")[1].split()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_the_trees_are_those_that_lightgbm_dumps(kind: str, n_outputs: int) -> None:
    head = any_head(kind, n_outputs, 0)
    dumped = lightgbm.Booster(model_str=head.text).dump_model()["tree_info"]
    trees = parse(head.text, COLUMNS, n_outputs, objective_line(head.card.question))
    assert len(dumped) == trees.roots.size

    def same(place: int, node: dict[str, object]) -> None:
        if place < 0:
            assert trees.leaves[~place] == node["leaf_value"]
            return
        assert trees.column[place] == node["split_feature"]
        assert bool(trees.decision[place] & 2) == node["default_left"]
        same(trees.left[place], node["left_child"])  # type: ignore[arg-type]
        same(trees.right[place], node["right_child"])  # type: ignore[arg-type]

    for root, tree in zip(trees.roots, dumped, strict=True):
        same(root, tree["tree_structure"])


def test_what_is_cut_off_changes_no_prediction() -> None:
    X = np.random.default_rng(0).standard_normal((50, 5))
    y = X[:, 0] > 0
    booster = lightgbm.train({"verbosity": -1, "objective": "binary"}, lightgbm.Dataset(X, y), 5)
    text = canonical(booster.model_to_string())
    assert "parameters" not in text
    assert "feature_infos=none none none none none\n" in text
    again = lightgbm.Booster(model_str=text)
    assert booster.predict(X).tobytes() == again.predict(X).tobytes()
    shares = [one.predict(X, pred_contrib=True).tobytes() for one in (booster, again)]
    assert shares[0] == shares[1]


@pytest.mark.parametrize("text", ["", "tree\n", "end of trees\n"])
def test_a_text_without_trees_has_no_canonical_form(text: str) -> None:
    with pytest.raises(BadText):
        canonical(text)


def test_our_own_text_is_read() -> None:
    trees = read(TEXT)
    assert trees.roots.size > 0
    assert np.array_equal(read(with_line("shrinkage", "0.5")).leaves, trees.leaves)


@pytest.mark.parametrize("number", range(FIRST_TREE + 21))
def test_a_line_that_is_missing_or_doubled_is_refused(number: int) -> None:
    for lines in (
        LINES[:number] + LINES[number + 1 :],
        [*LINES[:number], LINES[number], *LINES[number:]],
    ):
        with pytest.raises(BadText):
            read("\n".join(lines))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_leaves", "0"),
        ("num_leaves", "1"),
        ("num_leaves", "99999999"),
        ("num_leaves", "-3"),
        ("num_leaves", "9" * 30),
        ("num_cat", "1"),
        ("is_linear", "1"),
        ("split_feature", " ".join([str(COLUMNS_SEEN)] * len(words("split_feature")))),
        ("split_feature", " ".join(["-1"] * len(words("split_feature")))),
        ("threshold", " ".join(["0x1p3"] * len(words("threshold")))),
        ("threshold", " ".join(words("threshold")[1:])),
        ("threshold", " ".join(["nan", *words("threshold")[1:]])),
        ("decision_type", " ".join(["1"] * len(words("decision_type")))),
        ("decision_type", " ".join(["12"] * len(words("decision_type")))),
        ("decision_type", " ".join(["258"] * len(words("decision_type")))),
        ("left_child", " ".join(["0"] * len(words("left_child")))),
        ("left_child", " ".join(["1000000"] * len(words("left_child")))),
        ("right_child", " ".join(["-1000000"] * len(words("right_child")))),
        ("right_child", " ".join(words("left_child"))),
        ("leaf_value", " ".join(["nan"] * len(words("leaf_value")))),
        ("leaf_value", " ".join(["inf"] * len(words("leaf_value")))),
        ("leaf_value", " ".join(["1e999"] * len(words("leaf_value")))),
        ("leaf_value", "  ".join(words("leaf_value"))),
        ("leaf_count", " ".join(["1.5"] * len(words("leaf_count")))),
    ],
)
def test_a_tree_that_could_lead_astray_is_refused(key: str, value: str) -> None:
    with pytest.raises(BadText):
        read(with_line(key, value))


def test_a_tree_that_turns_back_on_itself_is_refused() -> None:
    """Each place is somebody's child once, and yet a walk from the root would never end."""
    looped = TEXT
    for key, value in {
        "num_leaves": "4",
        "split_feature": "0 0 0",
        "split_gain": "1 1 1",
        "threshold": "0 0 0",
        "decision_type": "2 2 2",
        "left_child": "-1 2 1",
        "right_child": "-2 -3 -4",
        "leaf_value": "1 2 3 4",
        "leaf_weight": "1 2 3 4",
        "leaf_count": "1 2 3 4",
        "internal_value": "0 0 0",
        "internal_weight": "0 0 0",
        "internal_count": "1 1 1",
    }.items():
        lines = looped.split("\n")
        number = next(i for i, line in enumerate(lines) if line.startswith(f"{key}="))
        lines[number] = f"{key}={value}"
        looped = "\n".join(lines)
    first, second = (looped.index(f"Tree={number}") for number in (0, 1))
    old = LINES[9].split("=")[1].split()[0]
    looped = looped.replace(f"tree_sizes={old}", f"tree_sizes={second - first}")
    with pytest.raises(BadText, match="turns back"):
        read(looped)


def test_sizes_that_lie_are_refused() -> None:
    sizes = LINES[9].split("=")[1].split()
    assert LINES[9].startswith("tree_sizes=")
    for lie in (["9999999", *sizes[1:]], sizes[1:], [*sizes, sizes[0]], []):
        with pytest.raises(BadText):
            read(TEXT.replace(LINES[9], "tree_sizes=" + " ".join(lie)))


@pytest.mark.parametrize(("n_columns", "n_outputs"), [(COLUMNS_SEEN + 1, 1), (COLUMNS_SEEN, 3)])
def test_a_text_for_other_columns_or_outputs_is_refused(n_columns: int, n_outputs: int) -> None:
    with pytest.raises(BadText):
        parse(TEXT, n_columns, n_outputs, "binary sigmoid:1")


@settings(max_examples=500)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_a_text_changed_anywhere_is_refused_or_still_a_forest(seed: int, changes: int) -> None:
    random_ = random.Random(seed)
    characters = list(TEXT)
    for _ in range(changes):
        place = random_.randrange(len(characters))
        characters[place : place + random_.randint(0, 2)] = random_.choices(
            "0123456789-+.e =\n\x00azé", k=random_.randint(0, 2)
        )
    try:
        trees = parse("".join(characters), COLUMNS_SEEN, 1, "binary sigmoid:1")
    except BadText:
        return
    assert trees.column.min() >= 0
    assert trees.column.max() < COLUMNS_SEEN
    for children in (trees.left, trees.right):
        assert children.max() < trees.column.size
        assert (~children).max() < trees.leaves.size


def chained(leaves: int, *, balanced: bool = False, n_trees: int = 1) -> str:
    """A model of trees as deep as they can be, or as flat, over one column."""
    splits = leaves - 1
    if balanced:
        pairs = [(2 * split + 1, 2 * split + 2) for split in range(splits)]
        children = [[c if c < splits else ~(c - splits) for c in pair] for pair in pairs]
    else:
        children = [
            [~split, split + 1 if split + 1 < splits else ~splits] for split in range(splits)
        ]
    left, right = (" ".join(str(pair[side]) for pair in children) for side in (0, 1))

    def each(value: str, count: int) -> str:
        return " ".join([value] * count)

    body = [
        *(f"num_leaves={leaves}", "num_cat=0", f"split_feature={each('0', splits)}"),
        *(f"split_gain={each('1', splits)}", f"threshold={each('0.5', splits)}"),
        *(f"decision_type={each('2', splits)}", f"left_child={left}", f"right_child={right}"),
        *(f"leaf_value={each('0.01', leaves)}", f"leaf_weight={each('1', leaves)}"),
        *(f"leaf_count={each('1', leaves)}", f"internal_value={each('0', splits)}"),
        *(f"internal_weight={each('1', splits)}", f"internal_count={each('2', splits)}"),
        *("is_linear=0", "shrinkage=1", "", ""),
    ]
    trees = ["\n".join([f"Tree={number}", *body, ""]) for number in range(n_trees)]
    head = [
        *("tree", "version=v4", "num_class=1", "num_tree_per_iteration=1", "label_index=0"),
        *("max_feature_idx=0", "objective=binary sigmoid:1", "feature_names=Column_0"),
        *("feature_infos=none", f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}", "", ""),
    ]
    return "\n".join(head) + "".join(trees) + "end of trees\n"


def test_trees_that_would_end_the_process_when_they_are_explained_are_refused() -> None:
    """LightGBM's exact contributions go down a tree by recursion, and a path by its square."""
    for text in (chained(2_000), chained(40_000), chained(500, n_trees=3)):
        with pytest.raises(BadText, match="too deep"):
            parse(text, 1, 1, "binary sigmoid:1")


def test_trees_that_are_deep_or_large_are_taken_as_long_as_they_can_be_explained() -> None:
    for text in (chained(500), chained(15, n_trees=400), chained(20_000, balanced=True)):
        trees = parse(text, 1, 1, "binary sigmoid:1")
        assert trees.leaves.size in (500, 15 * 400, 20_000)
        booster = lightgbm.Booster(model_str=text)
        found = booster.predict(np.array([[0.7]]), pred_contrib=True)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("key", ["leaf_count", "internal_count"])
@pytest.mark.parametrize("count", ["0", "-3", "1.5", ""])
def test_a_leaf_that_no_image_reached_is_none(key: str, count: str) -> None:
    others = words(key)[1:]
    with pytest.raises(BadText, match=key):
        read(with_line(key, " ".join([count, *others])))
