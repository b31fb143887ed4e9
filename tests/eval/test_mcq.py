from pathlib import Path
from typing import Any

import pytest

from eval.backends import open_backend
from eval.letters import McqSample
from eval.run import run
from eval.statistics import wilson
from eval.task import Setting, TaskScores
from eval.tasks.mcq import TASK, read
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.recipe.eval_tasks import McqTask
from stemma.rows import McqRow
from stemma.shuffled_choices import reordered
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma
from tests.factories.run_to_score import make_recipe, make_work


def sample(row: str, answer: str, *values: float, **more: Any) -> dict[str, Any]:
    """A sample with these scores for A, B, …; its choices are "1", "22", "333", …"""
    choices = [str(n) * n for n in range(1, len(values) + 1)]
    found = {"id": row, "ids_digest": "x", "subject": "s", "answer": answer, "choices": choices}
    return found | {"log_probs": dict(zip("ABCDE", values, strict=False))} | more


def metrics_of(found: TaskScores) -> dict[str, float]:
    return {metric.name: metric.value for metric in found.metrics}


def test_score_by_hand() -> None:
    samples = [
        sample("1", "A", -1.0, -2.0, -3.0, -4.0),
        sample("2", "B", -1.0, -2.0, -3.0, -4.0, subject="t"),
        sample("3", "B", -2.0, -0.5),
    ]
    found = TASK.score_records(samples, [], 1, 0.1)
    assert metrics_of(found) == {
        "accuracy": pytest.approx(2 / 3),
        "ties": 0.0,
        "chance": pytest.approx((0.25 + 0.25 + 0.5) / 3),
        "majority_letter": pytest.approx(2 / 3),  # B is right in two of three
        "longest_choice": pytest.approx(1 / 3),  # of the third question alone
    }
    assert {metric.n for metric in found.metrics} == {3}
    assert found.right == {"accuracy": {"1": True, "2": False, "3": True}}
    facts = found.facts
    assert (facts["letters picked"], facts["letters right"]) == ({"A": 2, "B": 1}, {"A": 1, "B": 2})
    low, high = wilson(0.5, 2)
    assert facts["by letter right"]["B"] == {"n": 2, "accuracy": 0.5, "low": low, "high": high}
    assert facts["by subject"]["s"]["accuracy"] == 1.0
    assert facts["by subject"]["t"]["n"] == 1
    assert [row["picked"] for row in found.samples] == ["A", "A", "B"]


def test_ties_are_counted() -> None:
    even = sample("1", "B", -1.0, -1.0, -2.0)
    low = sample("2", "B", -1.0, -2.0, -2.0)
    found = TASK.score_records([even, low], [], 1, 0.1)
    assert metrics_of(found)["ties"] == 0.5
    assert [row["tied"] for row in found.samples] == [True, False]


def test_choices_of_equal_length_share_the_credit_of_the_longest() -> None:
    alike = sample("1", "A", -1.0, -2.0, choices=["ab", "cd"])
    found = TASK.score_records([alike, sample("2", "A", -1.0, -2.0)], [], 1, 0.1)
    assert metrics_of(found)["longest_choice"] == (0.5 + 0.0) / 2


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("The answer is (B) joule.", "B"),
        ("joule", "B"),  # the text in place of the letter
        ("Answer: A\n\nQuestion: next?", "A"),
        ("A or B.", None),
        ("I do not know.", None),
        ("", None),
        ("E", None),  # no letter of this question
    ],
)
def test_the_letter_of_a_reply_is_read_by_the_shared_rule(reply: str, said: str | None) -> None:
    row = sample("1", "B", -1.0, -2.0, reply=reply, stopped=True, choices=["newton", "joule"])
    found = TASK.score_records([row], [], 1, 0.1)
    [shown] = found.samples
    assert (shown["said"], shown["said_right"]) == (said, said == "B")
    assert metrics_of(found)["generated_accuracy"] == (said == "B")
    assert metrics_of(found)["parse_failures"] == (said is None)
    assert found.right["generated_accuracy"] == {"1": said == "B"}


def test_failures_to_parse_are_told_apart_and_are_wrong() -> None:
    replies = ["A", "B", "A and B", "Newton's law.", "A"]
    rows = [
        sample(str(n), "A", -1.0, -2.0, reply=reply, stopped=n != 4)
        for n, reply in enumerate(replies)
    ]
    found = TASK.score_records(rows, [], 1, 0.1)
    assert found.facts["options a reply names"] == {"one": 3, "several": 1, "none": 1}
    assert found.facts["letters generated"] == {"A": 2, "B": 1}
    figures = metrics_of(found)
    assert figures["generated_accuracy"] == 2 / 5
    assert figures["parse_failures"] == 2 / 5
    assert figures["generated_stopped"] == 4 / 5


def test_options_of_equal_text_are_one_option() -> None:
    same = {"choices": ["newton", "joule", "Newton"], "stopped": True}
    rows = [
        sample("1", "C", -1.0, -2.0, -3.0, reply="newton", **same),
        sample("2", "B", -1.0, -2.0, -3.0, reply="newton", **same),
    ]
    found = TASK.score_records(rows, [], 1, 0.1)
    assert [row["said"] for row in found.samples] == ["C", "A"]
    assert found.facts["questions with equal choices"] == 2


def test_permuted_choices_by_hand() -> None:
    def order(letters: str, *values: float) -> dict[str, Any]:
        return {"order": letters, "log_probs": dict(zip(letters, values, strict=True))}

    rows = [
        # Picks A, then B, then A again: right in two orders of three.
        sample("1", "A", -1.0, -2.0, orders=[order("BA", -1.0, -2.0), order("BA", -3.0, -2.0)]),
        sample("2", "B", -1.0, -2.0, orders=[order("BA", -5.0, -2.0)]),  # A in both: wrong
        sample("3", "B", -4.0, -2.0),  # a question that keeps its order
    ]
    found = TASK.score_records(rows, [], 1, 0.1)
    figures = {metric.name: metric for metric in found.metrics}
    assert figures["accuracy"].value == pytest.approx(2 / 3)  # of the own order, as ever
    assert figures["permuted_accuracy"].value == pytest.approx((2 / 3 + 0 + 1) / 3)
    consistency = figures["permutation_consistency"]
    assert (consistency.value, consistency.n) == (0.5, 2)
    assert (found.facts["further orders"], found.facts["kept in their order"]) == (3, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_gemma(tmp_path_factory.mktemp("hf") / "model", hidden=32, layers=2)


def questions(count: int) -> list[McqRow]:
    choices = [[f"{n + k} N" for k in range(2 + n % 4)] for n in range(count)]
    choices[0] = ["All of these", "none of these"]
    return [
        McqRow(id=f"m{n}", source="s", question=f"Force {n}?", choices=one, answer="B")
        for n, one in enumerate(choices)
    ]


def measured(folder: Path, rows: list[McqRow], **options: Any) -> list[McqSample]:
    backend = open_backend("hf", str(folder), "<eos>", 1)
    task = McqTask(task="mcq", **options)
    setting = Setting(Template.read(TEMPLATE, folder), task, rows, folder, 0.0)
    found = {sample.id: sample for sample in TASK.measure(backend, setting)}
    return [found[row.id] for row in rows]


def test_every_order_is_asked_as_the_row_reordered_would_be(folder: Path) -> None:
    rows = questions(6)
    plain = measured(folder, rows)
    found = measured(folder, rows, permute=7, permutations=3, generate=True, max_new_tokens=6)
    assert [len(row.orders) for row in found] == [0, 3, 3, 3, 1, 3]
    for row, before, after in zip(rows, plain, found, strict=True):
        assert after.log_probs == pytest.approx(before.log_probs, abs=1e-4)
        assert isinstance(after.reply, str)
        assert before.reply is None
        for order in after.orders:
            moved = reordered(row, order.order)
            assert moved.choices["ABCDE".index(moved.answer)] == row.choices[1]
            [alone] = measured(folder, [moved])
            by_place = [order.log_probs[letter] for letter in order.order]
            assert list(alone.log_probs.values()) == pytest.approx(by_place, abs=1e-4)


def test_choices_of_every_kind_are_scored(folder: Path) -> None:
    kinds = [f"c{n}" for n in range(22)] + ["two\nlines", "$\\frac{1}{2}$", "same", "same"]
    row = McqRow(id="m", source="s", question="Which?", choices=kinds, answer="Z")
    [found] = measured(folder, [row], permute=1, permutations=2, generate=True, max_new_tokens=3)
    assert list(found.log_probs) == [chr(65 + n) for n in range(26)]
    assert len(set(found.log_probs.values())) == 26
    scores = TASK.score_records([found.model_dump()], [], 1, 0.1)
    assert metrics_of(scores)["chance"] == pytest.approx(1 / 26)
    assert scores.facts["questions with equal choices"] == 1


def test_the_stage_scores_both_ways_and_records_groups(tmp_path: Path) -> None:
    task = {"task": "mcq", "generate": True, "max_new_tokens": 4, "permute": 7}
    work = make_work(tmp_path, make_recipe(["gguf-F16"], [task]))
    result = run(work)
    metrics = {one["metric"]: one for one in read_json(work.folder / "results.json")}
    assert {"accuracy", "generated_accuracy", "parse_failures", "permuted_accuracy"} <= set(metrics)
    assert metrics["permutation_consistency"]["n"] == 6
    facts = result.facts["gguf-F16"]["mcq"]
    assert facts["by subject"]["sums"]["n"] == facts["by letter right"]["B"]["n"] == 6
    rows = read_dicts(work.folder / "samples/gguf-F16/mcq.jsonl")
    assert all(isinstance(row["reply"], str) and len(row["orders"]) == 1 for row in rows)


def test_the_orders_are_the_seed_s(folder: Path) -> None:
    drawn = [
        [one.order for one in row.orders]
        for seed in (1, 1, 2)
        for row in [measured(folder, questions(4)[3:], permute=seed, permutations=5)[0]]
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert len(set(drawn[0])) == 5
    assert "ABCDE" not in drawn[0]


def mcq_row(row: str, answer_as: str, question: str = "Which unit measures force?") -> McqRow:
    value = {
        "id": row,
        "source": "s",
        "question": question,
        "choices": ["newton", "joule"],
        "answer": "A",
    }
    return McqRow.model_validate(
        value | {"answer_as": answer_as, "explanation": "Newton measures force."}
    )


def test_a_question_counts_once_by_its_letter(tmp_path: Path) -> None:
    rows = [
        mcq_row("1", "explained"),
        mcq_row("2", "letter"),
        mcq_row("3", "letter"),
        mcq_row("4", "text", "Energy?"),
    ]
    write_jsonl(tmp_path / "test.jsonl", [row.model_dump() for row in rows])
    kept, skipped = read(tmp_path / "test.jsonl", None)
    assert ([row.id for row in kept], skipped) == (["2", "4"], 2)
    assert [row.id for row in read(tmp_path / "test.jsonl", 1)[0]] == ["2"]
