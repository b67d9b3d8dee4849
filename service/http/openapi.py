"""Pieces of the OpenAPI document that the framework cannot derive. Holds no routes."""

from typing import Any

from pydantic import BaseModel

from service.http.edge import PROBLEM_JSON
from service.schemas import Problem


def component(model: type[BaseModel]) -> dict[str, str]:
    """The place of a model in the document; it is there if it is part of any route's answer."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def problem_response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A refusal; the framework would say of a `model` that it is application/json."""
    return {"description": description, "content": {PROBLEM_JSON: {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": problem_response("A problem (RFC 9457)", component(Problem))
}
"""What every route refuses with. Where it is said, the framework adds no refusal of its own."""


def problem_with(model: type[BaseModel], code: str) -> dict[str, Any]:
    """A refusal that has a model's fields beside its own if it is of this code."""
    both = {"allOf": [component(Problem), component(model)]}
    return problem_response(
        f"A problem; `{code}` has the fields of {model.__name__} too",
        {"anyOf": [both, component(Problem)]},
    )


def probe(model: type[BaseModel]) -> dict[str, Any]:
    """What a probe is answered: a line of text by BentoML, JSON of a model by the application."""
    content = {"text/plain": {"type": "string"}, "application/json": _whole(model)}
    return {kind: {"schema": schema} for kind, schema in content.items()}


def form_field(description: str, kind: str = "string", *, many: bool = False) -> dict[str, Any]:
    """One field of a form; `binary` is a file."""
    one: dict[str, Any] = (
        {"type": "string", "format": "binary"} if kind == "binary" else {"type": kind}
    )
    if many:
        return {"type": "array", "items": one, "description": description}
    return {**one, "description": description}


def body_of(
    fields: dict[str, dict[str, Any]],
    *,
    required: list[str],
    json: type[BaseModel] | None = None,
    query: bool = False,
) -> dict[str, Any]:
    """A request body that is a form, or JSON of a model where one is given.

    Args:
        fields: of the form.
        required: those that it must have.
        json: what may be sent in its place.
        query: whether fields that are no files may stand in the query.
    """
    form = {"type": "object", "properties": fields, "required": required}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if json is not None:
        content["application/json"] = {"schema": _whole(json)}
    body = {"requestBody": {"required": True, "content": content}}
    return {**body, "parameters": _in_query(fields)} if query else body


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A request body that is JSON of a model."""
    content = {"application/json": {"schema": _whole(model)}}
    return {"requestBody": {"required": True, "content": content}}


def _in_query(fields: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Query parameters that stand in for fields which a form lacks."""
    texts = {n: f for n, f in fields.items() if f.get("items", f).get("format") != "binary"}
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"{field['description']}; where the form has no such field",
            "schema": {key: value for key, value in field.items() if key != "description"},
        }
        for name, field in texts.items()
    ]


def _whole(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model with those of its parts in their places: it stands in no components."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})

    def filled(said: Any) -> Any:  # noqa: ANN401 - whatever JSON can say
        if isinstance(said, list):
            return [filled(one) for one in said]
        if not isinstance(said, dict):
            return said
        if "$ref" in said:
            return filled(parts[said["$ref"].rpartition("/")[2]])
        return {name: filled(value) for name, value in said.items()}

    whole: dict[str, Any] = filled(schema)
    return whole
