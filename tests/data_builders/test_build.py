"""The way of rows between the sources and the files, on sets small enough to count by hand."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data_builders.account import Account
from data_builders.build import Build
from data_builders.filters.gate import DecontaminationGate, leak_of, read_benchmarks
from data_builders.shortfalls import unfilled
from data_builders.split import question_id
from stemma.errors import UserError
from stemma.rows import Dropped, McqRow
from tests.data_builders.small_recipe import make_recipe, write_lines

LONG = "a row of words that is long enough to be told from any other row of words number"


def pairs(*names: str, count: int = 1) -> list[dict[str, str]]:
    """`count` pairs for each question."""
    return [
        {
            "prompt": f"Why {name}?",
            "chosen": f"because {name} {number} twice",
            "rejected": f"not {number}",
        }
        for name in names
        for number in range(count)
    ]


def make_build(folder: Path, **data: Any) -> tuple[Build, list[Dropped]]:
    dropped: list[Dropped] = []
    section = make_recipe({"root": str(folder), **data}).data
    gate = DecontaminationGate(section, read_benchmarks(section, 42, lambda _: None))
    return Build(section, 42, Account(dropped.append), gate, lambda _: None), dropped


def file_of(folder: Path, name: str, rows: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    write_lines(folder / f"{name}.jsonl", *rows)
    kind = "mcq_jsonl" if "answer" in rows[0] else "preference_jsonl"
    return {"source": kind, "path": f"{name}.jsonl", "use": "train", **options}


def test_rows_are_filtered_in_order_and_each_loss_is_told(tmp_path: Path) -> None:
    rows = [
        *pairs("red", count=5),
        *pairs("blue", count=2),
        {"prompt": "Why?", "chosen": "so", "rejected": "x"},
    ]
    source = file_of(tmp_path, "p", rows, min_words=2, max_per_question=3, sample=4)
    build, dropped = make_build(tmp_path, dpo={"sources": [source]})
    build.collect("read")
    assert Counter(row.reason for row in dropped) == {
        "answer under 2 words": 1,
        "more rows of its question than max_per_question": 2,
        "not sampled": 1,
    }
    assert len(build.rows) == 4
    assert unfilled(build.data, build.sources, build.rows) == []


def test_a_set_split_by_pair_shares_questions_between_its_parts_alone(tmp_path: Path) -> None:
    rows = pairs("red and round", "blue and flat", count=200)
    by_pair = file_of(tmp_path, "p", rows, use="split", max_per_question=4, sample={"test": 30})
    choice = {
        "question": "Why red and round?\n\nOptions:\nA. x\nB. y",
        "answer": "A",
        "subject": None,
    }
    asked = file_of(tmp_path, "m", [choice], use="split")
    dpo = {"sources": [by_pair], "split": "pair", "parts": {"validation": 0, "test": 0.4}}
    sets = {"dpo": dpo, "mcq": {"sources": [asked], "parts": {"validation": 0, "test": 0}}}
    build, _ = make_build(tmp_path, decontaminate={"mode": "drop"}, **sets)
    build.collect("read")
    build.gate.prove_apart(build.rows)
    # The multiple-choice question, which would train, is tested by pairs.
    assert Counter((row.kind, row.split) for row in build.rows) == {
        ("dpo", "train"): 8,
        ("dpo", "test"): 30,
    }
    assert leak_of(build.rows)["shared_questions"] == 2


def test_only_pairs_are_split_by_pair() -> None:
    mcq = {"sources": [{"source": "stem_exercises"}], "split": "pair"}
    with pytest.raises(ValueError, match=r"mcq\.split: `pair` is for dpo"):
        make_recipe({"mcq": mcq})


def test_a_question_is_capped_over_all_sources_of_its_set(tmp_path: Path) -> None:
    rows = pairs("red", count=8)
    sources = [
        file_of(tmp_path, name, rows[at : at + 4], max_per_question=3)
        for name, at in (("a", 0), ("b", 4))
    ]
    build, dropped = make_build(tmp_path, dpo={"sources": sources})
    build.collect("read")
    assert len(build.rows) == 3
    assert Counter(row.reason for row in dropped) == {
        "more rows of its question than max_per_question": 5
    }


def test_a_file_far_larger_than_its_sample_gives_the_same_rows_as_if_it_were_held_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pairs(*(f"colour{number}" for number in range(200)))
    kept = []
    for ample in (3, 1000):
        monkeypatch.setattr("data_builders.build.AMPLE", ample)
        build, dropped = make_build(
            tmp_path, dpo={"sources": [file_of(tmp_path, "p", rows, sample=5)]}
        )
        build.collect("read")
        kept.append([placed.row.id for placed in build.rows])
        assert Counter(row.reason for row in dropped) == {"not sampled": 195}
        assert build.account.read.total() == 200
    assert kept[0] == kept[1]
    assert len(kept[0]) == 5


def test_a_pair_that_another_contradicts_goes_with_it_and_is_counted_before(tmp_path: Path) -> None:
    one, *rest = pairs("red", "blue")
    other = {**one, "chosen": one["rejected"], "rejected": one["chosen"]}
    build, dropped = make_build(
        tmp_path, dpo={"sources": [file_of(tmp_path, "p", [one, other, *rest])]}
    )
    build.collect("read")
    assert [row.reason for row in dropped] == ["contradicted by another pair"] * 2
    assert build.balance == {"chosen_and_rejected": 2}  # both answers


def test_a_total_is_shared_out_by_weight_and_what_it_lacks_is_told(tmp_path: Path) -> None:
    sources = [
        file_of(tmp_path, "a", pairs(*"abcdef"), weight=3.0),
        file_of(tmp_path, "b", pairs(*"ghijkl"), weight=1.0),
    ]
    build, dropped = make_build(tmp_path, dpo={"sources": sources, "total": 8})
    build.collect("read")
    build.mix()
    assert Counter(placed.source for placed in build.rows) == {
        "dpo: preference_jsonl a.jsonl": 6,
        "dpo: preference_jsonl b.jsonl": 2,
    }
    assert [row.reason for row in dropped] == ["beyond its share of the total"] * 4
    build, _ = make_build(tmp_path, dpo={"sources": sources, "total": 20})
    build.collect("read")
    build.mix()
    assert unfilled(build.data, build.sources, build.rows) == [
        {"of": "dpo", "part": "train", "asked": 20, "kept": 12}
    ]


def test_choices_of_training_questions_alone_are_shuffled(tmp_path: Path) -> None:
    frame = (
        "Question: Which {0}?\n\nOptions:\nA. {0} one\nB. {0} two\nC. {0} three\nD. {0} "
        "four\n\nAnswer:"
    )
    rows = {
        use: [
            {"subject": None, "question": frame.format(f"{use}{n}"), "answer": "A"}
            for n in range(20)
        ]
        for use in ("train", "test")
    }
    sources = [file_of(tmp_path, use, asked, use=use) for use, asked in rows.items()]
    build, _ = make_build(tmp_path, mcq={"sources": sources, "permute": True})
    build.collect("read")
    build.mix()
    shuffled = {placed.split: [] for placed in build.rows}  # type: ignore[var-annotated]
    for placed in build.rows:
        assert isinstance(placed.row, McqRow)
        assert placed.row.choices["ABCD".index(placed.row.answer)].endswith("one"), (
            "the right answer stays right"
        )
        shuffled[placed.split].append(placed.row.answer)
    assert set(shuffled["train"]) == set("ABCD")
    assert set(shuffled["test"]) == {"A"}


def test_frozen_test_questions_stay_in_test(tmp_path: Path) -> None:
    names = [f"colour{number}" for number in range(30)]
    source = file_of(tmp_path, "p", pairs(*names), use="split")
    build, _ = make_build(tmp_path, dpo={"sources": [source]})
    build.collect("read")
    frozen = next(placed for placed in build.rows if placed.split == "train")
    (tmp_path / "ids.txt").write_text(question_id(frozen.key) + "\n")
    build, _ = make_build(tmp_path, dpo={"sources": [source]}, frozen_test="ids.txt")
    build.collect("read")
    parts = {placed.key: placed.split for placed in build.rows}
    assert parts[frozen.key] == "test"
    assert Counter(parts.values())["train"] > 15


def test_no_request_is_paid_for_a_question_of_the_evaluation_or_one_that_says_the_same(
    tmp_path: Path,
) -> None:
    train = file_of(
        tmp_path, "train", pairs("do leaves fall in autumn from most of the trees around here")
    )
    test = file_of(
        tmp_path,
        "test",
        pairs("does water boil at a lower temperature on top of a mountain"),
        use="test",
    )
    bench = file_of(tmp_path, "bench", pairs(LONG))
    del bench["use"]
    build, _ = make_build(
        tmp_path, dpo={"sources": [train, test]}, decontaminate={"against": [bench]}
    )
    build.collect("read")
    is_held_out = build.held_out()
    assert is_held_out("Why does water boil at a lower temperature on top of a mountain?")
    assert is_held_out(
        "Why does the water boil at a lower temperature on top of a mountain?"
    )  # a near-duplicate
    assert is_held_out(f"First: {LONG}, and then?")  # 13 words of the benchmark
    assert not is_held_out("Why do leaves fall in autumn from most of the trees around here?")
    assert not is_held_out("What is the boiling point of water?")


def test_problems_of_all_sources_are_told_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text("{\n")
    sources = [{"source": "preference_jsonl", "path": f"{name}.jsonl"} for name in ("a", "b")]
    build, _ = make_build(tmp_path, dpo={"sources": sources})
    with pytest.raises(UserError) as caught:
        build.collect("read")
    assert [Path(problem.where).name for problem in caught.value.problems] == [
        "a.jsonl:1",
        "b.jsonl:1",
    ]
