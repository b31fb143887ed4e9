"""Stage `rag`: a database of passages out of the recipe's sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rag.contamination import Contamination
from rag.corpus import Corpus
from rag.cutting import CUTTER
from rag.embedders import Opened, open_embedder
from rag.licensing import licences, refused
from rag.modes import Chosen, choose, describe
from rag.publishing import BuildFacts
from rag.questions import Question, evaluated, plain, read_questions
from rag.ranked import Question as ForFitting
from rag.settling import settle
from rag.writer import Counts, DatabaseWriter
from stemma.errors import UserError
from stemma.gate import recorded
from stemma.jsonl import write_json, write_jsonl
from stemma.progress import counting, phase
from stemma.recipe.rag import RagSection
from stemma.retrieval.database import DatabaseFacts
from stemma.retrieval.passages import Passage
from stemma.retrieval.settings import SearchSettings
from stemma.stages import Result, Say, Work

DATABASE = "database"
"""The stage's output: a folder."""
SKIPPED = "skipped.jsonl"
FITTED = "fitted.json"
"""All that was compared to settle how it is searched; only with validation questions."""
PROVEN_ON = 1000
"""Passages that the encoder's conversion is proven on, at most."""


def run(work: Work) -> Result:
    """Build the database in the stage's folder; a killed build goes on where it stopped.

    Raises UserError where the sources hold no passage, or not one has room.
    """
    section = work.recipe.rag
    assert section is not None
    if problems := list(refused(work.recipe)):
        raise UserError(problems)
    corpus = Corpus(section, Path(work.recipe.data.root))
    questions = read_questions(work.recipe, work.run)
    if section.mode != "all":
        phase(work.say, f"looking for passages of {len(questions):,} questions, in two passes")
    chosen = choose(section, questions, corpus.texts, work.recipe.seed)
    stream = _Stream(corpus, chosen, questions)
    sample = [one.text for one in islice(corpus.passages(), PROVEN_ON)] if section.encoder else []
    with open_embedder(section.encoder, work.folder, sample) as opened:
        facts, counts = _write(work, stream, opened)
        embedder = opened.embedder if opened else None
        asked = list(stream.for_fitting(questions))
        folder = work.folder / DATABASE
        settings, fitted = settle(folder, embedder, section.search, asked, section.context.passages)
        gates = recorded(opened.gates) if opened else []
    if fitted:
        write_json(work.folder / FITTED, fitted.model_dump(mode="json"))
        work.say(f"search fitted on {fitted.n:,} validation questions\n{fitted.table()}")
    else:
        work.say(_unfitted(settings))
    write_jsonl(work.folder / SKIPPED, [asdict(one) for one in corpus.skipped])
    _say_losses(work.say, facts, counts)
    return Result(
        outputs={"database": DATABASE, "skipped": SKIPPED} | ({"fitted": FITTED} if fitted else {}),
        counts=_counts(corpus, chosen, counts, facts, questions)
        | {"contaminated": dict(stream.kinds)},
        facts=_facts(section, facts, settings) | {"gates": gates},
    )


def _write(work: Work, stream: _Stream, opened: Opened | None) -> tuple[DatabaseFacts, Counts]:
    section = work.recipe.rag
    assert section is not None
    embedder = opened.embedder if opened else None
    model = opened.model if opened else None
    with DatabaseWriter(work.folder / DATABASE, embedder, section.max_bytes, model) as writer:
        counts = writer.add(stream.passages())
        writer.mark_contaminated(stream.marked)
        about = opened.embedder.facts if opened else {}
        facts = writer.finish(BuildFacts(describe(section), licences(section), about))
    return facts, counts


class _Stream:
    """The chosen passages on their way, with the marks that they get."""

    def __init__(self, corpus: Corpus, chosen: Chosen, questions: Sequence[Question]) -> None:
        self.marked: list[str] = []
        """Ids of contaminated passages."""
        self.kinds: Counter[str] = Counter()
        self._corpus = corpus
        self._chosen = chosen
        self._contamination = Contamination(evaluated(questions))
        self._supports = dict.fromkeys(one.support for one in questions if one.validates)
        """Texts that answer validation questions, and the ids of the passages that they are."""

    def passages(self) -> Iterator[Passage]:
        passages = counting(self._corpus.passages(), "reading passages", "passages")
        for place, passage in enumerate(passages):
            if not self._chosen.holds(place):
                continue
            if kind := self._contamination.kind_of(passage.searched):
                self.marked.append(passage.id)
                self.kinds[kind] += 1
            if (text := plain(passage.text)) in self._supports:
                self._supports[text] = passage.id
            yield passage

    def for_fitting(self, questions: Sequence[Question]) -> Iterator[ForFitting]:
        """The validation questions whose passages are known."""
        for one in questions:
            own = self._supports.get(one.support)
            known = frozenset([*one.passages, *([own] if own else [])])
            if one.validates and known:
                yield ForFitting(one.text, known)


def _unfitted(settings: SearchSettings) -> str:
    """How is searched where there was nothing to fit on."""
    abstains = "" if settings.threshold is not None else " and never abstains"
    return (
        "search not fitted: no validation question names a passage (`passage` or `support` in its "
        f"meta) that is in the database; it goes by {settings.arm}{abstains}, unless rag.search "
        "says more"
    )


def _say_losses(say: Say, facts: DatabaseFacts, counts: Counts) -> None:
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


def _facts(section: RagSection, facts: DatabaseFacts, settings: SearchSettings) -> dict[str, Any]:
    return {
        "mode": facts.mode,
        "licences": facts.licences,
        "max_bytes": section.max_bytes,
        "cut_by": CUTTER,
        "embedder": facts.embedder.model_dump(mode="json") if facts.embedder else None,
        "search": settings.model_dump(mode="json"),
    }
