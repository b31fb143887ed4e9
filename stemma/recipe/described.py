"""JSON schema in which every key carries, as its description, the docstring under its field.

Pydantic can put docstrings into a schema by itself (`use_attribute_docstrings`), but reads the
sources for that whenever a class is made. Here they are read only when a schema is written, so that
`check` stays fast.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema


class DescribedSchema(GenerateJsonSchema):
    """Schema generator for `model_json_schema(schema_generator=DescribedSchema)`."""

    def model_schema(self, schema: core_schema.ModelSchema) -> dict[str, Any]:
        written = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        texts = field_docstrings(model)
        for name, field in model.model_fields.items():
            key = field.alias or name
            text = texts.get(name) or _section_docstring(field.annotation)
            if text and key in written.get("properties", {}):
                written["properties"][key]["description"] = text
        if "description" in written:
            written["description"] = one_line(written["description"])
        return written


def field_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings under a model's fields, those it inherits included, by the field's name."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if issubclass(parent, BaseModel) and parent is not BaseModel:
            found |= _own_docstrings(parent)
    return found


def _own_docstrings(model: type[BaseModel]) -> dict[str, str]:
    [node] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(node, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = one_line(str(below.value.value))
    return found


def _section_docstring(annotation: Any) -> str:
    """The docstring of the section that a field holds, for a field without one of its own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return one_line(annotation.__doc__ or "")
    return next(filter(None, map(_section_docstring, get_args(annotation))), "")


def one_line(text: str) -> str:
    """A docstring without its line breaks."""
    return " ".join(text.split())


def first_sentence(text: str) -> str:
    """What a module's docstring begins with, up to its first full stop or example."""
    opening = one_line(text.split("\n\n")[0])
    return opening.split(". ")[0].rstrip(".:… ") + "."
