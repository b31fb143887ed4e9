from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from stemma.errors import UserError
from stemma.retrieval.database import PASSAGES, Database, keep_settings
from stemma.retrieval.dense import HEADER, DenseVectors
from stemma.retrieval.search import Searcher, open_searcher
from stemma.retrieval.settings import SearchSettings
from tests.factories.retrieval import FACTS, LetterEmbedder, build, passage

EMBEDDER = LetterEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path / "database", embedder=EMBEDDER)
    return tmp_path / "database"


def test_no_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no database: no database.json(?s:.*)stemma rag RECIPE"):
        Database.open(tmp_path)


def test_a_half_built_one_is_told(folder: Path) -> None:
    (folder / "database.json").unlink()
    with pytest.raises(UserError, match="a database that is not finished"):
        Database.open(folder)


def test_one_of_another_version_is_told(folder: Path) -> None:
    facts = json.loads((folder / "database.json").read_text())
    (folder / "database.json").write_text(json.dumps(facts | {"schema_version": 1}))
    with pytest.raises(UserError, match=r"schema_version 1, by another(?s:.*)stemma rag RECIPE"):
        Database.open(folder)


@pytest.mark.parametrize("name", ["passages.sqlite", "vectors.npy", "database.json"])
def test_a_file_of_another_build_is_told(folder: Path, name: str) -> None:
    """Of the same size, passages and embedder; in another order."""
    other = folder.with_name("other")
    build(other, [*FACTS[:3], FACTS[4], FACTS[3]], EMBEDDER)
    assert (other / name).stat().st_size == (folder / name).stat().st_size
    shutil.copyfile(other / name, folder / name)
    with pytest.raises(UserError, match="of another build"):
        Database.open(folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mode", "paper"),
        ("licences", {"notes": "MIT"}),
        ("sources", {}),
        ("contaminated", 5),
        ("files", {}),
        ("stamp", "0" * 16),
    ],
)
def test_changed_facts_are_told(folder: Path, name: str, value: object) -> None:
    facts = json.loads((folder / "database.json").read_text())
    assert facts[name] != value
    (folder / "database.json").write_text(json.dumps(facts | {name: value}))
    with pytest.raises(UserError, match="facts that were changed"):
        Database.open(folder)


@pytest.mark.parametrize("name", ["passages.sqlite", "vectors.npy"])
def test_missing_and_cut_files_are_told(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-10])
    with pytest.raises(UserError, match=rf"{name}: damaged: {len(data) - 10:,} bytes"):
        Database.open(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: no such file"):
        Database.open(folder)


def test_damage_of_the_same_size_is_found_by_verify(folder: Path) -> None:
    for name in ("passages.sqlite", "vectors.npy"):
        path = folder / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x40
        shutil.copytree(folder, folder.parent / f"damaged-{name}")
        (folder.parent / f"damaged-{name}" / name).write_bytes(data)
        with (
            Database.open(folder.parent / f"damaged-{name}") as database,
            pytest.raises(UserError, match=rf"{name}: damaged: another sha256"),
        ):
            database.verify()
    with Database.open(folder) as database:
        database.verify()


def test_a_sqlite_file_of_noise_is_told(folder: Path) -> None:
    data = (folder / "passages.sqlite").read_bytes()
    noise = np.random.default_rng(1).bytes(len(data))
    (folder / "passages.sqlite").write_bytes(noise)
    with pytest.raises(UserError, match=r"passages.sqlite: damaged, or of another build"):
        Database.open(folder)
    (folder / "passages.sqlite").write_bytes(noise[:60] + data[60:72] + noise[72:])
    with pytest.raises(UserError, match=r"passages.sqlite: damaged: file is not a database"):
        Database.open(folder)


@pytest.mark.parametrize("bits", [0x7E00, 0x7C00, 0xFC00, 0x7A00])
def test_vectors_that_are_none_are_told(folder: Path, bits: int) -> None:
    """Undefined, infinite, minus infinite, 49,152."""
    with (folder / "vectors.npy").open("r+b") as stream:
        stream.seek(HEADER)
        stream.write(bits.to_bytes(2, "little"))
    with Database.open(folder) as database:
        one = Searcher(database, EMBEDDER, SearchSettings())
        with pytest.raises(UserError, match="vectors that are not of length 1"):
            one.search(["rust"], k=5, arm="dense")


def test_passages_come_in_the_order_asked_for(folder: Path) -> None:
    with Database.open(folder) as database:
        assert database.count == 5
        assert database.passages([4, 0, 4]) == [FACTS[4], FACTS[0], FACTS[4]]
        assert database.passages([]) == []
        assert database.number_of("leaf") == 3
        assert database.number_of("gold") is None
        with pytest.raises(IndexError, match="no passage of number 5"):
            database.passages([5])


def test_vectors_are_an_npy_file_that_numpy_reads(folder: Path) -> None:
    found = np.load(folder / "vectors.npy")
    expected = EMBEDDER.queries([one.searched for one in FACTS]).astype(np.float16)
    assert np.array_equal(found, expected)


def test_float16_by_moving_bits_is_numpys_own_conversion(tmp_path: Path) -> None:
    from stemma.retrieval.dense import header

    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    every = every[np.abs(every) < 1].reshape(-1, 64)
    path = tmp_path / "vectors.npy"
    path.write_bytes(header(*every.shape) + every.tobytes())
    vectors = DenseVectors(path, *every.shape)
    units = np.eye(64, dtype=np.float32)
    found = np.stack(list(vectors.cosines(units)))
    assert np.array_equal(found.T, every.astype(np.float32))
    assert np.array_equal(vectors.of([3, 1]), every[[3, 1]].astype(np.float32))
    vectors.close()


def test_pieces_and_kept_vectors_give_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stemma.retrieval import dense

    rows = np.random.default_rng(3).standard_normal((1000, 24)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    path = tmp_path / "vectors.npy"
    path.write_bytes(dense.header(1000, 24) + rows.astype(np.float16).tobytes())
    kept = np.stack(list(DenseVectors(path, 1000, 24).cosines(rows[:9])))
    monkeypatch.setattr(dense, "KEPT_BYTES", 0)
    monkeypatch.setattr(dense, "PIECE_BYTES", 48 * 37)
    monkeypatch.setattr(dense, "SCORE_BYTES", 4 * 1000 * 2)
    pieces = np.stack(list(DenseVectors(path, 1000, 24).cosines(rows[:9])))
    assert np.allclose(kept, pieces, atol=1e-6)
    assert np.allclose(kept, rows[:9] @ rows.T, atol=2e-3)


def test_a_database_opens_from_a_folder_that_cannot_be_written(folder: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    folder.chmod(0o555)
    try:
        with Database.open(folder) as database:
            assert database.passages([0]) == [FACTS[0]]
    finally:
        folder.chmod(0o755)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_names_with_odd_letters_are_opened(tmp_path: Path) -> None:
    odd = tmp_path / "a?b#c%20 d'é"
    build(odd)
    with Database.open(odd) as database:
        assert database.count == 5


def test_settings_are_kept_with_the_database(folder: Path) -> None:
    settings = SearchSettings(arm="hybrid", weight=0.3, rrf_k=1.0, threshold=0.2)
    keep_settings(folder, settings)
    with Database.open(folder) as database:
        assert database.facts.search == settings
        database.verify()


def test_a_searcher_opens_with_the_databases_own_settings(tmp_path: Path) -> None:
    build(tmp_path / "db")
    keep_settings(tmp_path / "db", SearchSettings(threshold=1000.0))
    with open_searcher(tmp_path / "db") as searcher:
        assert searcher.search(["rust"], k=1) == [[]]


def test_an_embedder_of_an_unknown_kind_is_told(folder: Path) -> None:
    with pytest.raises(UserError, match="an embedder of the unknown kind `letters`"):
        open_searcher(folder)


def test_the_passages_are_plain_sqlite(folder: Path) -> None:
    connection = sqlite3.connect(folder / "passages.sqlite")
    rows = connection.execute("SELECT id, text FROM passages ORDER BY number").fetchall()
    connection.close()
    assert rows == [(one.id, one.text) for one in FACTS]


def test_bytes_that_mean_nothing_are_damage_and_no_traceback(tmp_path: Path) -> None:
    many = [passage(f"p{number}", f"iron ore {number} in a mine") for number in range(60)]
    build(tmp_path / "whole", many)
    content = (tmp_path / "whole" / PASSAGES).read_bytes()
    chance = random.Random(4)
    told: list[str] = []
    for number in range(60):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", folder)
        damaged = bytearray(content)
        for _ in range(40):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (folder / PASSAGES).write_bytes(damaged)
        try:
            with Database.open(folder) as database:
                searcher = Searcher(database, None, SearchSettings())
                searcher.search(["iron mine", "ore 7"], 5, with_contaminated=False)
                database.passages(range(database.count))
        except UserError as error:
            told.append(str(error))
    assert len(told) > 30
    assert all(PASSAGES in one for one in told)
