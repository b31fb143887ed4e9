"""export.run: the whole stage on a tiny random model, broken off and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from export import run as stage
from stemma import ROOT
from stemma.errors import GateFailed
from stemma.files import write_text
from stemma.gate import HandOver
from stemma.jsonl import read_json
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import execute
from tests.factories.run_to_export import make_chain

EXPORT: dict[str, Any] = {
    "from": "sft",
    "merge": {"dtype": "float32"},
    "bitsandbytes": ["nf4"],
    "gguf": {"types": ["Q8_0", "Q4_K_M"]},
    "ship": "gguf-Q4_K_M",
}


def silent(text: str) -> None:
    del text


def digests(run: Run) -> dict[str, str]:
    return {name: output.sha256 for name, output in run.manifest("export").outputs.items()}


def test_a_failing_gate_names_the_step_and_the_figures() -> None:
    good = HandOver("gguf-F16", "converting").at_most("mean KL", 0.001, 0.002, 9)
    bad = HandOver("gguf-Q8_0", "quantising").at_most("mean KL", 0.5, 0.02, 9)
    with pytest.raises(GateFailed) as error:
        stage._stop_if_broken([good, bad])
    assert str(error.value) == (
        "quantising (gguf-Q8_0) broke the model; nothing is handed on.\n"
        "  gguf-Q8_0: mean KL: 0.5 (at most 0.02, n = 9) FAILED\n"
        "hint: --force makes every file anew; "
        "max_kl and min_top1 under export.gates in the recipe set other limits"
    )


@pytest.mark.slow
def test_killed_and_run_again_it_ends_the_same(tmp_path: Path) -> None:
    recipe, run = make_chain(tmp_path, EXPORT)
    _kill_after(run.folder("export") / "merged", recipe, run)
    assert run.read_manifest("export") is None
    kept = (run.folder("export") / "merged" / "model.safetensors").stat().st_mtime_ns
    write_text(run.folder("export") / ".trial-Q8_0.gguf.part", "half a file")

    assert execute(recipe, run, "export", silent) == "done"
    assert (run.folder("export") / "merged" / "model.safetensors").stat().st_mtime_ns == kept
    assert all(gate["passed"] for gate in read_json(run.output("export", "gates")))
    assert not list(run.folder("export").glob(".*part"))
    resumed = digests(run)
    assert set(resumed) == {"merged", "bnb-nf4", "gguf-Q8_0", "gguf-Q4_K_M", "gates"}

    assert execute(recipe, run, "export", silent) == "up to date"
    assert execute(recipe, run, "export", silent, force=True) == "done"
    assert digests(run) == resumed


@pytest.mark.slow
def test_the_base_itself_can_be_exported(tmp_path: Path) -> None:
    recipe, run = make_chain(
        tmp_path, EXPORT | {"from": "base", "merge": {"dtype": "bfloat16"}, "bitsandbytes": []}
    )
    assert execute(recipe, run, "export", silent) == "done"
    merged = run.output("export", "merged")
    assert read_json(merged / "config.json")["dtype"] == "bfloat16"
    assert read_json(merged / "generation_config.json")["eos_token_id"] == [1, 107]
    config = read_json(merged / "tokenizer_config.json")
    assert config["added_tokens_decoder"]["106"]["content"] == "<start_of_turn>"
    assert "vocab_file" not in config


def _kill_after(output: Path, recipe: Recipe, run: Run) -> None:
    """Start the stage as a process of its own and kill it (-9) as soon as `output` is there."""
    recipe_file = run.root.parent / "recipe.json"
    write_text(recipe_file, recipe.model_dump_json(by_alias=True))
    code = (
        "import sys; from pathlib import Path;"
        "from stemma.recipe.models import Recipe; from stemma.runs import Run;"
        "from stemma.stages import execute; import json;"
        "settings = json.loads(Path(sys.argv[1]).read_text()) | {'path': Path(sys.argv[2])};"
        "recipe = Recipe.model_validate(settings);"
        "execute(recipe, Run(Path(sys.argv[3])), 'export', print)"
    )
    arguments = [str(recipe_file), str(recipe.path), str(run.root)]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    for _ in range(1200):
        if output.exists() or child.poll() is not None:
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
