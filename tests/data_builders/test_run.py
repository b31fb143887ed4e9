from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data_builders.account import sources_of
from data_builders.run import expected_of, forecast, run
from data_builders.scripted.expert import Expert
from data_builders.scripted.faults import Faults
from data_builders.scripted.server import serve
from data_builders.split import question_key
from stemma import ROOT
from stemma.digests import digest_of, files_under
from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_json, read_rows
from stemma.rows import Dropped, McqRow, PreferenceRow, SftRow
from stemma.runs import Run
from stemma.stages import Work
from tests.data_builders.small_recipe import make_recipe, make_work, write_lines
from tests.factories.models import tiny_model

TINY: dict[str, Any] = {
    "decontaminate": {"mode": "drop"},
    "generator": {"server": "scripted-expert", "model": "expert"},
    "corpus": {"sources": [{"source": "stem_exercises", "limit": 600}]},
    "sft": {"sources": [{"source": "stem_exercises", "limit": 300}]},
    "dpo": {
        "sources": [
            {"source": "stem_exercises", "limit": 200},
            {"source": "generated_pairs", "limit": 20},
        ]
    },
    "mcq": {
        "sources": [{"source": "stem_exercises", "limit": 300}],
        "parts": {"validation": 0.1, "test": 0.3},
    },
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
    sizes = {
        f"{kind}/{part}": n
        for kind, parts in result.counts["sets"].items()
        for part, n in parts.items()
    }
    assert sizes == {
        name: len(read_dicts(work.folder / f"{name}.jsonl"))
        for name in result.outputs
        if "/" in name
    }
    dropped = read_rows(work.folder / "dropped.jsonl", Dropped)
    assert len(dropped) == sum(
        sum(c["dropped"].values()) for c in result.counts["sources"].values()
    )
    assert read_rows(work.folder / "sft/train.jsonl", SftRow)
    assert read_rows(work.folder / "mcq/test.jsonl", McqRow)
    assert {row.source for row in read_rows(work.folder / "dpo/train.jsonl", PreferenceRow)} == {
        "stem_exercises",
        "generated_pairs",
    }


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in files_under(folder)}


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    works = [
        make_work(tmp_path / name, TINY, seed) for name, seed in (("a", 42), ("b", 42), ("c", 43))
    ]
    for work in works:
        run(work)
    assert tree(works[0].folder) == tree(works[1].folder)
    assert tree(works[0].folder) != tree(works[2].folder)


def make_leaking_work(folder: Path, **data: Any) -> Work:
    """A test question that a training file of its own set and one of another set ask too."""
    frame = "Question: {}\n\nOptions:\nA. x\nB. y\n\nAnswer:"
    test = [("Who of us is it, you or me?", "A")]
    train = [("who of us is it you or me", "A"), ("Who?", "B")]
    for name, questions in {"test": test, "train": train}.items():
        rows = [
            {"subject": None, "question": frame.format(q), "answer": letter}
            for q, letter in questions
        ]
        write_lines(folder / f"{name}.jsonl", *rows)
    write_lines(
        folder / "pairs.jsonl",
        *(
            {"prompt": p, "chosen": "a", "rejected": "b"}
            for p in ("WHO OF US IS IT, YOU OR ME", "You?")
        ),
    )
    mcq = [{"source": "mcq_jsonl", "path": f"{use}.jsonl", "use": use} for use in ("train", "test")]
    sets = {
        "corpus": {"sources": [{"source": "from_sets"}]},
        "dpo": {
            "sources": [
                {"source": "preference_jsonl", "path": "pairs.jsonl", **data.pop("pairs", {})}
            ]
        },
        "mcq": {"sources": mcq},
    }
    return make_work(folder / "runs", {"root": str(folder), **sets, **data})


def test_a_drawn_part_gives_way_to_a_test_file(tmp_path: Path) -> None:
    work = make_leaking_work(tmp_path, decontaminate=None)
    pairs = run(work).counts["sources"]["dpo: preference_jsonl pairs.jsonl"]
    assert pairs == {"read": 2, "kept": 1, "dropped": {"in evaluation part": 1}, "repaired": 0}


def test_a_training_file_that_holds_a_test_question_fails_the_build_with_a_table(
    tmp_path: Path,
) -> None:
    work = make_leaking_work(tmp_path, pairs={"use": "train"})
    with pytest.raises(UserError) as caught:
        run(work)
    assert str(caught.value) == (
        "data.decontaminate: 2 training rows overlap with evaluation questions\n"
        "    training source                    evaluation set                  rule           "
        "   rows  questions\n"
        "    dpo: preference_jsonl pairs.jsonl  mcq test: mcq_jsonl test.jsonl  stem           "
        "   1     1\n"
        "    mcq: mcq_jsonl train.jsonl         mcq test: mcq_jsonl test.jsonl  stem and "
        "options  1     1\n"
        "  expected: at most 0 (data.decontaminate.limit)\n"
        "  hint: decontamination.json in the data stage's folder lists the rows; `mode: "
        "drop` takes them out"
    )
    left = sorted(path.name for path in work.folder.iterdir())
    assert left == ["decontamination.json", "dropped.jsonl"], "nothing half-written"
    found = read_json(work.folder / "decontamination.json")["overlaps"]
    assert [(row["source"], row["rows"], len(row["ids"])) for row in found] == [
        ("dpo: preference_jsonl pairs.jsonl", 1, 1),
        ("mcq: mcq_jsonl train.jsonl", 1, 1),
    ]


def test_or_drops_it_in_every_set_and_counts_it(tmp_path: Path) -> None:
    work = make_leaking_work(tmp_path, pairs={"use": "train"}, decontaminate={"mode": "drop"})
    result = run(work)
    leak = {"read": 2, "kept": 1, "repaired": 0}
    test = "overlaps with mcq test: mcq_jsonl test.jsonl"
    assert result.counts == {
        "sources": {
            "dpo: preference_jsonl pairs.jsonl": leak | {"dropped": {f"{test} (stem)": 1}},
            "mcq: mcq_jsonl train.jsonl": leak | {"dropped": {f"{test} (stem and options)": 1}},
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
        ("pairs.jsonl:1", f"{test} (stem)"),
        ("train.jsonl:1", f"{test} (stem and options)"),
    ]
    assert (work.folder / "mcq/validation.jsonl").read_bytes() == b""
    assert result.facts["decontamination"] == {
        "mode": "drop",
        "questions": {"mcq test: mcq_jsonl test.jsonl": 1},
        "rows": 2,
    }


@pytest.mark.slow
def test_datatroves_executors_make_the_same_rows_and_leave_nothing_behind(tmp_path: Path) -> None:
    here = make_leaking_work(tmp_path / "here", decontaminate={"mode": "drop"})
    there = make_leaking_work(
        tmp_path / "there",
        decontaminate={"mode": "drop"},
        executor={"kind": "local", "tasks": 2, "workers": 1},
    )
    assert run(here) == run(there)
    assert tree(here.folder) == tree(there.folder)


def make_pairs_work(folder: Path, *rows: Any, **options: Any) -> Any:
    write_lines(folder / "pairs.jsonl", *rows)
    source = {"source": "preference_jsonl", "path": "pairs.jsonl", **options}
    return make_work(folder / "runs", {"root": str(folder), "dpo": {"sources": [source]}})


def test_damage_is_repaired_and_counted_and_the_unprintable_is_kept_in_words(
    tmp_path: Path,
) -> None:
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
        "read": 5,
        "kept": 2,
        "repaired": 1,
        "dropped": {"duplicate": 1, "empty answer": 1, "unpaired surrogate in content": 1},
    }
    dropped = read_rows(work.folder / "dropped.jsonl", Dropped)
    assert dropped[0].row["chosen"] == "a \\ud83d"
    assert dropped[2].where == "pairs.jsonl:5"


def test_a_set_without_a_training_row_is_an_error_that_says_where_its_rows_went(
    tmp_path: Path,
) -> None:
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
    assert [Path(problem.where).name for problem in caught.value.problems] == [
        "one.jsonl:1",
        "two.jsonl:1",
    ]


def test_a_training_question_with_eaten_backslashes_is_still_recognised(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "train.jsonl",
        *({"prompt": p, "chosen": "a", "rejected": "b"} for p in ("2 \times 3", "4")),
    )
    write_lines(tmp_path / "test.jsonl", {"prompt": "2 \\times 3", "chosen": "a", "rejected": "b"})
    sources = [
        {"source": "preference_jsonl", "path": f"{use}.jsonl", "use": use}
        for use in ("train", "test")
    ]
    work = make_work(tmp_path / "runs", {"root": str(tmp_path), "dpo": {"sources": sources}})
    with pytest.raises(
        UserError, match=r"data\.decontaminate: 1 training row overlaps with evaluation questions"
    ):
        run(work)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"pairs\.jsonl: no rows in it\n  expected: at least one row"
    ):
        run(make_pairs_work(tmp_path))


def test_the_special_tokens_of_a_model_that_is_here_are_refused_and_changing_them_makes_the_data_stale(
    tmp_path: Path,
) -> None:
    answers = [f"a {n}" + " <mask>" * (n < 3) for n in range(9)]
    work = make_pairs_work(
        tmp_path,
        *({"prompt": f"why {a}", "chosen": a, "rejected": "b"} for a in answers),
        use="train",
    )
    assert run(work).counts["sources"]["dpo: preference_jsonl pairs.jsonl"]["dropped"] == {}
    known = {"base_model": str(tiny_model()), "path": ROOT / "recipes" / "small.yml"}
    recipe = work.recipe.model_copy(update=known)
    result = run(replace(work, recipe=recipe))
    source = result.counts["sources"]["dpo: preference_jsonl pairs.jsonl"]
    assert source["dropped"] == {"control token in content": 3}
    assert result.facts["special_tokens"] == "of common families and the model's own"
    assert recipe.files("data")["tokenizer"] == tiny_model() / "tokenizer.json"
    assert "tokenizer" not in work.recipe.files("data")


def test_a_missing_key_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    missing = {"sources": [{"source": "gsm8k", "path": "none.jsonl"}]}
    against = {"against": [{"source": "mcq_jsonl", "path": "none.jsonl"}]}
    work = make_work(tmp_path, {**GENERATED, "sft": missing, "decontaminate": against})
    with pytest.raises(UserError, match=r"environment variable TEST_KEY: not set"):
        run(work)


def test_a_malformed_line_stops_the_stage_with_file_and_line(tmp_path: Path) -> None:
    work = make_pairs_work(
        tmp_path, {"prompt": "one", "chosen": "a", "rejected": "b"}, "not an object"
    )
    with pytest.raises(
        UserError, match=r"pairs\.jsonl:2: a JSON str\n  expected: one JSON object a line"
    ):
        run(work)


def test_limit_reads_the_first_rows(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(9)]
    work = make_pairs_work(tmp_path, *rows, use="train", limit=4)
    run(work)
    assert [row["prompt"] for row in read_dicts(work.folder / "dpo/train.jsonl")] == [
        "p0",
        "p1",
        "p2",
        "p3",
    ]


def test_every_row_has_its_provenance(tmp_path: Path) -> None:
    work = make_pairs_work(
        tmp_path, {"prompt": "one", "chosen": "a", "rejected": "b"}, use="train", licence="MIT"
    )
    run(work)
    [row] = read_dicts(work.folder / "dpo/train.jsonl")
    assert read_dicts(work.folder / "provenance.jsonl") == [
        {
            "id": row["id"],
            "set": "dpo",
            "part": "train",
            "source": "dpo: preference_jsonl pairs.jsonl",
            "licence": "MIT",
            "file": "pairs.jsonl",
            "where": "pairs.jsonl:1",
            "input_sha256": digest_of(tmp_path / "pairs.jsonl"),
        }
    ]


def test_a_derived_row_has_the_licence_of_the_row_it_was_made_of(tmp_path: Path) -> None:
    write_lines(tmp_path / "pairs.jsonl", {"prompt": "one", "chosen": "a", "rejected": "b"})
    source = {
        "source": "preference_jsonl",
        "path": "pairs.jsonl",
        "use": "train",
        "licence": "CC-BY-4.0",
    }
    data = {
        "root": str(tmp_path),
        "corpus": {"sources": [{"source": "from_sets"}]},
        "dpo": {"sources": [source]},
    }
    work = make_work(tmp_path / "runs", data)
    result = run(work)
    origins = {origin["set"]: origin for origin in read_dicts(work.folder / "provenance.jsonl")}
    assert origins["corpus"]["where"] == f"dpo {origins['dpo']['id']}"
    assert origins["corpus"]["licence"] == "CC-BY-4.0"
    assert result.facts["licences"] == {"CC-BY-4.0": 1}


def test_a_german_set_is_german_on_its_card_and_one_that_is_said_is_as_said(tmp_path: Path) -> None:
    lines = [
        {"prompt": f"Wie groß ist die Kraft auf {n} Kilogramm?", "chosen": f"Sie beträgt {n} Newton.",
         "rejected": "Das weiß niemand so genau."}
        for n in range(20)
    ]  # fmt: skip
    write_lines(tmp_path / "pairs.jsonl", *lines)
    data = {
        "root": str(tmp_path),
        "dpo": {"sources": [{"source": "preference_jsonl", "path": "pairs.jsonl", "use": "train"}]},
    }
    for language, expected in ((None, "de"), ("nl", "nl")):
        work = make_work(tmp_path / "runs" / expected, data | {"language": language})
        assert run(work).facts["language"] == expected
        card = (work.folder / "README.md").read_text(encoding="utf-8")
        assert f"language:\n- {expected}\n" in card


def test_what_a_build_leaves_besides_its_rows(tmp_path: Path) -> None:
    pairs = [
        {"prompt": f"What is {n} squared?", "chosen": f"{n * n}", "rejected": "7"}
        for n in range(20, 60)
    ]
    work = make_pairs_work(tmp_path, *pairs)
    result = run(work)
    parts = {
        part: len(read_dicts(work.folder / f"dpo/{part}.jsonl"))
        for part in ("train", "validation", "test")
    }
    assert read_json(work.folder / "statistics.json") == {
        "dpo": {
            "parts": parts,
            "sources": {"preference_jsonl pairs.jsonl": 40},
            "subjects": {},
            "words": {"prompt": {"2 to 4": 40}, "chosen": {"1": 40}, "rejected": {"1": 40}},
            "dropped": {},
        }
    }
    test_ids = (work.folder / "test_ids.txt").read_text().split()
    assert test_ids == sorted(
        {row["question_id"] for row in read_dicts(work.folder / "dpo/test.jsonl")}
    )
    assert len(test_ids) == parts["test"] > 0
    assert result.facts["decontamination"] == {
        "mode": "fail",
        "questions": {"dpo test: preference_jsonl pairs.jsonl": parts["test"]},
        "rows": 0,
    }
    assert result.facts["balance"] == {
        "length": {
            "n": parts["train"],
            "chosen_longer": 0.0,
            "equally_long": 1.0,
            "mean_words_chosen": 1.0,
            "mean_words_rejected": 1.0,
        },
        "chosen_and_rejected": 0,
    }
    assert result.facts["preflight"] == {
        "said": "no tokenizer yet: the same proof runs when training starts"
    }
    assert (
        (work.folder / "README.md")
        .read_text(encoding="utf-8")
        .startswith("---\npretty_name: small\n")
    )


def test_too_few_rows_for_a_sample_are_said_and_recorded(tmp_path: Path) -> None:
    pairs = [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(9)]
    work = make_pairs_work(tmp_path, *pairs, use="train", sample=12)
    said: list[str] = []
    result = run(replace(work, say=said.append))
    name = "dpo: preference_jsonl pairs.jsonl"
    assert result.facts["unfilled"] == [{"of": name, "part": "train", "asked": 12, "kept": 9}]
    assert f"{name} (train): 12 rows asked for, 9 there" in said
    assert "12 rows were asked for, there were 9." in (work.folder / "README.md").read_text(
        encoding="utf-8"
    )


GENERATED: dict[str, Any] = {
    "generator": {
        "model": "m",
        "api_key_env": "TEST_KEY",
        "concurrency": 2,
        "prices": {"input": 1, "output": 2},
    },
    "dpo": {"sources": [{"source": "generated_pairs", "limit": 60, "use": "train"}]},
}


def test_what_a_build_would_pay_is_told_and_nothing_is_written_or_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    work = Work(make_recipe(GENERATED), Run(tmp_path / "runs/small"), "data", lambda _: None)
    found = forecast(work)
    assert (found.spent["requests"] or 0) >= 120
    assert found.spent["from_ledger"] == 0
    assert (found.spent["cost_usd_at_most"] or 0) > 0
    assert (found.rows, found.generated) == ({"dpo": []}, {"dpo": 60})
    assert not (tmp_path / "runs").exists()
    nothing = make_recipe(
        {"decontaminate": None, "sft": {"sources": [{"source": "stem_exercises"}]}}
    )
    stated = forecast(replace(work, recipe=nothing))
    assert (stated.spent, stated.generated) == ({"requests": 0}, {"sft": 0})
    assert 1000 < len(stated.rows["sft"]) < 1673, "the training part"


def test_the_rows_foreseen_are_those_of_the_build(tmp_path: Path) -> None:
    work = make_work(tmp_path, TINY)
    expected = forecast(work)
    sets = run(work).counts["sets"]
    assert expected.generated == {"corpus": 0, "sft": 0, "dpo": 17, "mcq": 0}, (
        "20 questions, 15 % held out"
    )
    for kind in ("corpus", "sft", "mcq"):
        assert len(expected.rows[kind]) == sets[kind]["train"]
    assert 0 <= len(expected.rows["dpo"]) + 17 - sets["dpo"]["train"] <= 17, (
        "some answers are good for no pair"
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 85),
        ({"use": "train"}, 100),
        ({"use": "test"}, 0),
        ({"sample": {"train": 40}}, 40),
        ({"sample": 0.5}, 42),
    ],
)
def test_generated_rows_to_expect_of_a_hundred_asked_for(
    options: dict[str, Any], expected: int
) -> None:
    source = {"source": "generated_pairs", **options}
    data = GENERATED | {"dpo": {"sources": [source], "parts": {"validation": 0.05, "test": 0.1}}}
    [source] = sources_of(make_recipe(data).data)
    assert expected_of(source, 100) == expected


RECIPE = """\
name: small
base_model: models/any
chat_template: templates/qa.jinja
data: {data}
export: {{from: base, gguf: {{types: [F16]}}, ship: gguf-F16}}
eval: {{variants: [base], tasks: [{{task: speed}}]}}
"""


@pytest.mark.slow
def test_kill_9_in_the_middle_of_generation_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert = Expert(42, {})
    monkeypatch.setenv("TEST_KEY", "k")
    shutil.copytree(ROOT / "recipes/templates", tmp_path / "templates")
    with serve(
        lambda body: expert.reply(body["messages"][-1]["content"], body["seed"]), SLOW
    ) as server:
        data = GENERATED | {"generator": GENERATED["generator"] | {"base_url": server.base_url}}
        (tmp_path / "small.yml").write_text(RECIPE.format(data=json.dumps(data)), encoding="utf-8")
        command = [sys.executable, "-m", "stemma", "data", str(tmp_path / "small.yml"), "--runs"]
        process = subprocess.Popen(
            [*command, str(tmp_path / "runs")], cwd=ROOT, start_new_session=True
        )
        while len(server.record.requests) < 30 and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        folder = tmp_path / "runs/small/data"
        assert not (folder / "dpo/train.jsonl").exists()
        assert len(server.record.requests) < 120
        subprocess.run([*command, str(tmp_path / "runs")], cwd=ROOT, check=True)
        received = server.record.received
        assert received.total() - len(received) <= 2, "only what was in flight is sent again"
        finished = received.total()
        made = tree(folder)
        subprocess.run([*command, str(tmp_path / "runs"), "--force"], cwd=ROOT, check=True)
        assert received.total() == finished
        assert without_manifest(tree(folder)) == without_manifest(made)
    manifest = read_json(folder / "manifest.json")
    counts = manifest["counts"]["sources"]["dpo: generated_pairs"]
    generator = manifest["facts"]["generator"]
    assert counts["read"] == 60
    assert generator["requests"] == generator["from_ledger"] == len(received)
    assert generator["rows_kept"] == counts["kept"] > 0
    assert generator["cost_usd_per_kept_row"] == pytest.approx(
        generator["cost_usd"] / counts["kept"]
    )
    origins = read_dicts(folder / "provenance.jsonl")
    assert {(origin["model"], origin["licence"]) for origin in origins} == {("m", "Apache-2.0")}
    assert all(origin["cost_usd"] > 0 and len(origin["prompt_sha256"]) == 64 for origin in origins)


SLOW = Faults(median_seconds=0.01, sigma=0.5)


def without_manifest(files: dict[str, bytes]) -> dict[str, bytes]:
    """The manifest holds the times, and how many requests came from the ledger."""
    return {name: content for name, content in files.items() if name != "manifest.json"}
