from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from data_builders import SOURCES, find_problems
from data_builders.drafts import PHASES, ROW_MODELS
from stemma import ROOT
from stemma.recipe import SourceOptions
from tests.data_builders.small_recipe import make_recipe


def test_every_file_of_sources_is_registered_and_complete() -> None:
    files = {path.stem for path in (ROOT / "data_builders" / "sources").glob("*.py")} - {"__init__"}
    assert set(SOURCES) == files
    assert len(files) == 7
    for name, module in SOURCES.items():
        assert issubclass(module.Options, SourceOptions)
        assert module.Options.model_fields["source"].annotation.__args__ == (name,)
        assert set(module.KINDS) <= set(ROW_MODELS)
        assert module.KINDS
        assert module.PHASE in PHASES
        assert "{" in (module.__doc__ or ""), f"{name} shows no example row"


def test_the_registry_loads_neither_torch_nor_the_network_client() -> None:
    heavy = ("torch", "transformers", "openai", "httpx2")
    code = f"import data_builders, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_source_in_a_set_it_cannot_make_is_named_with_what_fits(tmp_path: Path) -> None:
    recipe = make_recipe({"sft": {"sources": [{"source": "mcq_jsonl", "path": "m.jsonl"}]}})
    [problem] = find_problems(recipe.data)
    assert str(problem) == (
        "data.sft.sources[0]: source `mcq_jsonl` cannot make sft rows\n"
        "  expected: one of gsm8k, stem_exercises\n"
        "  hint: it makes mcq"
    )


def test_a_corpus_has_no_test_part_and_generated_pairs_need_a_generator() -> None:
    recipe = make_recipe(
        {
            "corpus": {"sources": [{"source": "stem_exercises", "use": "test"}]},
            "dpo": {"sources": [{"source": "generated_pairs"}]},
        }
    )
    assert [str(problem) for problem in find_problems(recipe.data)] == [
        "data.corpus.sources[0]: use: test\n  expected: train or split: a corpus has no other part",
        "data.generator: missing, but data.dpo.sources[0] asks it\n  expected: a generator section",
    ]
