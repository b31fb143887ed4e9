"""The generated files: current, complete, and made of the docstrings under the recipe's fields."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from stemma.cli_reference import cli_page
from stemma.recipe.axolotl_keys import axolotl_fields
from stemma.recipe.described import DescribedSchema, first_sentence
from stemma.recipe.reference import recipe_page
from stemma.recipe.schema import generated, recipe_schema


class Inner(BaseModel):
    """A section
    of its own."""

    size: int = 3
    """In tokens."""


class Outer(BaseModel):
    from_: str = Field(alias="from")
    """Over two
    lines."""
    inner: Inner = Inner()
    bare: int | None = None


class Derived(Outer):
    bare: int | None = None
    """Told here."""


def test_generated_files_are_current() -> None:
    found = {
        path.name: path.read_text(encoding="utf-8") == text for path, text in generated().items()
    }
    assert found == {"schema.json": True, "recipe.md": True, "cli.md": True}, "run `make schema`"


def test_every_own_key_is_described() -> None:
    schema = recipe_schema()
    sections = {"": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, value in section.get("properties", {}).items()
        if "description" not in value and key not in axolotl_fields()
    ]
    assert silent == []
    assert schema["properties"]["sft"]["description"].startswith("Supervised fine-tuning")


def test_docstrings_under_fields_become_descriptions() -> None:
    schema = Outer.model_json_schema(schema_generator=DescribedSchema)
    assert described(schema) == {
        "from": "Over two lines.",
        "inner": "A section of its own.",
        "bare": None,
    }
    assert described(schema["$defs"]["Inner"]) == {"size": "In tokens."}
    assert described(Derived.model_json_schema(schema_generator=DescribedSchema)) == {
        "from": "Over two lines.",
        "inner": "A section of its own.",
        "bare": "Told here.",
    }


def described(schema: dict[str, Any]) -> dict[str, str | None]:
    return {key: value.get("description") for key, value in schema["properties"].items()}


def test_a_source_is_described_by_how_its_module_begins() -> None:
    assert (
        first_sentence("Word problems, as\npublished:\n\n    {}\n")
        == "Word problems, as published."
    )
    assert first_sentence("A table: any. A line of it\n\n    a,b") == "A table: any."


def test_a_key_stands_in_the_table_of_its_section() -> None:
    schema = {
        "properties": {"data": {"$ref": "#/$defs/Data", "description": "Rows."}},
        "required": ["data"],
        "$defs": {
            "Data": {
                "description": "What is built.",
                "properties": {
                    "count": {
                        "type": "integer",
                        "minimum": 1,
                        "default": 2,
                        "description": "A | B.",
                    },
                    "kind": {"anyOf": [{"enum": ["a", "\t"]}, {"type": "null"}], "default": None},
                },
            },
            "source-one": {
                "properties": {"source": {"const": "one", "description": "Files."}, "path": {}}
            },
        },
    }
    lines = recipe_page(schema).splitlines()
    assert "| `data` | [`data`](#data) | required | Rows. |" in lines
    below = lines[lines.index("## `data`") :]
    assert below[2] == "What is built."
    assert below[6] == "| `count` | integer ≥ 1 | `2` | A \\| B. |"
    assert below[7] == "| `kind` | `a` or `\\t` |  |  |"


def test_entries_of_several_kinds_have_a_table_each() -> None:
    kinds = {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]}
    mapping = {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}
    tagged = kinds | {"discriminator": {"mapping": mapping, "propertyName": "kind"}}
    schema = {
        "properties": {"pets": {"type": "array", "items": tagged}},
        "$defs": {
            "Cat": {"description": "It purrs.", "properties": {"kind": {"const": "cat"}}},
            "Dog": {"description": "It barks.", "properties": {"kind": {"const": "dog"}}},
            "source-one": {
                "properties": {"source": {"const": "one", "description": "Files."}, "path": {}}
            },
        },
    }
    lines = recipe_page(schema).splitlines()
    listed = "list of [`pets[] cat`](#pets-cat) or [`pets[] dog`](#pets-dog)"
    assert f"| `pets` | {listed} |  |  |" in lines
    assert lines[lines.index("## `pets[] dog`") + 2] == "It barks."


def test_the_command_line_page_holds_each_verb_s_help() -> None:
    page = cli_page()
    assert "## check\n\n```\nUsage: python -m stemma check [OPTIONS] [RECIPE]...\n" in page
    assert "--gpus INTEGER RANGE  Training processes." in page
