"""Files generated from code: JSON schema of a recipe, reference pages, list of Axolotl's keys.

`python -m stemma.recipe.schema` writes `recipes/schema.json` (editors complete and check recipes
with it) and `docs/reference/*.md`; with `--axolotl` it first pins the installed Axolotl's keys.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stemma import ROOT
from stemma.files import write_text
from stemma.processes import child_environment, run_program
from stemma.recipe.axolotl_keys import OWN_KEYS, OWNED, PINNED, axolotl_fields, pinned, refusal
from stemma.recipe.described import DescribedSchema, first_sentence
from stemma.recipe.ranges import RANGES
from stemma.recipe.reference import recipe_page

SCHEMA = ROOT / "recipes" / "schema.json"
REFERENCE = ROOT / "docs" / "reference"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
OTHERS = ("axolotl", "modules")
"""What the pinned list holds beside the keys: Axolotl's version, and PEFT's names of modules."""
NAMES = {
    "bool": "boolean",
    "int": "integer",
    "float": "number",
    "str": "string",
    "list": "array",
    "tuple": "array",
}
JSON_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
LIGER = """
import json
from axolotl.integrations.liger.args import LigerArgs
print(json.dumps({name: str(field.annotation) for name, field in LigerArgs.model_fields.items()}))
"""
"""Keys that Axolotl knows only when its Liger plugin is loaded, as Stemma does where one is set."""
LIMITS = "stemma.plugin.limits"
"""The program that asks Axolotl's models and validators what values may be."""
CORRECTED: dict[str, dict[str, Any]] = {
    "learning_rate": {"types": ["number"], "values": []},
    "deepspeed": {"types": ["string"], "values": []},
}
"""Axolotl declares `str | float` for a learning rate, because YAML 1.1 reads 5e-4 as text: here it
is a number. Of DeepSpeed it takes a file or its content: a recipe names the file."""


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe file, Axolotl's keys included."""
    schema = whole_schema()
    drop_required(schema)
    return {"$schema": DIALECT, "title": "Stemma recipe", **schema}


def whole_schema() -> dict[str, Any]:
    """The schema of a recipe that `extends` no other, and so needs all its required keys."""
    from data_builders import SOURCES
    from stemma.recipe.models import Recipe

    schema = Recipe.model_json_schema(by_alias=True, schema_generator=DescribedSchema)
    definitions = schema["$defs"]
    for key in ("path", "overrides"):
        del schema["properties"][key]
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another recipe of this folder to start from.",
    }
    schema["properties"]["train"] |= {"properties": _keys("train"), "additionalProperties": False}
    for name, section in (
        ("BaseModelSection", "base"),
        ("AnswerStage", "sft"),
        ("PreferenceStage", "dpo"),
    ):
        definitions[name]["properties"] |= _keys(section)
        definitions[name]["additionalProperties"] = False
    for name, source in SOURCES.items():
        options = source.options.model_json_schema(
            by_alias=True,
            ref_template=f"#/$defs/{name}-{{model}}",
            schema_generator=DescribedSchema,
        )
        definitions |= {
            f"{name}-{inner}": value for inner, value in options.pop("$defs", {}).items()
        }
        about = {"const": name, "description": first_sentence(source.about)}
        options["properties"]["source"] = about
        definitions[f"source-{name}"] = options
    definitions["SourceOptions"] = {
        "anyOf": [{"$ref": f"#/$defs/source-{name}"} for name in SOURCES]
    }
    return schema


def drop_required(schema: Any) -> None:
    """Take out what is required: a recipe that `extends` another may leave anything out, and
    `check` sees whether the whole is complete."""
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            drop_required(inner)


def _keys(section: str) -> dict[str, Any]:
    set_elsewhere = {*OWNED, *OWN_KEYS[section]}
    fields = axolotl_fields().items()
    return {
        name: _json_type(name, field)
        for name, field in fields
        if name not in set_elsewhere and not refusal(name)
    }


def _json_type(name: str, field: dict[str, Any]) -> dict[str, Any]:
    if not field["types"]:
        return {"enum": [*field["values"], None]} if field["values"] else {}
    types: dict[str, Any] = {"type": [*field["types"], "null"]}
    bounds = {**RANGES.get(name, {}), **field.get("bounds", {})}
    types |= {JSON_BOUNDS[step]: limit for step, limit in bounds.items()}
    return {"anyOf": [types, {"enum": field["values"]}]} if field["values"] else types


def installed_axolotl() -> dict[str, Any]:
    """The installed Axolotl's version and keys, asked of its own command line."""
    command = [str(Path(sys.executable).with_name("axolotl")), "config-schema"]
    text = _output(command)
    properties = json.loads(text[text.index("\n{\n") :])["properties"]  # behind its banner
    liger = _output([sys.executable, "-c", LIGER])
    types = {name: value["type"] for name, value in properties.items()}
    types |= json.loads(liger.splitlines()[-1])
    fields = {name: parse_type(types[name]) for name in sorted(types)} | CORRECTED
    limits = json.loads(_output([sys.executable, "-m", LIMITS]).splitlines()[-1])
    for name, bounds in limits["bounds"].items():
        fields[name]["bounds"] = bounds
    for name, values in limits["names"].items():
        fields[name] = {"types": [], "values": values}
    return {"axolotl": version("axolotl"), "modules": limits["modules"], "fields": fields}


def _output(command: list[str]) -> str:
    done = run_program(command, child_environment())
    done.check_returncode()
    return done.stdout


def pinned_text(pinned: dict[str, Any]) -> str:
    """The pinned list as JSON, one key a line, so that an upgrade of Axolotl reads as a diff."""
    lines = ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(field)}" for name, field in pinned["fields"].items()
    )
    others = "".join(f"  {json.dumps(key)}: {json.dumps(pinned[key])},\n" for key in OTHERS)
    return f'{{\n{others}  "fields": {{\n{lines}\n  }}\n}}\n'


def parse_type(annotation: str) -> dict[str, list[Any]]:
    """`Union[Literal['auto'], bool, NoneType]` as {types: [boolean], values: [auto]}.

    `Any` has no types.
    """
    types: set[str] = set()
    values: list[Any] = []
    for member in _members(annotation.replace("typing.", "")):
        if member == "Any":
            return {"types": [], "values": []}
        name = re.match(r"[A-Za-z0-9_.]+", member)
        assert name, annotation
        if name[0] == "Literal":
            values += [text.strip("'") for text in _split(_inside(member), ",")]
        elif name[0] not in ("None", "NoneType"):
            types.add(
                NAMES.get(name[0], "string" if ".enums." in name[0] else "object")
            )  # a dict or a model
    return {"types": sorted(types), "values": values}


def _members(annotation: str) -> list[str]:
    """The members of a union, however it is written."""
    annotation = re.sub(r"^<class '(.*)'>$", r"\1", annotation.strip())
    parts = _split(annotation, "|")
    if len(parts) == 1 and annotation.startswith(("Union[", "Optional[")):
        parts = _split(_inside(annotation), ",")
    elif len(parts) == 1 and annotation.startswith("Annotated["):
        parts = _split(_inside(annotation), ",")[:1]
    else:
        return parts if len(parts) == 1 else [inner for part in parts for inner in _members(part)]
    return [inner for part in parts for inner in _members(part)]


def _inside(text: str) -> str:
    return text[text.index("[") + 1 : text.rindex("]")]


def _split(text: str, separator: str) -> list[str]:
    """Split outside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def generated() -> dict[Path, str]:
    """Every generated file but the pinned list, with its text."""
    from stemma.cli_reference import cli_page

    schema = json.dumps(recipe_schema(), indent=2, ensure_ascii=False) + "\n"
    return {
        SCHEMA: schema,
        REFERENCE / "recipe.md": recipe_page(whole_schema()),
        REFERENCE / "cli.md": cli_page(),
    }


def main() -> None:
    if "--axolotl" in sys.argv[1:]:
        write_text(PINNED, pinned_text(installed_axolotl()))
        pinned.cache_clear()
    for path, text in generated().items():
        write_text(path, text)


if __name__ == "__main__":
    main()
