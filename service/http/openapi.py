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
        content["application/json"] = {"schema": json.model_json_schema()}
    return {"requestBody": {"required": True, "content": content}}
