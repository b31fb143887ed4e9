"""Documents added, replaced, renamed and deleted, and the stage run again: only what is new is
embedded, and the end is that of a build from nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest

from stemma.digests import digest_of
from stemma.errors import UserError
from stemma.recipe.load import load
from stemma.retrieval import minilm
from stemma.retrieval.database import PASSAGES, Database
from stemma.retrieval.passages import Hit
from stemma.retrieval.search import open_searcher
from stemma.retrieval.settings import Arm
from stemma.runs import Run
from stemma.stages import execute
from stemma.wheels import cache
from tests.factories.retrieval import FACTS, LetterEmbedder, build, passage

RECIPE = """\
name: course
data:
  near_duplicates: null
  mcq: {{sources: [{{source: mcq_jsonl, path: mcq.jsonl}}]}}
rag:
  passage_words: 12
  sources: [{{source: documents, path: notes}}]
{more}"""
METALS = ("iron", "gold", "zinc", "lead", "copper", "silver")
QUERIES = ("Which metal rusts?", "how dense is gold", "batteries of lead", "tarnish", "platinum")


def note(metal: str, *more: str) -> str:
    facts = [
        f"The metal {metal} melts in a furnace and is cast into bars.",
        f"Miners dig ore of {metal} out of hills in many countries.",
        *more,
    ]
    return f"# {metal}\n\n" + "\n\n".join(facts) + "\n"


def put(folder: Path, more: str = "") -> Path:
    (folder / "notes").mkdir(parents=True)
    for metal in METALS:
        extra = f"Old books say {metal} belongs to a planet of the sky."
        (folder / "notes" / f"{metal}.md").write_text(note(metal, extra), encoding="utf-8")
    rows = (
        {
            "question": f"Question: What is {one}?\n\nOptions:\nA. a {one}\nB. no {one}",
            "answer": "A",
        }
        for one in (
            "rust",
            "ore",
            "brass",
            "steel",
            "bronze",
            "slag",
            "tin",
            "alloy",
            "flux",
            "coke",
        )
    )
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "mcq.jsonl").write_text(text, encoding="utf-8")
    (folder / "course.yml").write_text(RECIPE.format(more=more), encoding="utf-8")
    return folder


def change(notes: Path) -> None:
    """Add, rename, lengthen at the beginning, replace in the middle, and delete documents."""
    (notes / "platinum.md").write_text(note("platinum"), encoding="utf-8")
    (notes / "gold.md").rename(notes / "aurum.md")
    zinc = (notes / "zinc.md").read_text(encoding="utf-8")
    first = "# zinc\n\nThis note was checked by somebody who knows zinc very well.\n\n"
    (notes / "zinc.md").write_text(zinc.replace("# zinc\n\n", first), encoding="utf-8")
    lead = (notes / "lead.md").read_text(encoding="utf-8")
    (notes / "lead.md").write_text(lead.replace("Miners dig", "Nobody digs"), encoding="utf-8")
    (notes / "silver.md").unlink()


def run_stage(folder: Path, runs: Path) -> Run:
    recipe = load(folder / "course.yml", [f"data.root={folder}"])
    run = Run(runs / "course")
    for stage in ("data", "rag"):
        execute(recipe, run, stage, lambda _: None)
    return run


def found(database: Path, arm: Arm, k: int = 30) -> list[list[Hit]]:
    with open_searcher(database) as searcher:
        return searcher.search(QUERIES, k, arm)


def ids(hits: Sequence[Sequence[Hit]]) -> list[list[str]]:
    return [[hit.passage.id for hit in one] for one in hits]


def gone(database: Path, arms: Sequence[Arm]) -> None:
    """Assert that nothing is left of what was deleted, replaced or renamed."""
    with Database.open(database) as opened:
        opened.verify()
        everything = opened.passages(range(opened.count))
        for name in ("silver.md#1", "gold.md#1", "gold.md#2"):
            assert opened.number_of(f"documents:notes/{name}") is None
        assert opened.number_of("documents:notes/aurum.md#1") is not None
    texts = [one.text for one in everything]
    assert not any("silver" in text or "dig ore of lead" in text for text in texts)
    with open_searcher(database) as searcher:
        for arm in arms:
            old = ["Miners dig ore of silver out of hills", "Miners dig ore of lead", "gold bars"]
            for hits in searcher.search(old, 100, arm):
                assert {hit.passage.id for hit in hits} <= {one.id for one in everything}


def test_a_changed_folder_ends_as_a_build_from_nothing(tmp_path: Path) -> None:
    folder = put(tmp_path / "course")
    before = run_stage(folder, tmp_path / "runs").manifest("rag")
    change(folder / "notes")
    again = run_stage(folder, tmp_path / "runs")
    fresh = run_stage(folder, tmp_path / "fresh")
    there, whole = again.output("rag", "database"), fresh.output("rag", "database")
    assert again.manifest("rag").counts["passages"] != before.counts["passages"]
    assert digest_of(there / PASSAGES) == digest_of(whole / PASSAGES)
    assert found(there, "bm25") == found(whole, "bm25")
    gone(there, ["bm25"])


def test_renamed_and_renumbered_passages_are_not_embedded_again(tmp_path: Path) -> None:
    build(tmp_path / "db", FACTS, LetterEmbedder())
    embedder = LetterEmbedder()
    moved = [passage(f"{one.id}-2", one.text, one.title, one.source) for one in FACTS[1:]]
    titled = passage(FACTS[0].id, FACTS[0].text, "Another title")
    build(tmp_path / "db", [passage("new", "A new text."), titled, *moved], embedder)
    assert embedder.read == ["A new text.", titled.searched]
    with Database.open(tmp_path / "db") as database:
        assert database.vectors
        for number, one in enumerate(database.passages(range(database.count))):
            expected = embedder.queries([one.searched])[0].astype("float16")
            assert (database.vectors.of([number])[0] == expected).all()


@pytest.mark.slow
def test_only_new_passages_reach_the_encoder(tmp_path: Path) -> None:
    try:
        model = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error))
    folder = put(tmp_path / "course", f"  encoder: {{model: {model}}}\n")
    first = run_stage(folder, tmp_path / "runs").manifest("rag").counts
    assert first["embedded"] == first["passages"]
    change(folder / "notes")
    again = run_stage(folder, tmp_path / "runs")
    fresh = run_stage(folder, tmp_path / "fresh")
    there, whole = again.output("rag", "database"), fresh.output("rag", "database")
    assert digest_of(there / PASSAGES) == digest_of(whole / PASSAGES)
    counts = again.manifest("rag").counts
    with Database.open(there) as database:
        texts = [one.text for one in database.passages(range(database.count))]
    new = [text for text in texts if "platinum" in text or "Nobody" in text or "checked" in text]
    # A passage takes whole sentences up to 12 words, so the new ones are these and no others.
    assert counts["embedded"] == len(new) < first["embedded"]
    arms: tuple[Arm, ...] = ("bm25", "dense", "hybrid")
    for arm in arms:
        one, other = found(there, arm), found(whole, arm)
        assert ids(one) == ids(other)
        for hit, same in zip(chain(*one), chain(*other), strict=True):
            assert hit.score == pytest.approx(same.score, abs=1e-3)
    gone(there, arms)
    assert execute(load(folder / "course.yml", [f"data.root={folder}"]), again, "rag", print) == (
        "up to date"
    )
