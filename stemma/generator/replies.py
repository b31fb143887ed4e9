"""JSON in replies: finds it among prose and code fences, checks it against its model, and makes examples of it.

'Sure! ```json\n{"overall": "A"}\n``` Anything else?'  ->  Ranking(overall="A")
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError


def parse(text: str, schema: type[BaseModel]) -> BaseModel | None:
    """The one value of the schema that the text holds; None where there is none, or several that differ."""
    values: list[BaseModel] = []
    for found in (text, *_objects(text)):
        try:
            value = schema.model_validate_json(found)
        except ValidationError:
            continue
        if value not in values:
            values.append(value)
    return values[0] if len(values) == 1 else None


def _objects(text: str) -> Iterator[str]:
    """The outermost JSON objects in a text."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            end = start + 1
        else:
            yield text[start:end]
        start = text.find("{", end)


def example(schema: type[BaseModel]) -> BaseModel:
    """A valid value, for a forecast: the first choice everywhere, the shortest list, some text."""
    whole = schema.model_json_schema()
    return schema.model_validate_json(json.dumps(_fill(whole, whole)))


def _fill(part: dict[str, Any], whole: dict[str, Any]) -> Any:
    if "$ref" in part:
        return _fill(whole["$defs"][part["$ref"].rsplit("/", 1)[1]], whole)
    for choices in ("enum", "examples"):
        if choices in part:
            return part[choices][0]
    if "const" in part:
        return part["const"]
    if "anyOf" in part:
        return _fill(part["anyOf"][0], whole)
    return _fill_type(part, whole)


def _fill_type(part: dict[str, Any], whole: dict[str, Any]) -> Any:
    match part.get("type"):
        case "object":
            needed = part.get("required") or ()
            return {name: _fill(inner, whole) for name, inner in part.get("properties", {}).items() if name in needed}
        case "array":
            return [_fill(part["items"], whole)] * int(part.get("minItems", 0))
        case "string":
            return "text".ljust(int(part.get("minLength", 0)), ".")
        case "integer" | "number":
            return part.get("minimum", 0)
        case "boolean":
            return True
    return None
