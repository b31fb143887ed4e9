"""Stage `rag`: a database of passages out of the recipe's sources."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rag.contamination import Contamination
from rag.corpus import Corpus
from rag.cutting import CUTTER
from rag.modes import Chosen, choose, describe
from rag.publishing import BuildFacts
from rag.questions import Question, evaluated, read_questions
from rag.writer import Counts, DatabaseWriter
from stemma.jsonl import write_jsonl
from stemma.recipe.rag import RagSection
from stemma.retrieval.database import DatabaseFacts
from stemma.retrieval.passages import Passage
from stemma.stages import Result, Say, Work

DATABASE = "database"
"""The stage's output: a folder."""
SKIPPED = "skipped.jsonl"
SAY_SECONDS = 15.0
"""Between two lines on how far a build is."""


def run(work: Work) -> Result:
    """Build the database in the stage's folder; a killed build goes on where it stopped.

    Raises UserError where the sources hold no passage, or not one has room.
    """
    section = work.recipe.rag
    assert section is not None
    corpus = Corpus(section, Path(work.recipe.data.root))
    questions = read_questions(work.recipe, work.run)
    if section.mode != "all":
        work.say(f"looking for passages of {len(questions):,} questions, in two passes")
    chosen = choose(section, questions, corpus.texts, work.recipe.seed)
    kinds: Counter[str] = Counter()
    with DatabaseWriter(work.folder / DATABASE, None, section.max_bytes) as writer:
        stream = _Stream(corpus, chosen, Contamination(evaluated(questions)), work.say)
        counts = writer.add(stream.passages())
        writer.mark_contaminated(stream.marked)
        kinds = stream.kinds
        facts = writer.finish(BuildFacts(describe(section), corpus.licences()))
    write_jsonl(work.folder / SKIPPED, [asdict(one) for one in corpus.skipped])
    _say_result(work.say, facts, counts)
    return Result(
        outputs={"database": DATABASE, "skipped": SKIPPED},
        counts=_counts(corpus, chosen, counts, facts, questions) | {"contaminated": dict(kinds)},
        facts=_facts(section, facts),
    )


class _Stream:
    """The chosen passages on their way, with the marks that they get."""

    def __init__(
        self, corpus: Corpus, chosen: Chosen, contamination: Contamination, say: Say
    ) -> None:
        self.marked: list[str] = []
        """Ids of contaminated passages."""
        self.kinds: Counter[str] = Counter()
        self._corpus = corpus
        self._chosen = chosen
        self._contamination = contamination
        self._say = say

    def passages(self) -> Iterator[Passage]:
        said = time.monotonic()
        for place, passage in enumerate(self._corpus.passages()):
            if not self._chosen.holds(place):
                continue
            if kind := self._contamination.kind_of(passage.searched):
                self.marked.append(passage.id)
                self.kinds[kind] += 1
            yield passage
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                self._say(f"{place + 1:,} passages read")


def _say_result(say: Say, facts: DatabaseFacts, counts: Counts) -> None:
    say(f"{facts.passages:,} passages in {facts.bytes / 1e6:,.1f} MB ({facts.mode})")
    if counts.left_out:
        say(
            f"warning: {counts.left_out:,} passages were left out: no room within "
            f"rag.max_bytes = {facts.max_bytes:,}"
        )
    if facts.contaminated:
        say(f"{facts.contaminated:,} of them hold an evaluated question's options or answer")


def _counts(
    corpus: Corpus,
    chosen: Chosen,
    counts: Counts,
    facts: DatabaseFacts,
    questions: list[Question],
) -> dict[str, Any]:
    sources = {
        name: {
            "documents": read.documents,
            "skipped": dict(read.skipped),
            "passages": read.passages,
            "kept": facts.sources.get(name, 0),
        }
        for name, read in corpus.read.items()
    }
    return {
        "sources": sources,
        "passages": facts.passages,
        "bytes": facts.bytes,
        "duplicates": counts.duplicates,
        "left_out": counts.left_out,
        "embedded": counts.embedded,
        "questions": len(questions),
        "questions_that_chose": chosen.questions,
        "questions_without_a_passage": chosen.without,
        "distractors": chosen.distractors,
    }


def _facts(section: RagSection, facts: DatabaseFacts) -> dict[str, Any]:
    return {
        "mode": facts.mode,
        "licences": facts.licences,
        "max_bytes": section.max_bytes,
        "cut_by": CUTTER,
        "search": facts.search.model_dump(mode="json"),
    }
