"""A database of passages, written: resumable, within its bytes, whole or not at all.

It grows in a folder of its own beside the final one, `.NAME.building`, and takes its place when it
is finished; until then readers see the database that was there before. A killed build goes on where
it stopped: vectors are on disk before their passages are, and passages that are there are not
embedded again, nor are those of the database that was there before.

Time: linear in passages. Memory: one byte a passage, and one block of words (`lexical.BLOCK`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rag.binding import binding_of
from rag.earlier import Earlier
from rag.growing import Growing
from rag.publishing import BuildFacts, Held, facts_of, put_in_place, put_model, restore
from rag.refusals import acceptable, refuse_other, told
from rag.store import digest_of_text
from rag.vector_file import Rows
from stemma.errors import Problem, UserError
from stemma.files import new_folder, remove
from stemma.retrieval.database import FACTS, PASSAGES, Database, DatabaseFacts
from stemma.retrieval.passages import Embedder, Passage

AT_ONCE = 512
"""Passages of one transaction."""
EMBEDDED_AT_ONCE = 128
"""The same with an embedder: what a kill may embed twice, at most."""


@dataclass
class Counts:
    """What became of the passages that were added."""

    added: int = 0
    already_there: int = 0
    """Of a build that was interrupted, or added twice."""
    duplicates: int = 0
    """Their text is there under another id."""
    left_out: int = 0
    """No room within `max_bytes`."""
    embedded: int = 0
    """Texts that the embedder read; the others' vectors were there."""


class DatabaseWriter:
    """A database that is being built, or changed.

    Without `update` it will hold what is added to this writer, and nothing else. With it, it begins
    as a copy of the finished database. `model`: the embedder's own file or folder, which goes with
    the vectors. Close it, or use it as a context: what is written stays for the next attempt.

    Raises UserError for a full disk, and for an update by another embedder.
    """

    def __init__(
        self,
        folder: Path,
        embedder: Embedder | None,
        max_bytes: int,
        model: Path | None = None,
        update: bool = False,
    ) -> None:
        self.folder = folder
        self.embedder = embedder
        self.max_bytes = max_bytes
        self.counts = Counts()
        self.update = update
        self.work = folder.with_name(f".{folder.name}.{'changing' if update else 'building'}")
        self._earlier: Earlier | None = None
        with told(self.work):
            self._begin(model)

    def _begin(self, model: Path | None) -> None:
        restore(self.folder)
        binding = {
            "embedder": self.embedder.digest if self.embedder else None,
            "dimensions": self.embedder.dimensions if self.embedder else 0,
        }
        if self.update:
            self._copy(binding)
        elif self.work.exists() and binding_of(self.work / PASSAGES) != binding:
            remove(self.work)
        self.work.mkdir(parents=True, exist_ok=True)
        (self.work / FACTS).unlink(missing_ok=True)
        if model:
            put_model(self.work, model)
        self._growing = Growing(self.work, binding, self.max_bytes)
        if self.update:
            self._growing.seen[:] = b"\1" * self._growing.count
        elif self.embedder:
            self._earlier = Earlier.open(self.folder, self.embedder)

    def _copy(self, binding: dict[str, Any]) -> None:
        with Database.open(self.folder) as database:
            made_by = database.facts.embedder
            digest = made_by.digest if made_by else None
        if digest != binding["embedder"]:
            found = "vectors of another embedding model"
            hint = "build the database anew, or change it with the model it was built with"
            raise UserError(Problem(str(self.folder), found, f"{binding['embedder']}", hint))
        if not self.work.exists():
            with new_folder(self.work) as part:
                shutil.copytree(self.folder, part, dirs_exist_ok=True)

    def __enter__(self) -> DatabaseWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; what is written stays for the next attempt."""
        self._growing.close()
        if self._earlier:
            self._earlier.close()
        self._earlier = None

    def add(self, passages: Iterable[Passage]) -> Counts:
        """Add passages, in their order as long as there is room; returns what became of all so far.

        A text that is there already, under whatever id, is not added again. Raises UserError for
        an empty text, and for two texts of one id; what came before it is kept.
        """
        rest = iter(passages)
        at_once = EMBEDDED_AT_ONCE if self.embedder else AT_ONCE
        with told(self.work):
            while chunk := list(islice(rest, at_once)):
                self._add(chunk)
        return self.counts

    def _add(self, chunk: Sequence[Passage]) -> None:
        chunk = [acceptable(passage) for passage in chunk]
        by_id = self._growing.store.by_id([passage.id for passage in chunk])
        by_text = self._growing.store.by_digest([digest_of_text(passage.text) for passage in chunk])
        outdated: list[str] = []
        fresh: dict[str, Passage] = {}
        texts: set[str] = set()
        for passage in chunk:
            number, known = by_id.get(passage.id, (-1, None))
            twin, twin_passage = by_text.get(passage.text, (-1, None))
            if passage.id in fresh:
                refuse_other(fresh[passage.id], passage)
                self.counts.already_there += 1
            elif known and (known.title, known.text) == (passage.title, passage.text):
                self._see(number, known, passage)
            elif known and self._growing.seen[number]:
                refuse_other(known, passage)
            elif passage.text in texts or (twin_passage and self._growing.seen[twin]):
                self.counts.duplicates += 1
            else:
                # What an earlier attempt wrote, and the sources no longer hold.
                outdated += [one.id for one in (known, twin_passage) if one]
                fresh[passage.id] = passage
                texts.add(passage.text)
        vectors = self._vectors_of(outdated)
        self._growing.delete(list(dict.fromkeys(outdated)))
        added = self._growing.append(
            list(fresh.values()), lambda some: self._embedded(some, vectors)
        )
        self.counts.added += added
        self.counts.left_out += len(fresh) - added

    def _vectors_of(self, ids: Sequence[str]) -> dict[str, Rows]:
        """By searched text, vectors of passages that are about to be deleted."""
        numbered = self._growing.store.by_id(ids).values() if self.embedder else ()
        vectors = ((one.searched, self._growing.vector(number)) for number, one in numbered)
        return {text: vector for text, vector in vectors if vector is not None}

    def _see(self, number: int, known: Passage, passage: Passage) -> None:
        self.counts.already_there += 1
        self._growing.seen[number] = 1
        if (known.source, known.place) != (passage.source, passage.place):
            self._growing.store.update_place(number, passage)

    def _embedded(self, passages: Sequence[Passage], known: dict[str, Rows]) -> Rows:
        """Vectors, [passages, dimensions]: known ones, of the database before, or new ones."""
        assert self.embedder
        if self._earlier:
            known = self._earlier.vectors(passages) | known
        found = np.empty((len(passages), self.embedder.dimensions), dtype=np.float16)
        unknown = []
        for place, passage in enumerate(passages):
            vector = known.get(passage.searched)
            if vector is None:
                unknown.append(place)
            else:
                found[place] = vector
        if unknown:
            found[unknown] = self.embedder.passages([passages[one].searched for one in unknown])
            self.counts.embedded += len(unknown)
        return found

    def replace(self, passages: Iterable[Passage]) -> Counts:
        """Put passages in the place of those of the same ids.

        Raises UserError for an id that is not there.
        """
        given = [acceptable(passage) for passage in passages]
        for begin in range(0, len(given), AT_ONCE):
            some = given[begin : begin + AT_ONCE]
            known = self._known([passage.id for passage in some])
            changed = [one for one in some if known[one.id][1] != one]
            self.delete([passage.id for passage in changed])
            self.add(changed)
        return self.counts

    def delete(self, ids: Iterable[str]) -> None:
        """Delete passages; raises UserError for an unknown id, with nothing of it deleted."""
        names = list(dict.fromkeys(ids))
        for begin in range(0, len(names), AT_ONCE):
            self._known(names[begin : begin + AT_ONCE])
        with told(self.work):
            for begin in range(0, len(names), AT_ONCE):
                self._growing.delete(names[begin : begin + AT_ONCE])

    def _known(self, ids: Sequence[str]) -> dict[str, tuple[int, Passage]]:
        known = self._growing.store.by_id(ids)
        problems = [
            Problem(str(self.folder), f"no passage `{name}`", "ids of passages that are there")
            for name in ids
            if name not in known
        ]
        if problems:
            raise UserError(problems)
        return known

    def mark_contaminated(self, ids: Iterable[str]) -> None:
        """Mark these passages, and no others, as holding a question's options or answer."""
        with told(self.work):
            self._growing.store.mark_contaminated(ids)

    def finish(self, facts: BuildFacts) -> DatabaseFacts:
        """Write what is missing, compare with `max_bytes`, and put the database in its place.

        Raises UserError where nothing was added, or not one passage has room.
        """
        growing = self._growing
        with told(self.work):
            growing.delete_unseen()
            growing.index()
            trimmed = growing.trim()
            self.counts.added -= trimmed
            self.counts.left_out += trimmed
            self._require_some()
            sources, contaminated = growing.store.counts()
            held = Held(growing.count, sources, contaminated, self.counts.left_out)
            growing.finish()
            self.close()
            written = facts_of(self.work, held, facts, self.embedder, self.max_bytes)
            put_in_place(self.work, self.folder, written)
        return written

    def _require_some(self) -> None:
        if self._growing.count:
            return
        found = "no passages: the sources are empty"
        hint = "look at the sources' counts"
        if self.counts.left_out:
            found = f"not one of {self.counts.left_out:,} passages has room"
            hint = "raise rag.max_bytes"
        expected = f"at least one passage within {self.max_bytes:,} bytes"
        raise UserError(Problem(str(self.folder), found, expected, hint))
