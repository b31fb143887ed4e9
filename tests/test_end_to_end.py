"""The whole chain through the real command line, at a fraction of its size: kills, resumption, freshness, sharing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_json
from stemma.retrieval import minilm
from stemma.runs import Run
from stemma.wheels import cache

QUESTIONS = "{source: encyclopaedia, rows: questions, count: 48, use: test}"
SMALL = {
    "base.max_steps": "40",
    "train.max_steps": "12",
    "train.save_steps": "4",
    "dpo.num_epochs": "1",
    # The encyclopaedia first: a limit takes the first rows, and the arm `gold` needs some of these.
    "data.sft.sources.0": QUESTIONS,
    "data.sft.sources.2": "{source: stem_exercises}",
    "data.mcq.sources.0": QUESTIONS,
    "data.mcq.sources.2": "{source: stem_exercises, answer_as: text}",
    "eval.tasks": "[{task: mcq, limit: 8}, {task: preference, limit: 8}, {task: generation, limit: 8}]",
}
ENCODER = {
    "rag.encoder": f"{{model: 'pip:{minilm.WHEEL.requirement}'}}",
    "rag.search": "{arm: hybrid, k: 10}",
    "rag.context": "{passages: 2, max_tokens: 128, prompt: facts}",
}
"""A sentence encoder in tiny's retrieval, which searches by words alone."""
STAGES = ("data", "base", "sft", "dpo", "mcq", "export", "rag", "eval", "report")


def command(verb: str, recipe: str, runs: Path, *more: str) -> list[str]:
    overrides = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "stemma", verb, recipe, *overrides, "--runs", str(runs), *more]


def stemma(verb: str, recipe: str, runs: Path, *more: str) -> dict[str, str]:
    """What the verb says of each stage."""
    done = subprocess.run(
        command(verb, recipe, runs, *more), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(
        line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith(STAGES)
    )


def kill_when(there: Path, pattern: str, arguments: list[str]) -> None:
    """Start a command and `kill -9` it once a file matching `pattern` lies under `there`."""
    child = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not any(there.glob(pattern)):
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, f"no {pattern} in {there}"
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


def digests(run: Run, stage: str) -> dict[str, str]:
    return {name: output.sha256 for name, output in run.manifest(stage).outputs.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both tests' runs lie: the second goes on with what the first has trained."""
    return tmp_path_factory.mktemp("chain") / "runs"


@pytest.mark.slow
def test_the_chain_survives_kills_and_shares_its_stages(runs: Path) -> None:
    again = runs.parent / "again"
    run = Run(runs / "tiny")
    stemma("data", "tiny", runs)
    stemma("base", "tiny", runs)
    shutil.copytree(runs, again)

    kill_when(
        run.folder("sft"), "training/checkpoint-*/trainer_state.json", command("sft", "tiny", runs)
    )
    assert run.read_manifest("sft") is None
    stemma("sft", "tiny", runs)
    stemma("sft", "tiny", again)
    killed, whole = digests(run, "sft"), digests(Run(again / "tiny"), "sft")
    assert killed["adapter"] == whole["adapter"]
    assert killed["merged"] == whole["merged"]

    stemma("dpo", "tiny", runs)
    stemma("mcq", "tiny", runs)
    kill_when(run.folder("export"), "merged/model.safetensors", command("export", "tiny", runs))
    assert run.read_manifest("export") is None
    stemma("export", "tiny", runs)
    resumed = digests(run, "export")
    stemma("export", "tiny", runs, "--force")
    assert digests(run, "export") == resumed

    stemma("all", "tiny", runs)
    assert stemma("all", "tiny", runs) == dict.fromkeys(STAGES, "up to date")
    assert (run.output("report", "html")).stat().st_size > 10_000

    shared = stemma("all", "tiny-base-dpo", runs)
    assert {shared["data"], shared["base"]} == {"reused"}
    assert "sft" not in shared
    assert shared["report"].startswith("done")


@pytest.mark.slow
def test_a_trained_model_reads_what_a_sentence_encoder_finds(runs: Path) -> None:
    try:
        minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(f"no all-MiniLM-L6-v2: {error}")
    stemma("all", "tiny", runs)
    given = [part for key, value in ENCODER.items() for part in ("--set", f"{key}={value}")]
    told = stemma("all", "tiny", runs, *given)
    assert {stage: said for stage, said in told.items() if not said.startswith("done")} == (
        dict.fromkeys(STAGES[:6], "up to date")
    )
    run = Run(runs / "tiny")
    manifest = run.manifest("rag")
    assert manifest.counts["embedded"] == manifest.counts["passages"] > 0
    assert [gate["passed"] for gate in manifest.facts["gates"]] == [True]

    scores = {
        (score["variant"], score["task"], score["metric"]): score
        for score in read_json(run.output("eval", "results"))
    }
    searched = read_dicts(run.output("eval", "searched"))
    for arm in ("bm25", "dense", "hybrid"):
        places = [places_of(row["gold"], row[arm]["ranks"]) for row in searched]
        by_hand = {
            "recall_at_1": [1.0 in found for found in places],
            "mrr_at_10": [max((1 / place for place in found), default=0.0) for found in places],
        }
        for metric, values in by_hand.items():
            score = scores[arm, "retrieval", metric]
            assert score["n"] == len(searched) > 0
            assert score["value"] == pytest.approx(sum(values) / len(values))

    for task in ("mcq", "generation"):
        name = "gguf-Q4_K_M+retrieved"
        samples = read_dicts(run.output("eval", f"samples/{name}/{task}"))
        assert scores[name, task, "accuracy"]["n"] == len(samples) == 8
        contexts = read_dicts(run.output("eval", f"contexts/{task}+retrieved"))
        assert [row["id"] for row in contexts] == [row["id"] for row in samples]
        asked = [row for row in contexts if row["passages"]]
        assert asked
        assert all(one["cosine"] is not None for row in asked for one in row["passages"])
    page = run.output("report", "html").read_text(encoding="utf-8")
    assert "gguf-Q4_K_M+retrieved" in page
    assert "hybrid" in page


def places_of(gold: list[str], ranks: list[str]) -> list[float]:
    """The places, from 1, at which a question's own passages were found."""
    return [float(place) for place, name in enumerate(ranks, 1) if name in gold]
