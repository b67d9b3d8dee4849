"""Identity: digests, the embedding space and its id, and the columns of a feature matrix."""

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.keys import (
    Block,
    EmbeddingSpace,
    Preprocessing,
    Stage,
    Vectors,
    digest,
    is_digest,
)

PREPROCESSING = Preprocessing(
    decode="rule-v1",
    size=224,
    crop=0.875,
    interpolation="bicubic",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
SPACE = EmbeddingSpace(
    backbone="net",
    weights_sha256="ab" * 32,
    layer="input of fc",
    stages=(Stage("early", 3), Stage("late", 5)),
    preprocessing=PREPROCESSING,
    precision="f32",
    dim=4,
)

OTHER_VALUES: dict[str, Any] = {
    "backbone": "net2",
    "weights_sha256": "ac" * 32,
    "layer": "input of head",
    "stages": (Stage("early", 3), Stage("late", 6)),
    "precision": "f16",
    "dim": 5,
}
OTHER_RULES: dict[str, Any] = {
    "decode": "rule-v2",
    "size": 225,
    "crop": 0.8751,
    "interpolation": "bilinear",
    "mean": (0.485, 0.456, 0.4061),
    "std": (0.229, 0.2241, 0.225),
}


def with_rule(name: str, value: object) -> EmbeddingSpace:
    changed = dataclasses.replace(PREPROCESSING, **{name: value})  # type: ignore[arg-type]
    return dataclasses.replace(SPACE, preprocessing=changed)


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(max_size=200), st.data())
def test_one_changed_byte_is_another_digest(data: bytes, draw: st.DataObject) -> None:
    position = draw.draw(st.integers(0, len(data)))
    assert digest(data) != digest(data[:position] + b"x" + data[position:])


@given(st.binary())
def test_digests_are_recognised(data: bytes) -> None:
    assert is_digest(digest(data))


@pytest.mark.parametrize(
    "text",
    ["", "ab", "ab" * 31, "ab" * 33, "AB" * 32, "xy" * 32, " " + "ab" * 32, "ab" * 32 + "\n"],
)
def test_what_is_not_written_like_a_digest_is_none(text: str) -> None:
    assert not is_digest(text)


def test_equal_spaces_have_equal_ids_of_16_hex_digits() -> None:
    again = dataclasses.replace(SPACE)

    assert again == SPACE
    assert again.id == SPACE.id
    assert len(SPACE.id) == 16
    assert int(SPACE.id, 16) >= 0


def test_the_id_is_the_hash_of_the_canonical_json() -> None:
    canonical = json.dumps(SPACE.to_dict(), sort_keys=True, separators=(",", ":"))

    assert hashlib.sha256(canonical.encode()).hexdigest()[:16] == SPACE.id


def test_the_id_never_changes_by_itself() -> None:
    """Stored vectors are found by it: if this fails, every installation loses its records."""
    assert SPACE.id == "f54b09ade6ecdc7a"


def test_every_field_is_tried_below() -> None:
    fields = {f.name for f in dataclasses.fields(EmbeddingSpace) if f.init}
    rules = {f.name for f in dataclasses.fields(Preprocessing)}

    assert fields == OTHER_VALUES.keys() | {"preprocessing"}
    assert rules == OTHER_RULES.keys()


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_one_changed_field_is_another_space(name: str) -> None:
    changed = dataclasses.replace(SPACE, **{name: OTHER_VALUES[name]})

    assert changed != SPACE
    assert changed.id != SPACE.id


@pytest.mark.parametrize("name", OTHER_RULES)
def test_one_changed_rule_of_preprocessing_is_another_space(name: str) -> None:
    assert with_rule(name, OTHER_RULES[name]).id != SPACE.id


@pytest.mark.parametrize(
    "stages",
    [
        (),
        (Stage("early", 3),),
        (Stage("late", 5), Stage("early", 3)),
        (Stage("earlier", 3), Stage("late", 5)),
        (Stage("early", 5), Stage("late", 3)),
    ],
)
def test_stages_count_with_their_names_order_and_channels(stages: tuple[Stage, ...]) -> None:
    assert dataclasses.replace(SPACE, stages=stages).id != SPACE.id


def test_whole_numbers_and_floats_of_the_same_value_are_one_space() -> None:
    ints = dataclasses.replace(PREPROCESSING, crop=1, mean=(0, 0, 0), std=(1, 1, 1))
    floats = dataclasses.replace(PREPROCESSING, crop=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)

    assert with_rule("crop", 1).id == with_rule("crop", 1.0).id
    assert ints == floats
    assert isinstance(ints.crop, float)


@given(
    st.builds(
        Preprocessing,
        decode=st.text(min_size=1),
        size=st.integers(1, 4096),
        crop=st.floats(0.01, 1),
        interpolation=st.text(min_size=1),
        mean=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        std=st.tuples(*[st.floats(1e-6, 1e6)] * 3),
    ),
    st.lists(
        st.builds(Stage, st.text(min_size=1), st.integers(1, 5000)),
        max_size=5,
        unique_by=lambda stage: stage.name,
    ),
    st.text(min_size=1),
    st.integers(1, 10_000),
)
def test_a_space_survives_json(
    preprocessing: Preprocessing, stages: list[Stage], backbone: str, dim: int
) -> None:
    space = dataclasses.replace(
        SPACE, preprocessing=preprocessing, stages=tuple(stages), backbone=backbone, dim=dim
    )

    back = EmbeddingSpace.from_dict(json.loads(json.dumps(space.to_dict())))

    assert back == space
    assert back.id == space.id


def damaged(path: str, value: object) -> dict[str, Any]:
    data: Any = json.loads(json.dumps(SPACE.to_dict()))
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = data
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return dict(data)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *[(name, ...) for name in SPACE.to_dict()],
        *[(f"preprocessing.{name}", ...) for name in OTHER_RULES],
        ("extra", 1),
        ("preprocessing.extra", 1),
        ("format", 2),
        ("format", "1"),
        ("backbone", ""),
        ("backbone", 3),
        ("weights_sha256", "abc"),
        ("layer", None),
        ("dim", 0),
        ("dim", True),
        ("dim", 4.0),
        ("dim", "4"),
        ("stages", {}),
        ("stages", "early"),
        ("stages.0", "early"),
        ("stages.0.name", "late"),
        ("stages.0.channels", -1),
        ("stages.0.channels", 1.5),
        ("preprocessing", None),
        ("preprocessing.size", 0),
        ("preprocessing.crop", 0),
        ("preprocessing.crop", 1.01),
        ("preprocessing.crop", float("nan")),
        ("preprocessing.crop", True),
        ("preprocessing.mean", [0.5, 0.5]),
        ("preprocessing.mean", [0.5, 0.5, "0.5"]),
        ("preprocessing.mean", [0.5, 0.5, float("inf")]),
        ("preprocessing.std", [0.5, 0.5, 0]),
        ("preprocessing.std", [0.5] * 4),
        ("preprocessing.interpolation", ""),
    ],
)
def test_data_that_is_no_space_is_refused(path: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        EmbeddingSpace.from_dict(damaged(path, value))


@pytest.mark.parametrize("data", [None, [], "space", 3])
def test_what_is_no_object_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="must be an object"):
        EmbeddingSpace.from_dict(data)


def test_blocks_cover_the_matrix_without_gaps() -> None:
    expected = (
        Block("penultimate", 0, 4),
        Block("early.mean", 4, 7),
        Block("early.std", 7, 10),
        Block("late.mean", 10, 15),
        Block("late.std", 15, 20),
    )

    assert expected == SPACE.blocks
    assert SPACE.stages_dim == 16
    assert SPACE.width == 20


def test_a_space_without_stages_has_one_block() -> None:
    bare = dataclasses.replace(SPACE, stages=())

    assert bare.blocks == (Block("penultimate", 0, 4),)
    assert bare.stages_dim == 0


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((2, 224, 224), "uint8"),
        ((2, 3, 224, 224), "uint8"),
        ((2, 224, 224, 4), "uint8"),
        ((2, 223, 224, 3), "uint8"),
        ((2, 224, 224, 3), "float32"),
        ((224, 224, 3), "uint8"),
    ],
)
def test_pixels_of_another_shape_or_type_are_refused(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ValueError, match="pixels must be uint8"):
        PREPROCESSING.check(np.zeros(shape, dtype))


def test_pixels_as_expected_pass() -> None:
    PREPROCESSING.check(np.zeros((0, 224, 224, 3), np.uint8))
    PREPROCESSING.check(np.zeros((2, 224, 224, 3), np.uint8))


def vectors(n: int, start: int = 0) -> Vectors:
    rows = np.arange(start, start + n, dtype=np.float32)[:, None]
    return Vectors(rows + np.zeros(4, np.float32), rows + np.full(16, 100, np.float32))


def test_the_matrix_is_the_embedding_and_then_the_stages() -> None:
    matrix = vectors(3).matrix()

    assert matrix.shape == (3, SPACE.width)
    assert matrix.dtype == np.float32
    assert matrix[2].tolist() == [2.0] * 4 + [102.0] * 16


def test_rows_can_be_taken_and_joined_again() -> None:
    whole = vectors(5)

    joined = Vectors.concat([whole[:2], whole[[2]], whole[np.array([3, 4])]])

    assert len(joined) == 5
    np.testing.assert_array_equal(whole.matrix(), joined.matrix())


def test_rows_come_in_the_order_they_are_asked_for() -> None:
    assert vectors(4)[[3, 0]].embeddings[:, 0].tolist() == [3.0, 0.0]


@pytest.mark.parametrize(
    ("embeddings", "stages"),
    [
        (np.zeros((2, 4)), np.zeros((2, 16), np.float32)),
        (np.zeros((2, 4), np.float32), np.zeros((2, 16))),
        (np.zeros(4, np.float32), np.zeros((1, 16), np.float32)),
        (np.zeros((2, 4), np.float32), np.zeros((3, 16), np.float32)),
    ],
)
def test_vectors_that_do_not_belong_together_are_refused(embeddings: Any, stages: Any) -> None:
    with pytest.raises(ValueError, match=r"float32|but"):
        Vectors(embeddings, stages)


@pytest.mark.parametrize(
    ("crop", "width", "height", "expected"),
    [(1.0, 60, 40, (10, 0, 40)), (1.0, 40, 60, (0, 10, 40)), (0.875, 64, 64, (4, 4, 56))],
)
def test_the_square_that_is_looked_at_lies_in_the_middle(
    crop: float, width: int, height: int, expected: tuple[float, ...]
) -> None:
    assert dataclasses.replace(PREPROCESSING, crop=crop).square(width, height) == expected
