"""A first recipe from somebody's own files: written, checked, and read by the data stage."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from data_builders.new_recipe.amounts import fair_seed, fitted
from data_builders.new_recipe.run import Order, make_recipe
from data_builders.new_recipe.write import scalar
from data_builders.split import choose_split
from stemma.errors import UserError
from stemma.recipe.data import Parts
from stemma.recipe.load import RECIPES, load


def _table(path: Path, header: list[str], rows: list[list[str]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=";").writerows([header, *rows])
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe folder with what written recipes lean on."""
    found = tmp_path / "recipes"
    found.mkdir()
    for name in ("templates", "deepspeed", "prompts"):
        (found / name).symlink_to(RECIPES / name)
    return found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """A German teacher's three tables, as Excel saves them."""
    numbers = range(2, 42)
    answers = [[f"Wie groß ist die Kraft auf {n} kg?", f"{n} · 9,81 Newton"] for n in numbers]
    quiz = [[f"Was wiegt {n} Kilogramm?", f"{n} N", f"{n * 10} N", "nichts", "b)"] for n in numbers]
    pairs = [
        [f"Warum fällt ein Körper von {n} kg?", "Die Erde zieht ihn an.", "So."] for n in numbers
    ]
    return [
        _table(tmp_path / "fragen.csv", ["Frage", "Lösung"], answers, "cp1252"),
        _table(tmp_path / "quiz.csv", ["Frage", "A", "B", "C", "Richtig"], quiz, "cp1252"),
        _table(tmp_path / "paare.csv", ["Frage", "bessere Antwort", "schlechtere Antwort"], pairs,
               "cp1252"),
    ]  # fmt: skip


def test_three_tables_become_a_recipe(folder: Path, files: list[Path]) -> None:
    lines = list(make_recipe(Order("physik", files, "qwen2.5-0.5b", folder)))
    recipe = load(str(folder / "physik.yml"))
    assert recipe.training_stages() == ["sft", "dpo", "mcq"]
    assert recipe.base_model == "Qwen/Qwen2.5-0.5B"
    assert recipe.base_revision == load("qwen2.5-0.5b").base_revision
    assert recipe.data.language == "de"
    assert {task.task for task in recipe.eval.tasks} >= {"mcq", "preference", "generation"}
    assert load(str(folder / "physik-tiny.yml")).base is not None
    assert f"{files[0]} (cp1252, cells between ';'): 40 answers" in lines


def test_only_what_is_there_becomes_a_stage(folder: Path, files: list[Path]) -> None:
    list(make_recipe(Order("quiz", [files[1]], "qwen2.5-0.5b", folder)))
    recipe = load(str(folder / "quiz.yml"))
    assert recipe.training_stages() == ["mcq"]
    assert recipe.stage("mcq").start_from == "base"


def test_all_that_is_wrong_is_told_and_nothing_written(
    folder: Path, files: list[Path], tmp_path: Path
) -> None:
    strange = _table(tmp_path / "phones.csv", ["name", "phone"], [["Ann", "123"]])
    with pytest.raises(UserError) as raised:
        list(
            make_recipe(
                Order("x", [*files, strange, tmp_path / "gone.csv"], "qwen2.5-0.5b", folder)
            )
        )
    text = str(raised.value)
    assert "columns name, phone" in text
    assert "gone.csv: no such file" in text
    assert not list(folder.glob("*.yml"))


def test_documents_beside_tables_are_searched(
    folder: Path, files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "kraft.md").write_text("# Kraft\n\nKraft ist Masse mal Weg.\n")
    lines = list(make_recipe(Order("mit", [*files, tmp_path / "notes"], "qwen2.5-0.5b", folder)))
    recipe = load(str(folder / "mit.yml"))
    assert recipe.rag
    assert [source.path for source in recipe.rag.sources] == ["notes"]
    assert "gguf-Q4_K_M+retrieved" in load(str(folder / "mit-tiny.yml")).eval.variants
    assert "notes: documents to search (`rag`)" in lines


def test_the_seed_leaves_test_rows_in_every_set() -> None:
    amounts = fitted(12)
    for start in range(20):
        keys = [f"question {start} {n}" for n in range(12)]
        seed = fair_seed([(keys, amounts)])
        shares = Parts(validation=amounts.validation, test=amounts.test)
        found = [choose_split(key, seed, shares) for key in keys]
        assert found.count("test") >= 3  # of 12 × 0.3 × 0.6 = 2.16
        assert found.count("validation") > 0
        assert found.count("train") >= 6  # of 12 × 0.6 × 0.75 = 5.4


def test_a_name_that_is_taken_is_refused(folder: Path, files: list[Path]) -> None:
    list(make_recipe(Order("physik", files, "qwen2.5-0.5b", folder)))
    with pytest.raises(UserError, match="is there already"):
        list(make_recipe(Order("physik", files, "qwen2.5-0.5b", folder)))
    list(make_recipe(Order("physik", files, "qwen2.5-0.5b", folder, force=True)))


def test_a_handful_of_rows_is_too_few(folder: Path, tmp_path: Path) -> None:
    few = _table(tmp_path / "few.csv", ["question", "answer"], [["Why?", "So"]] * 3)
    with pytest.raises(UserError, match="3 usable rows"):
        list(make_recipe(Order("few", [few], "qwen2.5-0.5b", folder)))


@pytest.mark.parametrize(
    ("rows", "test", "epochs"), [(35, 0.3, 4), (60, 0.3, 4), (1000, 0.1, 1), (100_000, 0.05, 1)]
)
def test_splits_and_epochs_fit_the_rows(rows: int, test: float, epochs: int) -> None:
    assert (fitted(rows).test, fitted(rows).epochs) == (test, epochs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Frage", "Frage"), ("a: b", '"a: b"'), ("no", '"no"'), ("1", '"1"'), ("Lösung", '"Lösung"')],
)
def test_names_are_written_as_yaml_reads_them(text: str, expected: str) -> None:
    assert scalar(text) == expected


def test_cells_that_nobody_means_are_shown(folder: Path, tmp_path: Path) -> None:
    rows = [[f"<p>What is H<sub>2</sub>O no. {n}?</p>", "#REF!" if n < 3 else f"n < {n}, water"]
            for n in range(12)]  # fmt: skip
    table = _table(tmp_path / "a.csv", ["Question", "Answer"], rows)
    lines = list(make_recipe(Order("x", [table], "qwen2.5-0.5b", folder)))
    assert [line for line in lines if "look at" in line] == [
        "  look at      12 cells with HTML, read as they stand: <p>What is H<sub>2</sub>O no. 0?</p>",
        "  look at      3 cells with an error or a formula of Excel's, read as they stand: #REF!",
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Quiz of class 9,,\n,,\nQuestion,Answer,Topic\nWhy?,So,x\n",
         "the first line is a title: delete all lines above the header line"),
        ("Question^Answer\nWhy?^So\n",
         "save it with commas, semicolons or tabs between the cells, not `^`"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_of_a_header_is_named(
    folder: Path, tmp_path: Path, text: str, hint: str
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=re.escape(hint)):
        list(make_recipe(Order("x", [tmp_path / "a.csv"], "qwen2.5-0.5b", folder)))
