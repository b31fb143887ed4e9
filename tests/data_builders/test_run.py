from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from data_builders.expert import Expert
from data_builders.run import run
from data_builders.split import question_key
from stemma import ROOT
from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_rows
from stemma.rows import Dropped, McqRow, PreferenceRow, SftRow
from stemma.runs import files_under
from tests.data_builders import loopback
from tests.data_builders.small_recipe import make_work, write_lines

TINY: dict[str, Any] = {
    "generator": {"server": "scripted-expert", "model": "expert"},
    "corpus": {"sources": [{"source": "stem_exercises", "limit": 600}]},
    "sft": {"sources": [{"source": "stem_exercises", "limit": 300}]},
    "dpo": {"sources": [{"source": "stem_exercises", "limit": 200}, {"source": "generated_pairs", "limit": 20}]},
    "mcq": {"sources": [{"source": "stem_exercises", "limit": 300}], "parts": {"validation": 0.1, "test": 0.3}},
}


def asked(path: Path) -> set[str]:
    """The keys of the questions a JSONL file asks, of whatever kind its rows are."""
    keys = set()
    for row in read_dicts(path):
        messages = row.get("messages", [{}])
        keys.add(
            question_key(
                row.get("prompt")
                or row.get("question")
                or row.get("text", "").split("\n\nAnswer:")[0]
                or messages[0]["content"]
            )
        )
    return keys


def test_no_question_lies_in_two_parts_and_every_row_is_accounted_for(tmp_path: Path) -> None:
    work = make_work(tmp_path, TINY)
    result = run(work)
    parts: dict[str, set[str]] = {"train": set(), "validation": set(), "test": set()}
    for name, path in result.outputs.items():
        if "/" in name:
            parts[name.split("/")[1]] |= asked(work.folder / path)
    assert min(map(len, parts.values())) > 10
    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["validation"]
    assert not parts["validation"] & parts["test"]
    for counts in result.counts["sources"].values():
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())
    sizes = {f"{kind}/{part}": n for kind, parts in result.counts["sets"].items() for part, n in parts.items()}
    assert sizes == {name: len(read_dicts(work.folder / f"{name}.jsonl")) for name in result.outputs if "/" in name}
    dropped = read_rows(work.folder / "dropped.jsonl", Dropped)
    assert len(dropped) == sum(sum(c["dropped"].values()) for c in result.counts["sources"].values())
    assert read_rows(work.folder / "sft/train.jsonl", SftRow)
    assert read_rows(work.folder / "mcq/test.jsonl", McqRow)
    assert {row.source for row in read_rows(work.folder / "dpo/train.jsonl", PreferenceRow)} == {
        "stem_exercises",
        "generated_pairs",
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in files_under(folder) if p.name != "generator.jsonl"}


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    works = [make_work(tmp_path / name, TINY, seed) for name, seed in (("a", 42), ("b", 42), ("c", 43))]
    for work in works:
        run(work)
    assert tree(works[0].folder) == tree(works[1].folder)
    assert tree(works[0].folder) != tree(works[2].folder)


def test_a_training_row_that_a_test_file_asks_is_dropped_in_every_set(tmp_path: Path) -> None:
    frame = "Question: {}\n\nOptions:\nA. x\nB. y\n\nAnswer:"
    write_lines(tmp_path / "test.jsonl", {"subject": None, "question": frame.format("Who, me?"), "answer": "A"})
    write_lines(
        tmp_path / "train.jsonl",
        {"subject": None, "question": frame.format("who me"), "answer": "A"},
        {"subject": None, "question": frame.format("Who else?"), "answer": "B"},
    )
    write_lines(
        tmp_path / "pairs.jsonl",
        {"prompt": "WHO, ME", "chosen": "a", "rejected": "b"},
        {"prompt": "You?", "chosen": "a", "rejected": "b"},
    )
    work = make_work(
        tmp_path / "runs",
        {
            "root": str(tmp_path),
            "corpus": {"sources": [{"source": "from_sets"}]},
            "dpo": {"sources": [{"source": "preference_jsonl", "path": "pairs.jsonl", "use": "train"}]},
            "mcq": {
                "sources": [
                    {"source": "mcq_jsonl", "path": "train.jsonl", "use": "train"},
                    {"source": "mcq_jsonl", "path": "test.jsonl", "use": "test"},
                ]
            },
        },
    )
    result = run(work)
    leak = {"read": 2, "kept": 1, "dropped": {"in evaluation part": 1}, "repaired": 0}
    assert result.counts == {
        "sources": {
            "dpo: preference_jsonl pairs.jsonl": leak,
            "mcq: mcq_jsonl train.jsonl": leak,
            "mcq: mcq_jsonl test.jsonl": {"read": 1, "kept": 1, "dropped": {}, "repaired": 0},
            "corpus: from_sets": {"read": 2, "kept": 2, "dropped": {}, "repaired": 0},
        },
        "sets": {
            "dpo": {"train": 1, "validation": 0, "test": 0},
            "mcq": {"train": 1, "validation": 0, "test": 1},
            "corpus": {"train": 2},
        },
    }
    assert [(d.where, d.reason) for d in read_rows(work.folder / "dropped.jsonl", Dropped)] == [
        ("pairs.jsonl row 1", "in evaluation part"),
        ("train.jsonl row 1", "in evaluation part"),
    ]
    assert (work.folder / "mcq/validation.jsonl").read_bytes() == b""


def make_pairs_work(folder: Path, *rows: Any, **options: Any) -> Any:
    write_lines(folder / "pairs.jsonl", *rows)
    source = {"source": "preference_jsonl", "path": "pairs.jsonl", **options}
    return make_work(folder / "runs", {"root": str(folder), "dpo": {"sources": [source]}})


def test_damage_is_repaired_and_counted_and_the_unprintable_is_kept_in_words(tmp_path: Path) -> None:
    work = make_pairs_work(
        tmp_path,
        {"prompt": "one", "chosen": "\frac{1}{2}", "rejected": "b"},
        {"prompt": "two", "chosen": "a \ud83d", "rejected": "b"},
        {"prompt": "three", "chosen": "a", "rejected": "..."},
        {"prompt": "one!", "chosen": "\\frac{1}{2}", "rejected": "b"},
        {"prompt": "one", "chosen": "\\frac{1}{2}", "rejected": "b"},
        use="train",
    )
    assert run(work).counts["sources"]["dpo: preference_jsonl pairs.jsonl"] == {
        "read": 5, "kept": 2, "repaired": 1,
        "dropped": {"duplicate": 1, "empty answer": 1, "unpaired surrogate in content": 1},
    }  # fmt: skip
    dropped = read_rows(work.folder / "dropped.jsonl", Dropped)
    assert dropped[0].row["chosen"] == "a \\ud83d"
    assert dropped[2].where == "pairs.jsonl row 5"


def test_a_set_without_a_training_row_is_an_error_that_says_where_its_rows_went(tmp_path: Path) -> None:
    work = make_pairs_work(tmp_path, {"prompt": "one", "chosen": "a", "rejected": ""})
    with pytest.raises(UserError) as caught:
        run(work)
    assert str(caught.value) == (
        "data.dpo: no training row is left (dpo: preference_jsonl pairs.jsonl: 1 dropped)\n"
        "  expected: at least one\n"
        "  hint: the data stage's dropped.jsonl gives each row's reason"
    )
    assert len(read_dicts(work.folder / "dropped.jsonl")) == 1


def test_malformed_files_are_reported_together(tmp_path: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text("{\n", encoding="utf-8")
    sources = [{"source": "preference_jsonl", "path": name} for name in ("one.jsonl", "two.jsonl")]
    with pytest.raises(UserError) as caught:
        run(make_work(tmp_path / "runs", {"root": str(tmp_path), "dpo": {"sources": sources}}))
    assert [Path(problem.where).name for problem in caught.value.problems] == ["one.jsonl:1", "two.jsonl:1"]


def test_a_training_question_with_eaten_backslashes_is_still_recognised(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", *({"prompt": p, "chosen": "a", "rejected": "b"} for p in ("2 \times 3", "4")))
    write_lines(tmp_path / "test.jsonl", {"prompt": "2 \\times 3", "chosen": "a", "rejected": "b"})
    sources = [{"source": "preference_jsonl", "path": f"{use}.jsonl", "use": use} for use in ("train", "test")]
    work = make_work(tmp_path / "runs", {"root": str(tmp_path), "dpo": {"sources": sources}})
    assert run(work).counts["sources"]["dpo: preference_jsonl train.jsonl"]["dropped"] == {"in evaluation part": 1}


def test_an_empty_file_is_an_empty_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.dpo: no training row is left\n"):
        run(make_pairs_work(tmp_path))


def test_a_malformed_line_stops_the_stage_with_file_and_line(tmp_path: Path) -> None:
    work = make_pairs_work(tmp_path, {"prompt": "one", "chosen": "a", "rejected": "b"}, "not an object")
    with pytest.raises(UserError, match=r"pairs\.jsonl:2: a JSON str\n  expected: one JSON object a line"):
        run(work)


def test_limit_reads_the_first_rows(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(9)]
    work = make_pairs_work(tmp_path, *rows, use="train", limit=4)
    run(work)
    assert [row["prompt"] for row in read_dicts(work.folder / "dpo/train.jsonl")] == ["p0", "p1", "p2", "p3"]


KILLED = """
import sys
from pathlib import Path
from tests.data_builders.small_recipe import make_work
from data_builders.run import run
import json
run(make_work(Path(sys.argv[1]), json.loads(sys.argv[2])))
"""


def test_kill_9_in_the_middle_of_generation_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    expert = Expert(42, {})

    def reply(request: dict[str, Any]) -> loopback.Reply:
        time.sleep(0.01)
        return loopback.completion(expert.reply(request["messages"][0]["content"], request["seed"]))

    with loopback.serve(reply) as (base_url, requests):
        generator = {"base_url": base_url, "model": "m", "api_key_env": "TEST_KEY", "concurrency": 2}
        data = {
            "generator": generator,
            "dpo": {"sources": [{"source": "generated_pairs", "limit": 60, "use": "train"}]},
        }
        command = [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(data)]
        environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
        while len(requests) < 30 and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        work = make_work(tmp_path, data)
        assert not (work.folder / "dpo/train.jsonl").exists()
        before = len(requests)
        assert before < 120
        result = run(work)
        distinct = {json.dumps(request, sort_keys=True) for request in requests}
        assert len(requests) - len(distinct) <= 2  # those in flight when the kill came, one a thread
        finished, made = len(requests), tree(work.folder)
        assert run(work) == result
        assert len(requests) == finished
        assert tree(work.folder) == made
    assert result.counts["sources"]["dpo: generated_pairs"]["read"] == 60
