from pathlib import Path

from eval.tasks.generation import TASK, read
from stemma.jsonl import write_jsonl


def test_all_rows_are_answered_those_without_gold_too(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [
        {"id": str(i), "source": "t", "messages": messages, "meta": {"gold": "a"} if i else {}}
        for i in range(3)
    ]
    write_jsonl(tmp_path / "t.jsonl", rows)
    kept, skipped = read(tmp_path / "t.jsonl", None)
    assert ([row.id for row in kept], skipped) == (["0", "1", "2"], 0)
    assert [row.id for row in read(tmp_path / "t.jsonl", 1)[0]] == ["0"]


def test_a_row_without_gold_has_no_verdict_and_does_not_count_for_accuracy() -> None:
    known = {"source": "t", "choices": [], "reply": "5", "tokens": 2, "stopped": True}
    samples = [{"id": str(at), "gold": gold} | known for at, gold in enumerate(["5", None])]
    found = TASK.score_records(samples, [], 1, 0.1)
    assert {metric.name: (metric.value, metric.n) for metric in found.metrics} == {
        "accuracy": (1.0, 1),
        "undecided": (0.0, 1),
        "stopped": (1.0, 2),
        "tokens": (2.0, 2),
        "empty": (0, 2),
    }
    assert [row["verdict"] for row in found.samples] == ["right", None]
    none = TASK.score_records(samples[1:], [], 1, 0.1)
    assert [metric.name for metric in none.metrics] == ["stopped", "tokens", "empty"]
    assert none.right == {}, "nothing to compare with another variant"


def test_score_by_hand() -> None:
    samples = [
        {
            "id": "1",
            "ids_digest": "x",
            "source": "t",
            "gold": "4",
            "reply": "2 + 2 = 4",
            "tokens": 6,
            "stopped": True,
        },
        {
            "id": "2",
            "ids_digest": "y",
            "source": "t",
            "gold": "4",
            "reply": "5 5 5 5",
            "tokens": 8,
            "stopped": False,
        },
        {
            "id": "3",
            "ids_digest": "z",
            "source": "t",
            "gold": "4",
            "reply": "3 or 4",
            "tokens": 4,
            "stopped": False,
        },
        {
            "id": "4",
            "ids_digest": "v",
            "source": "t",
            "gold": "4",
            "reply": "4",
            "tokens": 2,
            "stopped": True,
        },
    ]
    samples = [sample | {"choices": []} for sample in samples]
    found = TASK.score_records(samples, [], 1, 0.1)
    assert {metric.name: (metric.value, metric.n) for metric in found.metrics} == {
        "accuracy": (0.5, 4),
        "undecided": (0.25, 4),
        "stopped": (0.5, 4),
        "tokens": (5.0, 4),
        "empty": (0, 4),
    }
    assert found.right == {"accuracy": {"1": True, "2": False, "3": False, "4": True}}
    assert [row["verdict"] for row in found.samples] == ["right", "wrong", "undecided", "right"]


def test_a_letter_counts_where_the_question_lists_options() -> None:
    known = {
        "source": "t",
        "gold": "newton",
        "choices": ["joule", "newton"],
        "tokens": 2,
        "stopped": True,
    }
    samples = [{"id": letter, "ids_digest": letter, "reply": letter, **known} for letter in "AB"]
    assert TASK.score_records(samples, [], 1, 0.1).right == {"accuracy": {"A": False, "B": True}}


def test_replies_that_show_nothing_are_counted() -> None:
    """Nothing, blanks, a zero-width space, a bell: none of them can be read. A full stop can."""
    known = {"source": "t", "gold": "5", "choices": [], "tokens": 1, "stopped": True}
    replies = ["", " \n", "\u200b", "\a", ".", "5"]
    samples = [{"id": str(at), "reply": reply} | known for at, reply in enumerate(replies)]
    metrics = {metric.name: metric for metric in TASK.score_records(samples, [], 1, 0.1).metrics}
    assert (metrics["empty"].value, metrics["empty"].n) == (4, 6)
    assert metrics["accuracy"].value == 1 / 6, "an empty reply is never right"
