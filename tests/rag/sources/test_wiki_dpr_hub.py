"""wiki_dpr as the hub has it: Parquet shards under named configurations, vectors beside texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.documents import Document
from rag.sources import readers
from stemma.errors import UserError
from stemma.recipe.rag_sources import WikiDpr

datasets = pytest.importorskip("datasets")
np = pytest.importorskip("numpy")
pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CONFIG = "psgs_w100.nq.no_index"
CARD = f"""\
---
dataset_info:
- config_name: {CONFIG}
  features:
  - {{name: id, dtype: string}}
  - {{name: text, dtype: string}}
  - {{name: title, dtype: string}}
  - {{name: embeddings, sequence: float32}}
configs:
- config_name: {CONFIG}
  data_files: [{{split: train, path: data/psgs_w100/nq/train-*}}]
---
"""
ROWS = 4000
"""Of each of two shards; 24 MB of vectors."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    shards = tmp_path / "wiki_dpr" / "data" / "psgs_w100" / "nq"
    shards.mkdir(parents=True)
    (tmp_path / "wiki_dpr" / "README.md").write_text(CARD, encoding="utf-8")
    vectors = np.random.default_rng(1).normal(size=ROWS * 768).astype(np.float32)
    for shard in range(2):
        numbers = [shard * ROWS + place + 1 for place in range(ROWS)]
        columns = {
            "id": [str(number) for number in numbers],
            "text": [f'He said "{number}"\tand left.' for number in numbers],
            "title": [f"Title {number // 9}" for number in numbers],
            "embeddings": pa.FixedSizeListArray.from_arrays(vectors, 768).cast(
                pa.list_(pa.float32())
            ),
        }
        parquet.write_table(
            pa.table(columns), shards / f"train-0000{shard}-of-00002.parquet", row_group_size=1000
        )
    return tmp_path


def options(folder: Path, **more: object) -> WikiDpr:
    hub = {"hub": str(folder / "wiki_dpr"), "revision": "0" * 40, "config": CONFIG}
    return WikiDpr.model_validate({"source": "wiki_dpr", "path": "psgs.tsv"} | hub | more)


def bytes_read() -> int:
    """By this process, from files and caches alike."""
    status = Path("/proc/self/io")
    if not status.is_file():
        pytest.skip("only Linux counts what a process reads")
    return int(status.read_text().split()[1])


def test_texts_are_streamed_and_vectors_left_where_they_are(folder: Path) -> None:
    read = readers()["wiki_dpr"].read
    whole = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    list(read(options(folder, limit=1), folder))  # imports
    before = bytes_read()
    found = list(read(options(folder), folder))
    assert bytes_read() - before < whole / 20
    assert whole > 20_000_000
    assert not list((folder / "cache").rglob("*.arrow")), "a copy was made"
    assert len(found) == 2 * ROWS
    last = found[-1]
    assert isinstance(last, Document)
    assert (last.id, last.title) == ("8000", "Title 888")
    assert [part.text for part in last.parts] == ['He said "8000"\tand left.']


def test_the_limit_ends_the_stream(folder: Path) -> None:
    read = readers()["wiki_dpr"].read
    assert len(list(read(options(folder, limit=5), folder))) == 5


def test_another_set_a_missing_split_and_a_damaged_shard_are_told(folder: Path) -> None:
    read = readers()["wiki_dpr"].read
    with pytest.raises(UserError, match=r"Bad split: exam.*\n.*\n  hint: put the file at"):
        list(read(options(folder, split="exam"), folder))
    other = folder / "other"
    other.mkdir()
    parquet.write_table(pa.table({"id": ["1"], "body": ["x"]}), other / "train.parquet")
    with pytest.raises(UserError, match="text"):
        list(read(options(folder, hub=str(other), config=None), folder))
    shard = sorted(folder.rglob("train-00001*.parquet"))[0]
    shard.write_bytes(shard.read_bytes()[:-5000])
    with pytest.raises(UserError, match="cannot be loaded"):
        list(read(options(folder), folder))
