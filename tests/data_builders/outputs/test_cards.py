from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from data_builders.account import sources_of
from data_builders.outputs.cards import card
from tests.data_builders.small_recipe import make_recipe

DATA: dict[str, Any] = {
    "generator": {"model": "gpt-x"},
    "dpo": {
        "sources": [
            {"source": "preference_jsonl", "path": "a|b.jsonl", "licence": "CC-BY-SA-4.0"},
            {"source": "generated_pairs", "limit": 3},
        ]
    },
}
COUNTS = {
    "sources": {
        "dpo: preference_jsonl a|b.jsonl": {
            "read": 1200,
            "kept": 1000,
            "dropped": {"duplicate": 200},
            "repaired": 0,
        },
        "dpo: generated_pairs": {"read": 3, "kept": 2, "dropped": {"tie": 1}, "repaired": 0},
    },
    "sets": {"dpo": {"train": 900, "validation": 0, "test": 102}},
}
FACTS: dict[str, Any] = {
    "language": "de",
    "licences": {"CC-BY-SA-4.0": 1000, "Apache-2.0": 2, "unlicensed": 5},
    "generator": {
        "requests": 12,
        "sent": 4,
        "from_ledger": 8,
        "retried": {"429": 1},
        "cost_usd": 0.1234567,
    },
    "balance": {
        "length": {"n": 900, "chosen_longer": 0.625},
        "judges": {"agreement": {"overall": None}},
    },
    "decontamination": {"mode": "fail", "questions": {"dpo test: x": 102}, "rows": 0},
    "unfilled": [{"of": "dpo: x", "part": "train", "asked": 6000, "kept": 5100}],
}


def section(text: str, title: str) -> list[str]:
    return text.split(f"## {title}\n\n")[1].split("\n\n")[0].splitlines()


def test_the_front_matter_is_what_the_hub_reads() -> None:
    recipe = make_recipe(DATA)
    _, front, _ = card(recipe, sources_of(recipe.data), COUNTS, FACTS).split("---\n", 2)
    assert YAML(typ="safe").load(front) == {
        "pretty_name": "small",
        "license": ["apache-2.0", "cc-by-sa-4.0", "other"],
        "language": ["de"],
        "task_categories": ["text-generation"],
        "size_categories": ["1K<n<10K"],
        "configs": [
            {
                "config_name": "dpo",
                "data_files": [
                    {"split": "train", "path": "dpo/train.jsonl"},  # an empty part is no split
                    {"split": "test", "path": "dpo/test.jsonl"},
                ],
            }
        ],
    }


def test_the_text_says_counts_licences_cost_and_what_to_mind() -> None:
    recipe = make_recipe(DATA)
    text = card(recipe, sources_of(recipe.data), COUNTS, FACTS)
    assert section(text, "Sets")[2] == "| dpo | 900 | 0 | 102 |"
    assert section(text, "Sources")[2:] == [
        "| dpo: preference_jsonl a\\|b.jsonl | CC-BY-SA-4.0 | 1,200 | 1,000 | 200 duplicate |",
        "| dpo: generated_pairs | Apache-2.0 | 3 | 2 | 1 tie |",
    ]
    assert section(text, "Licences") == [
        "- CC-BY-SA-4.0: 1,000 rows; name the authors; pass it on under the same licence",
        "- Apache-2.0: 2 rows",
        "- unlicensed: 5 rows; it has no licence",
    ]
    assert section(text, "Generated rows") == [
        "- model: gpt-x",
        "- requests: 12",
        "- cost usd: 0.1235",
    ]
    assert section(text, "Balance") == ["- length, n: 900", "- length, chosen longer: 0.625"]
    assert "- dpo: x (train): 6,000 rows were asked for, there were 5,100." in section(
        text, "Before you use it"
    )


def test_a_split_by_pair_is_told() -> None:
    leak = {"shared_questions": 3, "test_questions": 4, "leaked_test_pairs": 5, "test_pairs": 6}
    recipe = make_recipe(DATA)
    text = card(recipe, sources_of(recipe.data), COUNTS, {**FACTS, "split_by_pair": leak})
    assert (
        "- All but one: dpo is split by pair: 3 of 4 test questions train too, with 5 of 6 "
        "test pairs" in text
    )
    assert "split by pair" not in card(recipe, sources_of(recipe.data), COUNTS, FACTS)


def test_a_set_without_generated_rows_has_no_such_section() -> None:
    recipe = make_recipe({"decontaminate": None, "dpo": {"sources": DATA["dpo"]["sources"][:1]}})
    counts = {**COUNTS, "sources": dict(list(COUNTS["sources"].items())[:1])}
    text = card(recipe, sources_of(recipe.data), counts, FACTS | {"generator": {}})
    assert "## Generated rows" not in text
    assert "- Training rows were not held against evaluation sets." in section(
        text, "Before you use it"
    )
