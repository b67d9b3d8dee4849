"""A card survives its JSON to the byte, and whatever else is offered is refused in words."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import small_head

from classifiers.card import FORMAT, Card
from classifiers.recipe import Recipe

CARD = small_head().card
POINT = {"images": 9, "value": 0.9, "low": 0.8, "high": 1.0}

words = st.text(max_size=20)
shares = st.floats(0, 1)
measure = st.fixed_dictionaries({"value": shares, "low": shares, "high": shares})
measures = st.dictionaries(st.sampled_from(["auc", "balanced_accuracy"]), measure)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@given(
    st.builds(
        replace,
        st.just(CARD),
        name=words,
        author=words,
        metrics=st.builds(lambda auc, rest: {**rest, "auc": auc}, measure, measures),
        metrics_test=measures,
        n_groups=st.none() | st.integers(1, 9),
        n_copies=st.integers(0, 9),
        signal=st.booleans(),
        p_value=shares,
        recipe=st.builds(Recipe, seed=st.integers(0, 99), learning_rate=st.none() | st.just(1)),
        limits=st.lists(words, max_size=3).map(tuple),
        classes=st.just(("ja", "nein")),
        class_counts=st.fixed_dictionaries({"ja": st.integers(1, 9), "nein": st.integers(1, 9)}),
    )
)
def test_a_card_survives_its_json_to_the_byte(card: Card) -> None:
    again = Card.from_json(card.to_json())
    assert again == card
    assert again.to_json() == card.to_json()
    assert Card.from_dict(card.to_dict()) == card


@given(st.sampled_from(sorted(CARD.to_dict())), json_values)
def test_a_card_with_any_field_replaced_is_a_card_or_refused(field: str, value: object) -> None:
    try:
        card = Card.from_dict({**CARD.to_dict(), field: value})
    except ValueError:
        return
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize("field", sorted(CARD.to_dict()))
def test_no_field_may_be_missing(field: str) -> None:
    values = CARD.to_dict()
    del values[field]
    if field == "files":
        assert Card.from_dict(values).files == {}
        return
    with pytest.raises(ValueError, match=field):
        Card.from_dict(values)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1} is unknown here"),
        ({"extra": 1}, "extra"),
        ({"task": "regression"}, "task"),
        ({"task": "multiclass"}, "task"),
        ({"width": "40"}, "width"),
        ({"width": 39}, "blocks"),
        ({"width": 10**12, "blocks": [{"name": "a", "start": 0, "stop": 10**12}]}, "width"),
        ({"classes": ["cat", "cat"]}, "classes"),
        ({"classes": ["cat", "cow"]}, "class_counts"),
        ({"blocks": []}, "blocks"),
        ({"blocks": [{"name": "a", "start": 3, "stop": 3}]}, "blocks"),
        ({"blocks": [{"name": "a", "start": 0, "stop": 3, "more": 1}]}, "blocks"),
        ({"files": {"../up.txt": "0" * 64}}, "files"),
        ({"files": {"model.txt": "0"}}, "files"),
        ({"recipe": {"rounds": -1}}, "rounds"),
        ({"recipe": {"round": 1}}, "round"),
        ({"metrics": {"auc": {"value": 1.0}}}, "metrics"),
        ({"metrics": {}}, "metrics"),
        ({"confusion": []}, "confusion"),
        ({"confusion": [[1, 0], [0]]}, "confusion"),
        ({"confusion": [[1, 0], [0, -1]]}, "confusion"),
        ({"n_images": 0}, "n_images"),
        ({"n_groups": 0}, "n_groups"),
        ({"n_copies": -1}, "n_copies"),
        ({"class_counts": {"cat": 1, "dog": -1}}, "counts"),
        ({"sets": {**CARD.to_dict()["sets"], "images": 0}}, "sets.images"),
        ({"growth": {**CARD.to_dict()["growth"], "fitted": [POINT], "measured": []}}, "growth"),
        ({"growth": {**CARD.to_dict()["growth"], "measured": [{**POINT, "images": 0}]}}, "growth"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused_in_words(
    changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Card.from_dict({**CARD.to_dict(), **changed})


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"nul", b'{"format": 1}', b"[" * 100_000])
def test_bytes_that_are_no_card_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        Card.from_json(data)


def test_the_json_can_be_read_by_a_person() -> None:
    text = CARD.to_json().decode()
    assert text.startswith('{\n  "author"')
    assert json.loads(text)["format"] == FORMAT
