"""Whether a value is what a JSON schema says, no less and no more. Knows the words that ours use.

Stricter than the standard: a field that is not named is wrong, also where more may come one day.
"""

from collections.abc import Iterator
from typing import Any

KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}

CHECKED = {"$ref", "allOf", "anyOf", "type", "const", "enum", "items"}
OF_OBJECTS = {"properties", "required", "additionalProperties"}
IN_WORDS = {"title", "description", "default", "format"}

Schema = dict[str, Any]


class Fit:
    """Compares values with schemas of one OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._named: dict[str, Schema] = document["components"]["schemas"]

    def misfits(self, value: Any, schema: Schema, at: str = "answer") -> list[str]:
        """Everything in which a value is not what a schema says, with its place."""
        schema = self._whole(schema)
        unknown = schema.keys() - CHECKED - OF_OBJECTS - IN_WORDS
        assert not unknown, f"{at}: {unknown} would not be checked"
        if "anyOf" in schema:
            found = [self.misfits(value, one, at) for one in schema["anyOf"]]
            return [] if [] in found else [wrong for one in found for wrong in one]
        if "type" not in schema:
            return [f"{at}: the schema does not say what it is"]
        if not is_a(schema["type"], value):
            return [f"{at}: {value!r:.60} is no {schema['type']}"]
        wrong = [f"{at}: {value!r}"] if not is_among(schema, value) else []
        if isinstance(value, list):
            wrong += self._items(value, schema, at)
        if isinstance(value, dict):
            wrong += self._fields(value, schema, at)
        return wrong

    def _items(self, values: list[Any], schema: Schema, at: str) -> Iterator[str]:
        for number, value in enumerate(values):
            yield from self.misfits(value, schema["items"], f"{at}[{number}]")

    def _fields(self, values: dict[str, Any], schema: Schema, at: str) -> Iterator[str]:
        fields: dict[str, Schema] = schema.get("properties", {})
        yield from (f"{at}: no {name}" for name in schema.get("required", ()) if name not in values)
        other = schema.get("additionalProperties", False)
        for name, value in values.items():
            said = fields.get(name, other)
            if isinstance(said, dict):
                yield from self.misfits(value, said, f"{at}.{name}")
            elif fields or not said:
                yield f"{at}: {name} is not documented"

    def _whole(self, schema: Schema) -> Schema:
        """A schema with what it refers to, and with the fields of all its parts."""
        if "$ref" in schema:
            return self._whole(self._named[schema["$ref"].removeprefix("#/components/schemas/")])
        if "allOf" not in schema:
            return schema
        whole: Schema = {"type": "object", "properties": {}, "required": []}
        for part in map(self._whole, schema["allOf"]):
            whole["properties"] |= part["properties"]
            whole["required"] += part.get("required", [])
        return whole


def is_a(kind: str, value: Any) -> bool:
    """Whether a value is of a type of JSON, where true is no number."""
    return isinstance(value, KINDS[kind]) and isinstance(value, bool) == (kind == "boolean")


def is_among(schema: Schema, value: Any) -> bool:
    """Whether a value is one of those that are named, where any are."""
    return value == schema.get("const", value) and value in schema.get("enum", [value])
