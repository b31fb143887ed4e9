from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.writer import DatabaseWriter
from stemma.digests import size_of
from stemma.errors import UserError
from stemma.retrieval.database import FACTS as DATABASE_JSON
from stemma.retrieval.database import Database, read_facts
from stemma.retrieval.passages import Passage
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from tests.factories.retrieval import FACTS, ROOMY, LetterEmbedder, build, facts, passage


def many(count: int, words: int = 30) -> list[Passage]:
    """Passages of random words, each with a word of its own."""
    random = np.random.default_rng(7)
    drawn = random.integers(0, 3000, size=(count, words))
    return [
        passage(f"p{place}", f"own{place} " + " ".join(f"w{word}" for word in row), source="made")
        for place, row in enumerate(drawn)
    ]


def everything(folder: Path) -> list[Passage]:
    with Database.open(folder) as database:
        return database.passages(range(database.count))


def holds(folder: Path, embedder: LetterEmbedder) -> None:
    """Assert that each passage is found by its own text, in each arm, under its number."""
    with Database.open(folder) as database:
        database.verify()
        one = Searcher(database, embedder, SearchSettings())
        assert database.vectors
        for number, stored in enumerate(database.passages(range(database.count))):
            assert database.number_of(stored.id) == number
            expected = embedder.queries([stored.searched])[0].astype(np.float16)
            assert np.array_equal(database.vectors.of([number])[0], expected)
            ((hit,),) = one.search([stored.searched], k=1)
            assert hit.passage == stored


def test_a_database_holds_what_was_added(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    written = build(tmp_path / "db", embedder=embedder)
    assert everything(tmp_path / "db") == list(FACTS)
    assert written == read_facts(tmp_path / "db")
    assert written.sources == {"biology": 2, "notes": 2, "sky": 1}
    assert written.bytes + size_of(tmp_path / "db" / DATABASE_JSON) == size_of(tmp_path / "db")
    holds(tmp_path / "db", embedder)


def test_equal_texts_are_kept_once(tmp_path: Path) -> None:
    twins = [passage("a", "one text"), passage("b", "one text"), passage("c", "two texts")]
    with DatabaseWriter(tmp_path / "db", LetterEmbedder(), ROOMY) as writer:
        writer.add([*twins, passage("d", "two texts")])
        counts = writer.add([passage("e", "one text"), twins[0]])
        assert (counts.added, counts.duplicates, counts.already_there) == (2, 3, 1)
        writer.finish(facts())
    assert [one.id for one in everything(tmp_path / "db")] == ["a", "c"]


def test_two_texts_of_one_id_are_refused(tmp_path: Path) -> None:
    one, two = passage("a", "one"), passage("a", "two")
    with DatabaseWriter(tmp_path / "db", None, ROOMY) as writer:
        with pytest.raises(UserError, match=r"two texts of one id: 'one' and 'two'"):
            writer.add([one, two])
        writer.add([one])
        with pytest.raises(UserError, match=r"two texts of one id: 'one' and 'two'"):
            writer.add([two])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (passage("a", " \n"), "an empty text"),
        (passage("", "text"), "no id"),
        (passage("a", "broken \ud800"), "letters that UTF-8 does not have"),
    ],
)
def test_what_cannot_be_found_is_refused(tmp_path: Path, wrong: Passage, said: str) -> None:
    with (
        DatabaseWriter(tmp_path / "db", None, ROOMY) as writer,
        pytest.raises(UserError, match=said),
    ):
        writer.add([wrong])


def test_odd_texts_are_kept_letter_by_letter(tmp_path: Path) -> None:
    odd = [
        passage("nul", "before\0after nulword"),
        passage("'; DROP TABLE passages; --", "quotes ' \" ; --"),
        passage("long", "megabyte " * 120_000),
        passage("🦀", "日本語 と émigré naïve", "Über"),
    ]
    embedder = LetterEmbedder()
    build(tmp_path / "db", odd, embedder)
    assert everything(tmp_path / "db") == odd
    holds(tmp_path / "db", embedder)
    with Database.open(tmp_path / "db") as database:
        one = Searcher(database, None, SearchSettings())
        assert one.search(["EMIGRE"], k=1)[0][0].passage.id == "🦀"


def test_no_passages_are_an_error(tmp_path: Path) -> None:
    with DatabaseWriter(tmp_path / "db", None, ROOMY) as writer:
        writer.add([])
        with pytest.raises(UserError, match="no passages: the sources are empty"):
            writer.finish(facts())


@pytest.mark.parametrize("with_vectors", [True, False])
@pytest.mark.parametrize("limit", [150_000, 400_000, 1_000_000])
def test_the_limit_holds_and_the_first_passages_win(
    tmp_path: Path, limit: int, with_vectors: bool
) -> None:
    embedder = LetterEmbedder() if with_vectors else None
    given = many(6000)
    with DatabaseWriter(tmp_path / "db", embedder, limit) as writer:
        counts = writer.add(given)
        written = writer.finish(facts())
    assert size_of(tmp_path / "db") <= limit
    assert written.bytes > 0.6 * limit, "the limit leaves room unused"
    assert 0 < written.passages < len(given)
    assert written.left_out == counts.left_out == len(given) - written.passages
    assert everything(tmp_path / "db") == given[: written.passages]


def test_a_limit_below_one_passage_is_told(tmp_path: Path) -> None:
    with DatabaseWriter(tmp_path / "db", None, 50_000) as writer:
        writer.add(FACTS)
        with pytest.raises(UserError, match=r"not one of 5 passages(?s:.*)rag.max_bytes"):
            writer.finish(facts())


def test_passages_are_deleted_and_replaced(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    given = many(50)
    build(tmp_path / "db", given, embedder)
    embedder.read.clear()
    new = passage("p7", "entirely new words", source="other")
    with DatabaseWriter(tmp_path / "db", embedder, ROOMY, update=True) as writer:
        writer.delete(["p3", "p49", "p0"])
        writer.replace([new, given[9]])
        writer.add([passage("late", "a late passage")])
        writer.finish(facts())
    assert embedder.read == ["entirely new words", "a late passage"]
    expected = {one.id: one for one in given if one.id not in ("p3", "p49", "p0")}
    expected |= {"p7": new, "late": passage("late", "a late passage")}
    assert {one.id: one for one in everything(tmp_path / "db")} == expected
    holds(tmp_path / "db", embedder)
    with Database.open(tmp_path / "db") as database:
        one = Searcher(database, None, SearchSettings())
        assert one.search(["own3", "own49"], k=5) == [[], []]


def test_unknown_ids_are_told_and_nothing_is_deleted(tmp_path: Path) -> None:
    build(tmp_path / "db")
    with DatabaseWriter(tmp_path / "db", None, ROOMY, update=True) as writer:
        with pytest.raises(UserError, match=r"no passage `gold`"):
            writer.delete(["iron", "gold"])
        with pytest.raises(UserError, match=r"no passage `gold`"):
            writer.replace([passage("gold", "text")])
        writer.finish(facts())
    assert everything(tmp_path / "db") == list(FACTS)


def test_a_new_build_holds_its_own_passages_only_and_embeds_what_is_new(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    given = many(20)
    build(tmp_path / "db", given, embedder)
    embedder.read.clear()
    later = [passage("first", "stands first"), *given[5:]]
    build(tmp_path / "db", later, embedder)
    assert embedder.read == ["stands first"]
    assert everything(tmp_path / "db") == later
    holds(tmp_path / "db", embedder)


class Killed(Exception):
    pass


class MortalEmbedder(LetterEmbedder):
    """It stops after so many passages, as a kill would."""

    lives = 0

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.read) + len(texts) > self.lives:
            raise Killed
        return super().passages(texts)


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    given = many(2000)
    embedder = MortalEmbedder()
    for lives in (600, 1100, 1700, 2000):
        embedder.lives = lives
        with DatabaseWriter(tmp_path / "db", embedder, ROOMY) as writer:
            try:
                writer.add(given)
                writer.finish(facts())
            except Killed:
                assert not (tmp_path / "db").exists()
    assert sorted(embedder.read) == sorted(one.text for one in given)
    assert everything(tmp_path / "db") == given
    holds(tmp_path / "db", embedder)


def test_a_build_interrupted_with_other_sources_keeps_none_of_them(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    with DatabaseWriter(tmp_path / "db", embedder, ROOMY) as writer:
        writer.add([*FACTS, passage("x", "the same text"), passage("y", "an older text")])
    later = [*FACTS[2:], passage("z", "the same text"), passage("y", "a newer text")]
    embedder.read.clear()
    build(tmp_path / "db", later, embedder)
    assert embedder.read == ["a newer text"]
    assert sorted(everything(tmp_path / "db"), key=lambda one: one.id) == sorted(
        later, key=lambda one: one.id
    )
    holds(tmp_path / "db", embedder)


def test_another_embedder_embeds_everything(tmp_path: Path) -> None:
    build(tmp_path / "db", embedder=LetterEmbedder("one"))
    with DatabaseWriter(tmp_path / "db", LetterEmbedder("two"), ROOMY) as writer:
        writer.add(FACTS[:2])
    three = LetterEmbedder("three")
    build(tmp_path / "db", embedder=three)
    assert len(three.read) == len(FACTS)
    with pytest.raises(UserError, match="vectors of another embedding model"):
        DatabaseWriter(tmp_path / "db", LetterEmbedder("four"), ROOMY, update=True)


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    with DatabaseWriter(tmp_path / "db", None, ROOMY) as writer:
        writer.add(FACTS)
        with pytest.raises(UserError, match="another process writes this database"):
            DatabaseWriter(tmp_path / "db", None, ROOMY)


def test_a_reader_keeps_its_database_while_another_is_built(tmp_path: Path) -> None:
    embedder = LetterEmbedder()
    build(tmp_path / "db", embedder=embedder)
    with Database.open(tmp_path / "db") as before:
        one = Searcher(before, embedder, SearchSettings(arm="hybrid"))
        with DatabaseWriter(tmp_path / "db", embedder, ROOMY) as writer:
            writer.add(many(100))
            assert one.search(["rust"], k=1)[0][0].passage.id == "iron"
            assert everything(tmp_path / "db") == list(FACTS)
            writer.finish(facts())
        assert one.search(["rust"], k=1)[0][0].passage.id == "iron"
        assert before.passages([4])[0].id == "moon"
    assert everything(tmp_path / "db") == many(100)


def test_the_embedder_goes_with_the_database_and_counts(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"weights" * 1000)
    with DatabaseWriter(tmp_path / "db", LetterEmbedder(), 120_000, model=model) as writer:
        writer.add(many(500))
        written = writer.finish(facts())
    assert (tmp_path / "db" / "encoder.gguf").read_bytes() == model.read_bytes()
    assert written.files["encoder.gguf"].bytes == 7000
    assert size_of(tmp_path / "db") <= 120_000
