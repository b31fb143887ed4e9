from __future__ import annotations

from pathlib import Path

from report.entries import Entry
from report.examples import evenly, examples, shortened
from report.run import gather
from tests.factories.run_to_report import make_work
from tests.factories.samples_to_report import add_samples


def test_each_task_has_two_right_ones_and_up_to_five_errors(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    add_samples(work)
    evidence = gather(work)
    found = examples(evidence)
    assert [one.task for one in found] == ["mcq", "preference", "generation"]
    assert evidence.samples is not None
    for one, task in zip(found, evidence.samples.tasks, strict=True):
        said = [_outcome(entry) for entry in task.entries]
        assert one.rows == len(said) == 24
        assert one.errors == 24 - said.count("right")
        outcomes = [example.outcome for example in one.shown]
        assert outcomes[:2] == ["right", "right"]
        assert len(outcomes) == 2 + min(5, one.errors)
        assert "right" not in outcomes[2:]


def _outcome(entry: Entry) -> str:
    return next(one.outcome for one in entry.answers if "gguf-Q4_K_M" in one.variants)


def test_choices_stand_on_a_line_and_the_question_is_as_it_was(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    add_samples(work)
    first = examples(gather(work))[0].shown[0]
    assert [head for head, _ in first.parts] == ["Question", "Choices"]
    assert first.parts[1][1].startswith("A. ")
    assert " · B. " in first.parts[1][1]
    assert "\n" not in first.parts[1][1]


def test_a_run_without_samples_has_none(tmp_path: Path) -> None:
    assert examples(gather(make_work(tmp_path))) == []


def test_items_are_drawn_at_even_distances() -> None:
    assert evenly(list(range(10)), 5) == [0, 2, 4, 6, 8]
    assert evenly([1, 2], 5) == [1, 2]
    assert evenly([], 5) == []


def test_a_long_text_is_cut_and_says_so() -> None:
    assert shortened("a" * 400) == "a" * 400
    assert shortened("a" * 401) == "a" * 400 + " …"
