from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from data_builders import SOURCES, find_problems
from data_builders.flow import PHASES, ROW_MODELS
from stemma import ROOT
from stemma.recipe.data import SourceOptions
from tests.data_builders.small_recipe import make_recipe


def test_every_file_of_sources_is_registered_and_complete() -> None:
    files = {path.stem for path in (ROOT / "data_builders" / "sources").glob("*.py")} - {"__init__"}
    assert set(SOURCES) == files
    assert len(files) == 18
    for name, source in SOURCES.items():
        assert issubclass(source.options, SourceOptions)
        assert source.options.model_fields["source"].annotation.__args__ == (name,)
        assert set(source.kinds) <= set(ROW_MODELS)
        assert source.kinds
        assert source.phase in PHASES
        assert "{" in source.about, f"{name} shows no example row"


def test_the_registry_loads_neither_torch_nor_the_network_client() -> None:
    heavy = ("torch", "transformers", "openai", "httpx2")
    code = f"import data_builders, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_source_in_a_set_it_cannot_make_is_named_with_what_fits(tmp_path: Path) -> None:
    recipe = make_recipe({"sft": {"sources": [{"source": "mcq_jsonl", "path": "m.jsonl"}]}})
    [problem] = find_problems(recipe.data)
    assert str(problem) == (
        "data.sft.sources[0]: source `mcq_jsonl` cannot make sft rows\n"
        "  expected: one of aqua, argilla_math, encyclopaedia, epfl_preferences, gsm8k, mathqa, "
        "mmlu_explained, sciq_support, "
        "stem_exercises, table, theoremqa\n"
        "  hint: it makes mcq"
    )


def test_a_corpus_has_no_test_split_and_generated_pairs_need_a_generator() -> None:
    recipe = make_recipe(
        {
            "corpus": {"sources": [{"source": "stem_exercises", "use": "test"}]},
            "dpo": {"sources": [{"source": "generated_pairs"}]},
        }
    )
    assert [str(problem) for problem in find_problems(recipe.data)] == [
        "data.corpus.sources[0]: use: test\n  expected: train or split: a corpus has no "
        "other split",
        "data.generator: missing, but data.dpo.sources[0] asks it\n  expected: a generator section",
    ]


def test_the_page_of_sources_names_each_and_its_examples_are_valid() -> None:
    page = (ROOT / "docs" / "data-sources.md").read_text(encoding="utf-8")
    assert [name for name in SOURCES if f"`{name}`" not in page] == []
    blocks = [
        YAML(typ="safe", pure=True).load(block)
        for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    ]
    examples = [source for block in blocks for source in block]
    for source in examples:
        SOURCES[source["source"]].options.model_validate(source)
    assert len(examples) == 8


def test_every_source_says_what_licence_its_data_has() -> None:
    stated = {name: source.licence for name, source in SOURCES.items()}
    assert {name for name, licence in stated.items() if not licence} == {
        *("from_sets", "mcq_jsonl", "preference_jsonl", "table")  # the recipe says
    }
    assert (stated["epfl_preferences"], stated["sciq_support"]) == ("unlicensed", "CC-BY-NC-3.0")


PUBLIC = {
    "release": "public",
    "corpus": {"sources": [{"source": "from_sets"}]},
    "dpo": {
        "sources": [
            {"source": "preference_jsonl", "path": "mine.jsonl", "licence": "CC-BY-4.0"},
            {"source": "preference_jsonl", "path": "found.jsonl"},
            {"source": "epfl_preferences", "path": "preferences.json"},
        ]
    },
    "mcq": {
        "sources": [
            {"source": "sciq_support", "path": "train.json"},
            {"source": "mmlu", "path": "*.csv"},
        ]
    },
}


def test_a_public_release_names_every_source_that_may_not_be_passed_on() -> None:
    expected = "data that may be passed on"
    hint = (
        "take it out, set `release: private`, or give the `licence:` under which you may pass it on"
    )
    found = find_problems(make_recipe(PUBLIC).data)
    assert [
        (problem.where, problem.found, problem.expected, problem.hint) for problem in found
    ] == [
        (where, f"source `{name}` in a public release: {reason}", expected, hint)
        for where, name, reason in (
            ("data.dpo.sources[1]", "preference_jsonl", "its licence is not known"),
            ("data.dpo.sources[2]", "epfl_preferences", "it has no licence"),
            ("data.mcq.sources[0]", "sciq_support", "its licence CC-BY-NC-3.0 is non-commercial"),
        )
    ]
    assert find_problems(make_recipe(PUBLIC | {"release": "private"}).data) == []
