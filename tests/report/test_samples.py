from __future__ import annotations

from pathlib import Path

import pytest

from eval.tasks import TASKS
from report import samples
from report.flip_table import METRICS, flip_table
from report.outcomes import RIGHT, UNDECIDED, UNMEASURED, WRONG, TaskOutcomes, paired
from report.questions import DATA_SETS
from report.run import gather
from report.run_data import RunData
from report.samples import choose, read_samples, within
from stemma.errors import UserError
from stemma.jsonl import write_jsonl
from stemma.stages import Work
from tests.factories.run_to_report import make_work
from tests.factories.samples_to_report import add_samples


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    made = make_work(tmp_path_factory.mktemp("runs"))
    add_samples(made)
    return made


@pytest.fixture(scope="module")
def evidence(work: Work) -> RunData:
    return gather(work)


def test_every_task_with_rows_has_its_data_set() -> None:
    expected = {
        name: task.rows.data_set
        for name, task in TASKS.items()
        if task.rows and name not in samples.NO_QUESTIONS
    }
    assert expected == DATA_SETS


def test_all_rows_of_a_small_run_are_shown(evidence: RunData) -> None:
    book = evidence.samples
    assert book is not None
    assert {task.task: (task.rows, len(task.entries)) for task in book.tasks} == {
        "mcq": (24, 24),
        "preference": (24, 24),
        "generation": (24, 24),
    }
    [entry] = [one for one in book.tasks[0].entries if one.id == "mcq-3"]
    assert entry.gold == "A. 3"
    assert entry.group == "algebra"
    assert [head for head, _ in entry.parts] == ["Question", "Choices"]
    assert sum(len(answer.variants) for answer in entry.answers) == 11


def test_flips_are_the_differences_that_evaluation_scored(evidence: RunData) -> None:
    assert evidence.samples is not None
    flips = evidence.samples.flips
    assert len(flips) == 10 + 9 + 10  # the reference of rewards ties with itself
    for one in flips:
        scored = evidence.score(one.variant, one.task, f"{METRICS[one.task]}_minus_merged")
        assert scored is not None
        assert (one.n, one.difference) == (scored.n, pytest.approx(scored.value))
    assert len(flip_table(evidence).rows) == len(flips)


def test_flips_by_hand() -> None:
    found = TaskOutcomes()
    before = (RIGHT, RIGHT, WRONG, WRONG, RIGHT, WRONG)
    after = (RIGHT, WRONG, RIGHT, UNDECIDED, UNDECIDED)
    for place, code in enumerate(before):
        found.add("merged", str(place), code)
    for place, code in enumerate(after):
        found.add("gguf-Q4_K_M", str(place), code)
    one = paired("mcq", "gguf-Q4_K_M", found)
    assert (one.both_right, one.lost, one.gained, one.both_wrong) == (1, 2, 1, 1)
    assert found.of("gguf-Q4_K_M", 5) == UNMEASURED


def test_rows_on_which_what_ships_differs_come_first() -> None:
    found = TaskOutcomes()
    for row in ("a", "b", "c"):
        found.add("merged", row, RIGHT)
        found.add("gguf-Q8_0", row, WRONG if row == "c" else RIGHT)
        found.add("base", row, WRONG if row == "b" else RIGHT)
    assert choose(found, ["merged", "gguf-Q8_0"]) == ["c", "a", "b"]


def test_the_page_holds_a_limited_text_and_says_so(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "PAGE_CHARACTERS", 30_000)
    book = read_samples(work.recipe, work.run)
    assert 0 < book.shown < book.rows == 72
    characters = sum(entry.characters for task in book.tasks for entry in task.entries)
    assert characters <= 30_000
    for task in book.tasks:
        numbers = [int(entry.id.split("-")[1]) for entry in task.entries]
        assert numbers == sorted(numbers)


def test_no_room_shows_nothing() -> None:
    assert within([], 10, {}) == []


def test_a_damaged_sample_is_named(tmp_path: Path) -> None:
    made = make_work(tmp_path)
    add_samples(made, rows=4)
    path = made.run.folder("eval") / "samples" / "base" / "mcq.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text("{" * len(text), encoding="utf-8")
    with pytest.raises(UserError, match=r"base/mcq\.jsonl: other content of the same size"):
        read_samples(made.recipe, made.run)


def test_questions_that_are_gone_leave_the_answers(tmp_path: Path) -> None:
    made = make_work(tmp_path)
    add_samples(made, rows=4)
    (made.run.folder("data") / "mcq" / "test.jsonl").unlink()
    entry = read_samples(made.recipe, made.run).tasks[0].entries[1]
    assert (entry.id, entry.parts, entry.gold, entry.group) == ("mcq-1", (), "A", "algebra")


def test_samples_without_an_id_go_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write_jsonl(path, [{"doc_id": 7, "acc": 1.0}, {"acc": 0.0}, {"note": "?"}])
    found = samples._outcomes({"base": path})
    assert list(found.places) == ["7", "1", "2"]
    assert list(found.by_variant["base"]) == [1, 2, 5]
