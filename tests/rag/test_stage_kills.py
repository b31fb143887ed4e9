"""The real stage with a real encoder, killed while it embeds: the same end, nothing done twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.writer import EMBEDDED_AT_ONCE
from stemma import ROOT
from stemma.digests import digest_of, files_under
from stemma.errors import UserError
from stemma.retrieval import minilm
from stemma.retrieval.database import Database
from stemma.runs import Run
from stemma.wheels import cache

COUNTED = """\
import runpy, sys
from stemma.retrieval.embedding import LlamaEmbedder
log, sys.argv = sys.argv[1], ["stemma", *sys.argv[2:]]
embed = LlamaEmbedder.passages
def counted(self, texts):
    with open(log, "a") as stream:
        stream.writelines(text.split()[1] + "\\n" for text in texts)
    return embed(self, texts)
LlamaEmbedder.passages = counted
runpy.run_module("stemma", run_name="__main__")
"""
"""The command itself; each text that reaches the encoder: noted by its word after the title."""
RECIPE = """\
name: killed
data:
  near_duplicates: null
  mcq: {{sources: [{{source: mcq_jsonl, path: mcq.jsonl}}]}}
rag:
  sources: [{{source: table, path: facts.csv, columns: {{text: fact, id: nr}}}}]
  encoder: {{model: {model}}}
"""
MCQ = '{{"question": "Question: Who is {0}?\\n\\nOptions:\\nA. a{0}\\nB. b{0}", "answer": "A"}}\n'
WORDS = [f"{one}{end}" for one in ("iron", "cell", "tide", "leaf", "heat") for end in ("", "s")]
KILLS = 10
FACTS = 2500


def put(folder: Path, facts: int) -> Path:
    """A recipe of `facts` passages, each with a first word of its own."""
    try:
        model = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error))
    folder.mkdir(parents=True)
    (folder / "mcq.jsonl").write_text(
        "".join(MCQ.format(f"own{nr} {WORDS[nr % 10]}") for nr in range(40)), encoding="utf-8"
    )
    drawn = random.Random(5)
    rows = (f"{nr},own{nr} {' '.join(drawn.choices(WORDS, k=6))}\n" for nr in range(facts))
    (folder / "facts.csv").write_text("nr,fact\n" + "".join(rows), encoding="utf-8")
    (folder / "killed.yml").write_text(RECIPE.format(model=model), encoding="utf-8")
    return folder / "killed.yml"


def start(stage: str, recipe: Path, runs: Path, log: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", COUNTED, str(log), stage, str(recipe), "--runs", str(runs)]
    command += ["--set", f"data.root={recipe.parent}"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    said = process.communicate()[1]
    assert process.returncode == 0, said
    return said


def digests(database: Path) -> dict[str, str]:
    return {path.name: digest_of(path) for path in files_under(database)}


@pytest.mark.slow
def test_kills_at_random_moments_end_as_if_there_were_none(tmp_path: Path) -> None:
    count = FACTS
    recipe = put(tmp_path / "course", count)
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for runs in (calm, killed):
        finish(start("data", recipe, runs, tmp_path / "data.log"))
    finish(start("rag", recipe, calm, tmp_path / "calm.log"))
    log = tmp_path / "killed.log"
    log.touch()
    drawn = random.Random(11)
    kills = 0
    while kills < KILLS:
        wanted = log.read_text().count("\n") + drawn.randint(1, count // KILLS)
        process = start("rag", recipe, killed, log)
        while process.poll() is None and log.read_text().count("\n") < wanted:
            time.sleep(0.005)
        time.sleep(drawn.random() * 0.3)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        assert Run(killed / "killed").read_manifest("rag") is None
    finish(start("rag", recipe, killed, log))
    assert kills >= KILLS // 2
    whole = Run(calm / "killed").output("rag", "database")
    again = Run(killed / "killed").output("rag", "database")
    assert digests(whole) == digests(again)
    embedded = log.read_text().split()
    assert set(embedded) == {f"own{number}" for number in range(count)}
    # What was not committed yet when the kill came: one transaction at most.
    assert len(embedded) - count <= kills * EMBEDDED_AT_ONCE
    with Database.open(again) as database:
        database.verify()
        assert database.count == count
