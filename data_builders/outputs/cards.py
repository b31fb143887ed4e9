"""The data set card, README.md: front matter as the Hugging Face hub reads it, then figures and
cautions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from data_builders.account import SetSource
from data_builders.filters.gate import tell_leak
from data_builders.flow import splits_of
from stemma.licences import UNSTATED, refusal
from stemma.markdown import escaped, table
from stemma.recipe.models import Recipe
from stemma.yaml_text import to_yaml

TASKS = {
    "corpus": "text-generation",
    "sft": "question-answering",
    "dpo": "text-generation",
    "mcq": "multiple-choice",
}
OF_THIS_RUN = ("sent", "from_ledger", "retried")
"""What a build that was interrupted counts otherwise than one that was not."""
_HUB_LICENCE = re.compile(r"apache-2\.0|mit|odc-by|cc0-1\.0|cc-by(-[a-z]+)*-\d\.\d")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(
    recipe: Recipe,
    sources: Sequence[SetSource],
    counts: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> str:
    """The whole text. `counts` and `facts` are those of the manifest."""
    front = to_yaml(_front_matter(recipe, counts["sets"], facts))
    sections = {
        "Sets": _table(("set", "train", "validation", "test"), _sizes(counts["sets"])),
        "Sources": _table(
            ("source", "licence", "read", "kept", "dropped"), _sources(sources, counts["sources"])
        ),
        "Licences": "\n".join(
            f"- {escaped(name)}: {rows:,} rows{_condition(name)}"
            for name, rows in facts["licences"].items()
        ),
        "Generated rows": "\n".join(_generated(recipe, facts["generator"])),
        "Balance": "\n".join(_leaf_lines(facts["balance"])),
        "Before you use it": "\n".join(f"- {line}" for line in _cautions(recipe, facts)),
    }
    body = "".join(f"\n## {title}\n\n{text}\n" for title, text in sections.items() if text)
    return f"---\n{front}---\n\n# {recipe.name}\n\n{_opening(recipe)}\n{body}"


def _opening(recipe: Recipe) -> str:
    return (
        f"Built by Stemma from the recipe `{recipe.name}`, seed {recipe.seed}. Each line "
        "of `provenance.jsonl` says, "
        "by `id`, where a row comes from: source, licence, file and its SHA-256, and of a "
        "generated row the prompt, "
        "model, date and cost. `dropped.jsonl` holds every row that was read and not kept, "
        "with the reason."
    )


def _front_matter(
    recipe: Recipe, sizes: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    licences = [name.lower() for name in facts["licences"]]
    known = {name if _HUB_LICENCE.fullmatch(name) else "other" for name in licences}
    rows = sum(sum(splits.values()) for splits in sizes.values())
    files = {
        kind: [split for split in splits_of(kind) if splits[split]]
        for kind, splits in sizes.items()
    }
    return {
        "pretty_name": recipe.name,
        "license": sorted(known) or ["other"],
        "language": [facts["language"]],
        "task_categories": sorted({TASKS[kind] for kind in sizes}),
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "n>1M")],
        "configs": [
            {
                "config_name": kind,
                "data_files": [{"split": p, "path": f"{kind}/{p}.jsonl"} for p in splits],
            }
            for kind, splits in files.items()
        ],
    }


def _sizes(sizes: Mapping[str, Any]) -> Iterator[list[str]]:
    for kind, splits in sizes.items():
        yield [
            kind,
            *(
                f"{splits[split]:,}" if split in splits else ""
                for split in ("train", "validation", "test")
            ),
        ]


def _sources(sources: Sequence[SetSource], counted: Mapping[str, Any]) -> Iterator[list[str]]:
    for source in sources:
        counts = counted[source.name]
        why = ", ".join(f"{count:,} {reason}" for reason, count in counts["dropped"].items())
        licence = source.licence or ("as its rows" if source.phase == "derive" else UNSTATED)
        yield [source.name, licence, f"{counts['read']:,}", f"{counts['kept']:,}", why]


def _condition(licence: str) -> str:
    conditions = {"BY": "name the authors", "SA": "pass it on under the same licence"}
    named = [words for mark, words in conditions.items() if mark in licence.upper().split("-")]
    return "".join(f"; {words}" for words in [*filter(None, [refusal(licence)]), *named])


def _generated(recipe: Recipe, totals: Mapping[str, Any]) -> Iterator[str]:
    if totals and recipe.data.generator:
        yield f"- model: {escaped(recipe.data.generator.model)}"
        lasting = {name: value for name, value in totals.items() if name not in OF_THIS_RUN}
        yield from _leaf_lines(lasting)


def _cautions(recipe: Recipe, facts: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "A question and its near-duplicates lie in one part across all sets; `test_ids.txt` "
        "lists the test questions."
    )
    if "split_by_pair" in facts:
        yield f"All but one: dpo is {tell_leak(facts['split_by_pair'])}."
    found = facts["decontamination"]
    settings = recipe.data.decontaminate
    if settings:
        asked = escaped(", ".join(found["questions"]) or "none")
        yield (
            f"Training rows were held against these evaluation sets: {asked}. Rows that "
            f"overlap: {found['rows']:,}."
        )
    else:
        yield "Training rows were not held against evaluation sets."
    if facts["generator"]:
        yield (
            "Generated rows were written by a model: they can be wrong, and its provider's "
            "terms apply to them."
        )
    for one in facts["unfilled"]:
        yield (
            f"{escaped(one['of'])} ({escaped(one['part'])}): {one['asked']:,} rows were asked for, "
            f"there were {one['kept']:,}."
        )
    yield "Cite the sources above, not this collection alone."


def _leaf_lines(value: Mapping[str, Any]) -> Iterator[str]:
    for name, figure in _leaves(value):
        yield f"- {escaped(name)}: {escaped(figure)}"


def _leaves(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested figures as `names: value` lines."""
    for name, inner in value.items():
        spoken = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{spoken}, ")
        elif isinstance(inner, int | float):
            yield (
                spoken,
                f"{inner:.4g}"
                if isinstance(inner, float)
                else f"{inner:,}"
                if isinstance(inner, int)
                else str(inner),
            )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(table(heads, rows))
