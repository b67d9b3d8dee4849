"""The shapes of requests: limits are those of the contract, and nothing unknown is taken."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from service import schemas

DIGEST = "0" * 64

SMALLEST: dict[type[BaseModel], dict[str, Any]] = {
    schemas.PredictDigests: {"digests": [DIGEST]},
    schemas.SearchQuery: {"digest": DIGEST},
    schemas.LabelEntry: {"digest": DIGEST, "label": "x"},
    schemas.LabelChanges: {"labels": [{"digest": DIGEST, "label": None}]},
    schemas.LearnRequest: {"name": "h", "dataset": "d"},
    schemas.LearnOptions: {},
    schemas.AliasTarget: {"version": 1},
    schemas.CompareOptions: {},
    schemas.CompareRequest: {},
    schemas.KeyRequest: {"role": "predict"},
    schemas.Protection: {"protected": True},
}


def test_every_request_of_the_service_is_checked_here() -> None:
    assert set(SMALLEST) == set(schemas.Asked.__subclasses__())


@pytest.mark.parametrize("model", SMALLEST, ids=lambda m: m.__name__)
def test_a_misspelt_field_is_refused_and_not_passed_over(model: type[BaseModel]) -> None:
    model.model_validate(SMALLEST[model])
    with pytest.raises(ValidationError):
        model.model_validate({**SMALLEST[model], "evidense": 3})


@pytest.mark.parametrize("model", SMALLEST, ids=lambda m: m.__name__)
def test_a_null_stands_for_a_field_left_out(model: type[BaseModel]) -> None:
    optional = [name for name, field in model.model_fields.items() if not field.is_required()]
    plain = model.model_validate(SMALLEST[model])
    left_out = {name: None for name in optional if name not in SMALLEST[model]}
    assert model.model_validate({**SMALLEST[model], **left_out}) == plain


def test_a_null_is_refused_where_something_has_to_be_said() -> None:
    with pytest.raises(ValidationError):
        schemas.LearnRequest.model_validate({"name": None, "dataset": "d"})


def test_defaults_are_those_of_the_contract() -> None:
    assert schemas.SearchQuery(digest=DIGEST).k == 10
    asked = schemas.LearnRequest(name="h", dataset="d")
    assert (asked.task, asked.options.allow_no_signal, asked.options.seed) == ("auto", False, 0)
    predict = schemas.PredictDigests(digests=[DIGEST])
    assert (predict.heads, predict.evidence) == (None, 0)


@pytest.mark.parametrize(
    ("model", "field", "good", "bad"),
    [
        (schemas.PredictDigests, "evidence", 20, 21),
        (schemas.PredictDigests, "digests", [DIGEST] * 64, [DIGEST] * 65),
        (schemas.PredictDigests, "digests", [DIGEST], []),
        (schemas.SearchQuery, "k", 1_000, 1_001),
        (schemas.SearchQuery, "k", 1, 0),
        (schemas.AliasTarget, "version", 1, 0),
        (schemas.LearnOptions, "seed", 2**31 - 1, 2**31),
        (schemas.CompareRequest, "backbones", ["toy"] * 8, ["toy"] * 9),
        (schemas.CompareRequest, "backbones", ["timm/resnet50.a1_in1k"], ["../x"]),
        (schemas.CompareOptions, "seed", 0, -1),
        (schemas.LearnRequest, "task", "regression", "guess"),
    ],
)
def test_limits_are_those_of_the_contract(
    model: type[BaseModel], field: str, good: Any, bad: Any
) -> None:
    model.model_validate({**SMALLEST[model], field: good})
    with pytest.raises(ValidationError):
        model.model_validate({**SMALLEST[model], field: bad})


def test_a_label_must_be_said_even_if_it_is_unknown() -> None:
    with pytest.raises(ValidationError):
        schemas.LabelEntry.model_validate({"digest": DIGEST, "group": "g"})
