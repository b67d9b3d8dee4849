"""Pieces of the OpenAPI document for bodies that the framework cannot derive. Holds no routes."""

from typing import Any

from pydantic import BaseModel


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
) -> dict[str, Any]:
    """A request body that is a form, or JSON of a model where one is given."""
    form = {"type": "object", "properties": fields, "required": required}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if json is not None:
        content["application/json"] = {"schema": _whole(json)}
    return {"requestBody": {"required": True, "content": content}}


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """A request body that is JSON of a model."""
    content = {"application/json": {"schema": _whole(model)}}
    return {"requestBody": {"required": True, "content": content}}


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
