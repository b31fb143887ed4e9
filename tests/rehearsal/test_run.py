"""The rehearsal: refused before anything runs where the machine is too small; run whole, killed,
and failing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.cli import main
from stemma.errors import StageFailed, UserError
from stemma.jsonl import write_json, write_jsonl
from stemma.plan.peaks import PROCESS
from stemma.rehearsal import run as rehearse
from stemma.rehearsal.changes import Machine
from stemma.rehearsal.fitting import Request, fit
from stemma.rehearsal.run import stepping_seconds
from stemma.rehearsal.text import Measured
from stemma.runs import Run
from stemma.workplace import locked

STAGES = ("model", "data", "sft", "dpo", "mcq", "export", "eval", "report", "chat")


def machine(memory: float, disk: float) -> Machine:
    return Machine(round(memory * 1e9), round(disk * 1e9), bfloat16=True, gpu=False)


@pytest.mark.usefixtures("torch_for_cpus")
def test_too_small_a_machine_is_told_with_figures(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        fit(Request("gemma2b", [], tmp_path), machine(8, 30))
    memory, disk = caught.value.problems
    # The gates hold 2,506,172,416 weights in float32 and the embedding once more in bf16, 11.07 GB;
    # two processes with their engines are 2 x 0.67 GB.
    needed = 4 * 2_506_172_416 + 2 * 256_000 * 2048 + 2 * PROCESS["engines"]
    assert (memory.where, memory.found) == ("memory", "8.0 GB are free")
    assert float(memory.expected.removesuffix(" GB")) >= round(needed / 1e9, 1) == 12.4
    assert "LAYERS=2" in memory.hint
    assert (disk.where, disk.found) == ("disk", "30.0 GB are free")
    assert 30 < float(disk.expected.removesuffix(" GB")) < 50
    assert not (tmp_path / "rehearsals" / "gemma2b" / ".config").exists()


def test_fewer_layers_need_less(tmp_path: Path) -> None:
    settled = fit(Request("gemma2b", [], tmp_path, layers=2), machine(9, 30))
    assert settled.config.num_hidden_layers == 2
    assert settled.recipe.base_model == str(tmp_path / "rehearsals" / "gemma2b" / "model")


@pytest.mark.usefixtures("torch_for_cpus")
def test_batches_shrink_before_anything_is_refused(tmp_path: Path) -> None:
    settled = fit(Request("gemma2b", [], tmp_path, layers=2), machine(9, 30))
    # Logits of 8 x 256 tokens, 256,000 pieces, 12 bytes each, are 6.3 GB: 2 fit beside 1.5 GB of
    # weights.
    assert settled.recipe.axolotl("mcq")["micro_batch_size"] == 4
    assert "mcq: micro_batch_size 8 → 4, to fit into memory" in settled.changes.notes


def test_what_the_user_sets_holds(tmp_path: Path) -> None:
    request = Request(
        "gemma2b", ["mcq.sequence_len=64", "export.gguf={types: [Q8_0, Q4_K_M]}"], tmp_path, 1
    )
    with pytest.raises(UserError, match=r"eval\.variants: unknown gguf-Q6_K"):
        fit(request, machine(20, 100))
    settled = fit(Request("gemma2b", ["mcq.sequence_len=64"], tmp_path, 1), machine(20, 100))
    assert settled.recipe.axolotl("mcq")["sequence_len"] == 64


def test_a_base_model_that_the_user_sets_is_rehearsed_on_made_weights(tmp_path: Path) -> None:
    """It is the real model: its shapes are taken, its weights are not, and need not be there."""
    folder = tmp_path / "theirs"
    config = {"model_type": "gemma", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96}
    config |= {
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
    }
    write_json(folder / "config.json", config)
    request = Request("gemma2b", [f"base_model={folder}", "base_revision=null"], tmp_path / "runs")
    settled = fit(request, machine(20, 100))
    assert settled.recipe.base_model == str(tmp_path / "runs" / "rehearsals" / "gemma2b" / "model")
    assert (settled.config.hidden_size, settled.config.num_hidden_layers) == (64, 3)


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_stage_took_is_in_the_table(
    fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds too, of a stage that fails as well."""
    settled = fit(Request("tiny", [], tmp_path), machine(20, 100))
    figures: dict[str, Measured] = {}

    def work(*_: object) -> str:
        time.sleep(0.3)
        if fails:
            raise StageFailed("the stage failed")
        return "done"

    monkeypatch.setattr(rehearse, "_do", work)
    with pytest.raises(StageFailed) if fails else nullcontext():
        rehearse._run(settled, "eval", figures, lambda _: None)
    assert 0.3 <= figures["eval"].seconds < 60
    assert figures["eval"].process > 1e7


def test_two_rehearsals_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "rehearsals" / "tiny"
    root.mkdir(parents=True)
    with locked(root):
        assert main(["rehearse", "tiny", "--runs", str(tmp_path)]) == 2
    assert (
        f"{root}: another process is working here\n  hint: wait for it, or end it"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("recipe", "layers", "origin"), [("gemma2b", 18, "published shapes"), ("tiny", 3, "the recipe")]
)
def test_more_layers_than_there_are(
    recipe: str, layers: int, origin: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rehearse", recipe, "--layers", "99", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(
        f"--layers: 99\n  expected: 1 to {layers}, by {origin}"
    )
    assert not list(tmp_path.rglob("*.*"))


def test_an_unknown_model_is_one_clear_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "base_model=nobody/knows"
    assert main(["rehearse", "qwen2.5-0.5b", "--set", model, "--runs", str(tmp_path)]) == 2
    assert "`nobody/knows`: its shapes are not known on this machine" in capsys.readouterr().err


def command(recipe: str, runs: Path, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "stemma",
        "rehearse",
        recipe,
        "--layers",
        "2",
        "--runs",
        str(runs),
        *more,
    ]


def rows_of(table: str) -> dict[str, list[str]]:
    return {
        line.split()[0]: line.split()[1:] for line in table.splitlines() if line.startswith(STAGES)
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gemma-2-2b", "gemma-3-1b", "qwen2.5-0.5b", "qwen3-0.6b", "llama3.2-1b"]
)
def test_a_family_with_two_layers(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(name, tmp_path), cwd=ROOT, capture_output=True, text=True, check=False
    )
    shutil.rmtree(tmp_path / "rehearsals" / name / "model", ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = rows_of(done.stdout)
    assert tuple(rows) == STAGES
    for stage in ("sft", "dpo", "mcq"):
        figures = rows[stage]
        assert figures.pop(6) == "–", (
            "the full run's hours, which no one knows while the sources' files are not there"
        )
        seconds, memory, fullest, _, disk, _, _, full_disk = (
            float(figure.replace(",", "")) for figure in figures
        )
        assert seconds > 1
        # Sampled, a mapped file once; the fullest alone is the kernel's own mark: it may be more.
        assert memory > 1
        assert fullest > 1
        assert full_disk > disk > 0
    shutil.rmtree(tmp_path / "rehearsals")


@pytest.mark.slow
def test_a_killed_rehearsal_goes_on_and_a_failing_stage_is_told(tmp_path: Path) -> None:
    made = tmp_path / "rehearsals" / "qwen2.5-0.5b"
    child = subprocess.Popen(
        command("qwen2.5-0.5b", tmp_path),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not (made / "dpo").is_dir():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    # A budget no format can keep, so that the export stops.
    strict = command("qwen2.5-0.5b", tmp_path, "--set", "export.gates.max_kl={gguf-Q4_K_M: 1e-12}")
    failed = subprocess.run(strict, cwd=ROOT, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "failed: the rehearsal stopped at `export`" in failed.stderr
    assert re.search(r"gguf-Q4_K_M: mean KL, nats per token: .* FAILED", failed.stderr)
    rows = rows_of(failed.stderr)
    assert tuple(rows) == STAGES[:6], "the table so far, the failing stage too"
    assert "[sft] up to date" in failed.stderr
    assert "resumed: dpo" in failed.stderr


def test_steps_are_told_from_evaluations(tmp_path: Path) -> None:
    run = Run(tmp_path)
    rows = [
        {"eval_runtime": 8.0},
        {"loss": 1.0},
        {"eval_runtime": 7.5},
        {"train_runtime": 100.5, "step": 3},
    ]
    write_jsonl(run.folder("dpo") / "history.jsonl", rows)
    assert stepping_seconds(run, "dpo") == 85.0
    assert stepping_seconds(run, "export") == 0.0
