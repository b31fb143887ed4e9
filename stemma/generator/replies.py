"""JSON in replies: found among prose and code fences, and checked against its model.

'Sure! ```json\n{"overall": "A"}\n``` Anything else?'  ->  Ranking(overall="A")
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError


def parse(text: str, schema: type[BaseModel]) -> BaseModel | None:
    """The one value of the schema in a text; None where there is none, or several that differ."""
    values: list[BaseModel] = []
    for candidate in (text, *_objects(text)):
        try:
            value = schema.model_validate_json(candidate)
        except ValidationError:
            continue
        if value not in values:
            values.append(value)
    return values[0] if len(values) == 1 else None


def _objects(text: str) -> Iterator[str]:
    """The outermost JSON objects in a text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield text[start:end]
        start = text.find("{", end)


def example(schema: type[BaseModel]) -> BaseModel:
    """A valid value, for a dry run: the first choice everywhere, the shortest list, some text."""
    whole = schema.model_json_schema()
    return schema.model_validate_json(json.dumps(_fill(whole, whole)))


def _fill(node: dict[str, Any], whole: dict[str, Any]) -> Any:
    """A value that a node of the schema allows. `whole` holds the definitions it refers to."""
    if "$ref" in node:
        return _fill(whole["$defs"][node["$ref"].rsplit("/", 1)[1]], whole)
    for choices in ("enum", "examples"):
        if choices in node:
            return node[choices][0]
    if "const" in node:
        return node["const"]
    if "anyOf" in node:
        return _fill(node["anyOf"][0], whole)
    return _fill_type(node, whole)


def _fill_type(node: dict[str, Any], whole: dict[str, Any]) -> Any:
    match node.get("type"):
        case "object":
            required = node.get("required") or ()
            properties = node.get("properties", {})
            return {
                name: _fill(inner, whole) for name, inner in properties.items() if name in required
            }
        case "array":
            return [_fill(node["items"], whole)] * int(node.get("minItems", 0))
        case "string":
            return "text".ljust(int(node.get("minLength", 0)), ".")
        case "integer" | "number":
            return node.get("minimum", 0)
        case "boolean":
            return True
    return None
