"""Page `docs/reference/recipe.md`: tables of a recipe's keys, made from its JSON schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stemma.recipe.axolotl_keys import OWN_KEYS, OWNED, pinned
from stemma.table import markdown

Values = dict[str, Any]

HEADS = ("key", "type", "default", "meaning")
SOURCE = "source-"
"""How the schema's definitions of sources begin."""
AXOLOTL_SECTIONS = {"base", "sft", "dpo", "mcq"}
BOUNDS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}
INTRODUCTION = """\
# Recipe reference

Made by `make schema` from the models in `stemma/recipe` and `data_builders/sources`; not edited by
hand. A recipe is one YAML file; `extends: tiny` takes another recipe of the same folder and
changes single keys (lists replace, `null` takes a key out). The same descriptions stand in
[`recipes/schema.json`](../../recipes/schema.json), so an editor shows them while you type.

Sections: {sections}.
"""
SOURCES = """\
## Sources

An entry of `data.<set>.sources` and of `data.decontaminate.against` is one of {count} sources. What
their files look like: [data-sources.md](../data-sources.md).
"""
AXOLOTL = """\
## Axolotl's keys

`train`, `base`, `sft`, `dpo` and `mcq` take the keys of Axolotl {version} as they are
(`axolotl config-schema` lists them): `learning_rate`, `micro_batch_size`, `lora_r`, … Axolotl
passes over an unknown key in silence; here it is an error. These keys are Stemma's to set:
"""


@dataclass
class _Sections:
    """The schema's definitions in the order in which a recipe meets them, each with its places."""

    schema: Values
    places: dict[str, list[str]] = field(default_factory=dict)

    def walk(self, node: Values, place: str) -> None:
        for key, value in node.get("properties", {}).items():
            if place in AXOLOTL_SECTIONS and key not in OWN_KEYS[place]:
                continue
            path = f"{place}.{key}" if place else key
            for name, suffix in _references(value):
                known = name in self.places
                self.places.setdefault(name, []).append(path + suffix)
                if not known:
                    self.walk(self.schema["$defs"][name], path + suffix)


def recipe_page(schema: Values) -> str:
    """The whole page. `schema` still says which keys are required."""
    sections = _Sections(schema)
    sections.walk(schema, "")
    own = {name: places for name, places in sections.places.items() if not name.startswith(SOURCE)}
    own.pop("SourceOptions", None)
    titles = {name: _title(places) for name, places in own.items()}
    links = {
        name: f"[{_shortest(places)}](#{_anchor(titles[name])})" for name, places in own.items()
    }
    links["SourceOptions"] = "[source](#sources)"
    listed = ", ".join([*links.values(), "[Axolotl's keys](#axolotls-keys)"])
    parts = [INTRODUCTION.format(sections=listed)]
    parts.append("## The recipe\n\n" + _table(schema, "", links))
    for name, places in own.items():
        definition = schema["$defs"][name]
        about = definition.get("description", "")
        heading = f"## {titles[name]}\n\n" + (f"{about}\n\n" if about else "")
        parts.append(heading + _table(definition, places[0], links))
    parts.append(_sources(schema, links))
    owned = markdown(("key", "set instead"), [(f"`{key}`", text) for key, text in OWNED.items()])
    parts.append(AXOLOTL.format(version=pinned()["axolotl"]) + "\n" + "\n".join(owned) + "\n")
    return "\n".join(parts)


def _sources(schema: Values, links: dict[str, str]) -> str:
    """Tables of what every source takes, of what those that read files take, and each one's own."""
    defined = schema["$defs"]
    names = [name.removeprefix(SOURCE) for name in defined if name.startswith(SOURCE)]
    sources = {name: defined[SOURCE + name]["properties"] for name in names}
    reading = {name: keys for name, keys in sources.items() if "path" in keys}
    everywhere = {"source": {"type": "string", "description": "Its name, one of those below."}}
    everywhere |= _shared(sources)
    in_files = {key: value for key, value in _shared(reading).items() if key not in everywhere}
    others = ", ".join(f"`{name}`" for name in names if name not in reading)
    text = [
        SOURCES.format(count=len(names)),
        _rows_table(everywhere, links, ["source"]),
        f"### Files\n\nWhat all sources take but {others}, which read no file.\n",
        _rows_table(in_files, links, ["path"]),
    ]
    for name, keys in sources.items():
        own = {key: value for key, value in keys.items() if key not in everywhere | in_files}
        text.append(f"### {name}\n\n{keys['source']['description']}\n")
        text += _own_tables(own, defined, links)
    return "\n".join(text)


def _own_tables(own: Values, defined: Values, links: dict[str, str]) -> Iterator[str]:
    """A source's own keys, then the keys of each section among them."""
    inner = {name: key for key, value in own.items() for name, _ in _references(value)}
    if own:
        yield _rows_table(own, links | {name: f"`{key}`, below" for name, key in inner.items()})
    for name, key in inner.items():
        yield f"Keys of `{key}`:\n"
        yield _rows_table(defined[name]["properties"], links)


def _shared(sources: dict[str, Values]) -> Values:
    """The keys that all of these sources have, and have alike."""
    first, *others = sources.values()
    return {
        key: value
        for key, value in first.items()
        if key != "source" and all(other.get(key) == value for other in others)
    }


def _table(definition: Values, place: str, links: dict[str, str]) -> str:
    keys = definition["properties"]
    if place in AXOLOTL_SECTIONS:
        keys = {key: value for key, value in keys.items() if key in OWN_KEYS[place]}
    return _rows_table(keys, links, definition.get("required", []))


def _rows_table(keys: Values, links: dict[str, str], required: list[str] | None = None) -> str:
    rows = [
        (
            f"`{key}`",
            _type(value, links),
            "required" if key in (required or []) else _default(value),
            value.get("description", ""),
        )
        for key, value in keys.items()
    ]
    return "\n".join(markdown(HEADS, rows)) + "\n"


def _default(value: Values) -> str:
    if value.get("default") is None:
        return ""
    if isinstance(value["default"], dict) and value["default"]:
        return "its own defaults"
    return f"`{json.dumps(value['default'], ensure_ascii=False)}`"


def _type(value: Values, links: dict[str, str]) -> str:
    """A property's type in words: `integer > 0`, `list of string`, `sft` or `dpo`."""
    if "$ref" in value:
        name = _name(value["$ref"])
        return links.get(name, name)
    if "const" in value:
        return _literal(value["const"])
    if "enum" in value:
        return " or ".join(_literal(one) for one in value["enum"] if one is not None)
    if members := _members(value):
        kinds = [_type(one, links) for one in members if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if value.get("type") == "array":
        return f"list of {_type(value['items'], links)}" if value.get("items") else "list"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"mapping to {_type(inner, links)}" if isinstance(inner, dict) else "mapping"
    bounds = [f"{sign} {value[key]}" for key, sign in BOUNDS.items() if key in value]
    return " ".join([str(value.get("type", "any")), " and ".join(bounds)]).strip()


def _literal(value: object) -> str:
    """A value as one writes it in YAML, a tab as `\\t`."""
    return f"`{json.dumps(value, ensure_ascii=False).strip(chr(34))}`"


def _members(value: Values) -> list[Values]:
    """The kinds of value that a property may have, where there are several."""
    return [*value.get("anyOf", []), *value.get("oneOf", [])]


def _references(value: Values) -> Iterator[tuple[str, str]]:
    """The definitions that a property points to, each with what its place has behind the key."""
    if "$ref" in value:
        yield _name(value["$ref"]), ""
    for one in value.get("anyOf", []):
        yield from _references(one)
    # Of several kinds of entry each has a place of its own, by its name.
    for tag, reference in value.get("discriminator", {}).get("mapping", {}).items():
        yield _name(reference), f" {tag}"
    if isinstance(inner := value.get("additionalProperties"), dict):
        yield from ((name, ".*" + suffix) for name, suffix in _references(inner))
    if isinstance(value.get("items"), dict):
        yield from ((name, "[]" + suffix) for name, suffix in _references(value["items"]))


def _name(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def _title(places: list[str]) -> str:
    return ", ".join(f"`{place}`" for place in places)


def _shortest(places: list[str]) -> str:
    return f"`{places[0]}`"


def _anchor(title: str) -> str:
    """The fragment that Markdown renderers give a heading."""
    kept = "".join(one for one in title.lower() if one.isalnum() or one in " -_")
    return kept.replace(" ", "-")
