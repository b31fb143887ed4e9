from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from data_builders import SOURCES
from data_builders.filters.clean import finish
from data_builders.flow import Draft
from data_builders.sources.table import Options
from stemma import ROOT
from stemma.errors import UserError
from stemma.rows import PreferenceRow
from stemma.templates import Template
from stemma.training.rows import sample
from tests.data_builders.small_recipe import make_context, write_lines
from tests.data_builders.sources.reading import drops, read, rows

QUIZ = {"question": "Frage", "choices": ["A", "B", "C"], "answer": "Loesung", "subject": "=physics"}


def choices(
    root: Path, path: str, columns: dict[str, Any], **options: Any
) -> list[tuple[list[str], str]]:
    return [
        (row["choices"], row["answer"])
        for row in rows(read("mcq", "table", root, path, columns=columns, **options))
    ]


def test_a_course_is_added_by_naming_its_columns(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "Frage;A;B;C;Loesung\nWas misst man in Newton?;Kraft;Arbeit;;A\nWer?;x;y;z;D\n;x;y;z;A\n"
    )
    items = read("mcq", "table", tmp_path, "p.csv", columns=QUIZ, delimiter=";")
    assert rows(items) == [
        {
            "question": "Was misst man in Newton?",
            "choices": ["Kraft", "Arbeit"],
            "answer": "A",
            "answer_as": "letter",
            "subject": "physics",
            "meta": {},
        }
    ]
    assert drops(items) == [
        ("p.csv:3", "the answer is none of the options"),
        ("p.csv:4", "no question"),
    ]


def test_a_file_without_header_is_given_its_names(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Why?,Because\n")
    columns = {"question": "q", "answer": "a"}
    [row] = rows(read("sft", "table", tmp_path, "p.csv", columns=columns, header=["q", "a"]))
    assert [message["content"] for message in row["messages"]] == ["Why?", "Because"]


def test_the_answer_may_be_a_label_a_text_a_number_or_an_index(tmp_path: Path) -> None:
    row = {
        "q": "Which?",
        "options": ["x", "y"],
        "text": "y",
        "number": 2,
        "index": 1,
        "letter": "B",
    }
    write_lines(tmp_path / "t.jsonl", row)
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{**row, "number": 2.0}]), tmp_path / "t.parquet"
    )
    for name, answer_is in {
        "text": "text",
        "number": "number",
        "index": "index",
        "letter": "label",
    }.items():
        for path in ("t.jsonl", "t.parquet"):
            columns = {"question": "q", "choices": "options", "answer": name}
            assert choices(tmp_path, path, columns, answer_is=answer_is) == [(["x", "y"], "B")]


def test_arc_as_the_hub_has_it_is_a_mapping_with_dotted_paths(tmp_path: Path) -> None:
    arc = {
        "id": "1",
        "question": "Which?",
        "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    }
    write_lines(tmp_path / "arc.jsonl", arc)
    columns = {
        "question": "question",
        "choices": "choices.text",
        "labels": "choices.label",
        "answer": "answerKey",
    }
    assert choices(tmp_path, "arc.jsonl", columns) == [(["x", "y", "z"], "C")]


def test_pairs_conversations_and_texts_are_mapped_too(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "t.jsonl",
        {"p": "Why?", "good": "a", "bad": "b", "n": 4},
        {"p": "Why?", "good": None, "bad": "b", "n": 4},
    )
    pairs = read(
        "dpo",
        "table",
        tmp_path,
        "t.jsonl",
        columns={"prompt": "p", "chosen": "good", "rejected": "bad"},
    )
    assert rows(pairs) == [{"prompt": "Why?", "chosen": "a", "rejected": "b", "meta": {}}]
    assert drops(pairs) == [("t.jsonl:2", "no chosen")]
    [row] = rows(
        read(
            "sft",
            "table",
            tmp_path,
            "t.jsonl",
            columns={"question": "p", "answer": "good", "gold": "n"},
        )
    )
    assert row["meta"] == {"gold": "4"}
    assert rows(read("corpus", "table", tmp_path, "t.jsonl", columns={"text": "bad"})) == [
        {"text": "b"},
        {"text": "b"},
    ]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Frage,A,B,C,Lösung\nWas?,x,y,z,A\n")
    with pytest.raises(UserError) as caught:
        read("mcq", "table", tmp_path, "p.csv", columns=QUIZ)
    assert str(caught.value) == (
        "p.csv:2: no column 'Loesung' for `answer`\n"
        "  expected: one of Frage, A, B, C, Lösung\n"
        "  hint: did you mean `Lösung`?"
    )


def test_a_forgotten_delimiter_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Frage;A;B;C;Loesung\nWas?;x;y;z;A\n")
    with pytest.raises(UserError) as caught:
        read("mcq", "table", tmp_path, "p.csv", columns=QUIZ)
    assert str(caught.value).splitlines()[-1] == '  hint: delimiter: ";"'
    with pytest.raises(UserError) as caught:
        read("sft", "table", tmp_path, "p.csv")
    assert str(caught.value).splitlines()[-1].startswith('  hint: delimiter: ";"; ')


def test_letters_are_letters_however_they_are_written(tmp_path: Path) -> None:
    written = ["c", "C)", "(C)", "[c]", "C.", "Option C", "C) z", "A, C"]
    lines = [f'Was ist {n}?,x,y,z,"{one}"' for n, one in enumerate(written)]
    (tmp_path / "p.csv").write_text("\n".join(["Frage,A,B,C,Loesung", *lines, ""]))
    found = read("mcq", "table", tmp_path, "p.csv", columns=QUIZ)
    assert [row["answer"] for row in rows(found[:-1])] == ["C"] * 7
    assert found[-1].reason == "several right answers"


def test_a_mapping_must_fill_a_set_and_the_one_it_is_in(tmp_path: Path) -> None:
    with pytest.raises(
        ValidationError, match=r"they fill no set \(sft: question, answer, or messages; dpo: p"
    ):
        Options.model_validate({"source": "table", "path": "t.csv", "columns": {"question": "q"}})
    with pytest.raises(UserError) as caught:
        read(
            "dpo",
            "table",
            tmp_path,
            "t.csv",
            columns={"question": "q", "answer": "a", "prompt": "q"},
        )
    assert str(caught.value) == (
        "t.csv in data.dpo: `columns` does not say where `chosen` and `rejected` stand\n"
        "  expected: prompt, chosen, rejected"
    )


TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi!"},
    {"role": "assistant", "content": " Hello. "},
    {"role": "user", "content": "Bye."},
    {"role": "assistant", "content": "See you."},
]
SHAREGPT = [
    {
        "from": {"system": "system", "user": "human", "assistant": "gpt"}[turn["role"]],
        "value": turn["content"],
    }
    for turn in TALK
]
TURNS = [{**turn, "content": turn["content"].strip()} for turn in TALK]


def told(items: list[Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """(what decides the part, messages) of every conversation."""
    return [(item.question, item.row["messages"]) for item in items]


def test_conversations_are_read_in_openais_and_sharegpts_form_and_every_answer_trains(
    tmp_path: Path,
) -> None:
    write_lines(tmp_path / "openai.jsonl", {"messages": TALK})
    write_lines(tmp_path / "sharegpt.jsonl", {"id": 7, "conversations": SHAREGPT})
    write_lines(tmp_path / "system.jsonl", {"system": "Be brief.", "conversations": SHAREGPT[1:]})
    (tmp_path / "printed.csv").write_text('messages\n"' + str(TALK).replace('"', '""') + '"\n')
    for name in ("openai.jsonl", "sharegpt.jsonl", "system.jsonl", "printed.csv"):
        assert told(read("sft", "table", tmp_path, name)) == [
            ("Hi!\n\nBye.", TURNS[:3]),
            ("Hi!\n\nBye.", TURNS),
        ], name
        assert told(read("sft", "table", tmp_path, name, train_on="last_answer")) == [
            ("Hi!\n\nBye.", TURNS)
        ]
    columns = {"messages": "conversations"}
    assert told(
        read("sft", "table", tmp_path, "sharegpt.jsonl", columns=columns, train_on="last_answer")
    ) == [("Hi!\n\nBye.", TURNS)]


def test_alpaca_is_joined_and_an_empty_input_leaves_no_trace(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "alpaca.jsonl",
        {"instruction": "Translate to French.", "input": "cat", "output": "chat"},
        {"instruction": "Name a cat.", "input": "", "output": "Tom"},
    )
    asked = ["Translate to French.\n\ncat", "Name a cat."]
    assert [
        question for question, _ in told(read("sft", "table", tmp_path, "alpaca.jsonl"))
    ] == asked
    columns = {
        "question": "{instruction}\n\nInput: {input}\n\nAnswer.",
        "answer": "output",
        "gold": "output",
    }
    items = read("sft", "table", tmp_path, "alpaca.jsonl", columns=columns)
    assert [row["messages"][0]["content"] for row in rows(items)] == [
        "Translate to French.\n\nInput: cat\n\nAnswer.",
        "Name a cat.\n\nAnswer.",
    ]
    assert rows(items)[0]["meta"] == {"gold": "chat"}


def test_the_history_beside_an_instruction_is_what_was_said_before(tmp_path: Path) -> None:
    row = {
        "instruction": "And in German?",
        "input": "",
        "history": [["Hello in French?", "Bonjour."]],
    }
    write_lines(
        tmp_path / "sft.jsonl",
        {**row, "output": "Hallo."},
        {"instruction": "x", "output": "y", "history": []},
    )
    write_lines(tmp_path / "dpo.jsonl", {**row, "chosen": "Hallo.", "rejected": "Hi."})
    before = [
        {"role": "user", "content": "Hello in French?"},
        {"role": "assistant", "content": "Bonjour."},
    ]
    asked = [*before, {"role": "user", "content": "And in German?"}]
    found = told(read("sft", "table", tmp_path, "sft.jsonl", train_on="last_answer"))
    assert found[0] == (
        "Hello in French?\n\nAnd in German?",
        [*asked, {"role": "assistant", "content": "Hallo."}],
    )
    assert [turn["content"] for turn in found[1][1]] == ["x", "y"]
    assert rows(read("dpo", "table", tmp_path, "dpo.jsonl"))[0]["turns"] == asked


def test_an_answer_that_its_row_marks_as_bad_is_not_trained(tmp_path: Path) -> None:
    marked = [
        {"prompt": "2 + 2?", "completion": answer, "label": good}
        for answer, good in (("5", False), ("4", True))
    ]
    write_lines(tmp_path / "kto.jsonl", *marked, {"messages": TURNS, "kto_tag": False})
    items = read("sft", "table", tmp_path, "kto.jsonl")
    assert [row["messages"][1]["content"] for row in rows(items)] == ["4"]
    assert [reason for _, reason in drops(items)] == ["its answer is marked as a bad one"] * 2
    columns = {"question": "prompt", "answer": "completion"}
    write_lines(tmp_path / "own.jsonl", *marked)
    assert len(rows(read("sft", "table", tmp_path, "own.jsonl", columns=columns))) == 2


def test_prompts_and_completions_may_be_conversations(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "t.jsonl",
        {"prompt": TALK[:4], "completion": TALK[4:]},
        {"prompt": "Why?", "completion": "Because."},
    )
    assert [
        messages
        for _, messages in told(read("sft", "table", tmp_path, "t.jsonl", train_on="last_answer"))
    ] == [
        TURNS,
        [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}],
    ]


PAIR = {"prompt": "Why?", "chosen": "Because.", "rejected": "No.", "meta": {}}
HH = "\n\nHuman: Hi!\n\nAssistant: Hello.\n\nHuman: Bye.\n\nAssistant:"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Because.", "rejected": "No."},
        {
            "prompt": "Why?",
            **{
                n: [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": a}]
                for n, a in (("chosen", "Because."), ("rejected", "No."))
            },
        },
        {
            "prompt": [{"role": "user", "content": "Why?"}],
            "chosen": [{"role": "assistant", "content": "Because."}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "No."}]}],
        },
        {
            "conversations": [{"from": "human", "value": "Why?"}],
            "chosen": {"from": "gpt", "value": "Because."},
            "rejected": {"from": "gpt", "value": "No."},
        },
        {
            "input": {"messages": [{"role": "user", "content": "Why?"}]},
            "preferred_output": [{"role": "assistant", "content": "Because."}],
            "non_preferred_output": [{"role": "assistant", "content": "No."}],
        },
        {"question": "Why?", "chosen": "Because.", "rejected": "No."},
        {"instruction": "Why?", "input": "", "chosen": "Because.", "rejected": "No."},
        {
            "chosen": "\n\nHuman: Why?\n\nAssistant: Because.",
            "rejected": "\n\nHuman: Why?\n\nAssistant: No.",
        },
    ],
)
def test_pairs_are_read_in_the_forms_of_trl_ultrafeedback_hh_and_others(
    tmp_path: Path, row: dict[str, Any]
) -> None:
    write_lines(tmp_path / "t.jsonl", row)
    assert rows(read("dpo", "table", tmp_path, "t.jsonl")) == [PAIR]


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": f"{HH} See you.", "rejected": f"{HH} Go."},
        {"prompt": HH, "chosen": " See you.", "rejected": " Go."},
        {"prompt": TALK[1:4], "chosen": "See you.", "rejected": "Go."},
        {
            "prompt": "Bye.",
            "chosen": TALK[1:],
            "rejected": [*TALK[1:4], {"role": "assistant", "content": "Go."}],
        },
    ],
)
def test_pairs_of_several_turns_keep_them(tmp_path: Path, row: dict[str, Any]) -> None:
    write_lines(tmp_path / "t.jsonl", row)
    [item] = read("dpo", "table", tmp_path, "t.jsonl")
    assert isinstance(item, Draft)
    assert item.question == "Hi!\n\nBye."
    assert item.row == {
        "prompt": "Hi!\n\nHello.\n\nBye.",
        "turns": TURNS[1:4],
        "chosen": "See you.",
        "rejected": "Go.",
        "meta": {},
    }
    made = finish("dpo", "table", item)
    assert isinstance(made, PreferenceRow)
    assert [turn.content for turn in made.conversation(made.chosen)] == [
        "Hi!",
        "Hello.",
        "Bye.",
        "See you.",
    ]


def test_a_system_turn_is_kept_and_is_no_part_of_the_question(tmp_path: Path) -> None:
    row = {"prompt": "Why?", "chosen": "Because.", "rejected": "No."}
    write_lines(tmp_path / "t.jsonl", {"system": "Be brief.", **row}, {"system": "", **row})
    first, second = read("dpo", "table", tmp_path, "t.jsonl")
    assert isinstance(first, Draft)
    assert first.question == first.row["prompt"] == "Why?"
    assert first.row["turns"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
    ]
    assert second.row == PAIR
    made = finish("dpo", "table", first)
    assert isinstance(made, PreferenceRow)
    template = Template.read(ROOT / "recipes/templates/qa.jinja")
    assert sample(made, template).prompt == "<bos>Question: Be brief.\n\nWhy?\n\nAnswer:"


UNUSABLE = {
    "a tool's turn in the conversation": [
        [*TALK[:2], {"role": "tool", "content": "42"}, {"role": "assistant", "content": "42"}],
        [TALK[1], {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}],
    ],
    "a picture or sound in the conversation": [
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {"type": "image_url", "image_url": {}},
                ],
            }
        ],
    ],
    "no answer in the conversation": [TALK[:2], [TALK[1], {**TALK[2], "weight": 0}]],
    "the assistant speaks first": [TALK[2:]],
    "user and assistant do not take turns": [
        [TALK[1], TALK[1], TALK[2]],
        [TALK[1], TALK[2], TALK[0], TALK[3]],
    ],
    "no messages": [[], None, ""],
}


def test_conversations_that_cannot_train_are_dropped_with_the_reason(tmp_path: Path) -> None:
    for reason, talks in UNUSABLE.items():
        write_lines(tmp_path / "t.jsonl", *({"messages": talk} for talk in talks))
        items = read("sft", "table", tmp_path, "t.jsonl")
        assert drops(items) == [(f"t.jsonl:{line}", reason) for line in range(1, len(talks) + 1)]


def test_a_picture_beside_the_conversation_is_one_too(tmp_path: Path) -> None:
    talk = [{"role": "user", "content": "<image>\nWhat?"}, TALK[2]]
    write_lines(tmp_path / "t.jsonl", {"messages": talk, "images": ["a.png"]}, {"messages": talk})
    items = read("sft", "table", tmp_path, "t.jsonl")
    assert drops(items) == [("t.jsonl:1", "a picture or sound in the conversation")]
    assert len(rows(items)) == 1


@pytest.mark.parametrize(
    ("row", "found", "hint"),
    [
        (
            {"question": "q", "answer": {"text": ["a"], "start": [1]}},
            "`answer`: `answer` holds an object of text, start",
            "give a path into it, e.g. `answer.text[0]`",
        ),
        (
            {"question": "q", "answer": ["a", "b"]},
            "`answer`: `answer` holds a list of 2",
            "give a path into it, e.g. `answer[0]`",
        ),
        (
            {"question": [{"speaker": "x"}], "answer": "a"},
            "`question`: `question` holds an object of speaker",
            "give a path into it, e.g. `question[0].speaker`",
        ),
        (
            {"messages": [{"role": "narrator", "content": "x"}]},
            "`messages`: `messages` holds a turn of the role 'narrator'",
            "give a path into it, e.g. `messages[0].role`",
        ),
    ],
)
def test_what_is_no_text_is_refused_with_its_place(
    tmp_path: Path, row: dict[str, Any], found: str, hint: str
) -> None:
    write_lines(tmp_path / "t.jsonl", row)
    with pytest.raises(UserError) as caught:
        read("sft", "table", tmp_path, "t.jsonl")
    [problem] = caught.value.problems
    assert (problem.where, problem.found, problem.hint) == ("t.jsonl:1", found, hint)


def test_bytes_and_structures_in_text_columns_are_refused_and_counted(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([{"text": b"\xff\x00"}] * 3)
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(UserError) as caught:
        read("corpus", "table", tmp_path, "t.parquet")
    assert str(caught.value) == (
        "t.parquet row 1: `text`: `text` holds 2 bytes (3 times: also at t.parquet row 2, "
        "t.parquet row 3)\n"
        "  expected: a text or a number"
    )


def test_a_path_may_lead_into_lists_and_its_end_is_a_missing_value(tmp_path: Path) -> None:
    squad = {
        "question": "Who?",
        "context": "…",
        "answers": {"text": ["Ann", "Anna"], "answer_start": [1, 1]},
    }
    write_lines(tmp_path / "t.jsonl", squad, {**squad, "answers": {"text": [], "answer_start": []}})
    columns = {"question": "{context}\n\n{question}", "answer": "answers.text[0]"}
    items = read("sft", "table", tmp_path, "t.jsonl", columns=columns)
    assert [[message["content"] for message in row["messages"]] for row in rows(items)] == [
        ["…\n\nWho?", "Ann"]
    ]
    assert drops(items) == [("t.jsonl:2", "no answer")]


def write_csv(path: Path, *answers: Any) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [["question", "answers"], *(["Who?", answer] for answer in answers)]
        )


def test_squads_answers_in_a_csv_file_are_read_by_a_path_and_refused_without_one(
    tmp_path: Path,
) -> None:
    squad = {"text": ["Ann"], "answer_start": [1]}
    for written in (
        str(squad),
        json.dumps(squad),
        "{'text': array(['Ann'], dtype=object), 'answer_start': array([1])}",
    ):
        write_csv(tmp_path / "t.csv", written, "")
        columns = {"question": "question", "answer": "answers.text[0]"}
        items = read("sft", "table", tmp_path, "t.csv", columns=columns)
        assert [row["messages"][1]["content"] for row in rows(items)] == ["Ann"]
        assert drops(items) == [("t.csv:3", "no answer")]
        with pytest.raises(UserError) as caught:
            read("sft", "table", tmp_path, "t.csv", columns={**columns, "answer": "answers"})
        [problem] = caught.value.problems
        assert (problem.where, problem.found[:45]) == (
            "t.csv:2",
            "`answers` holds lists or objects as text: {" + written[1:3],
        )
        assert (
            problem.hint
            == 'give a path into it, e.g. `answers.text[0]`; to train on it as it is: "{answers}"'
        )
        kept = rows(
            read("sft", "table", tmp_path, "t.csv", columns={**columns, "answer": "{answers}"})
        )
        assert kept[0]["messages"][1]["content"] == written


def test_lists_are_refused_where_a_column_holds_nothing_else(tmp_path: Path) -> None:
    columns = {"question": "question", "answer": "answers"}
    write_csv(tmp_path / "stored.csv", "['Ann', 'Anna']", "[]", "['Bo']")
    with pytest.raises(
        UserError,
        match=r"stored.csv:2: `answers` holds lists or objects as text: \['Ann', 'Anna'\] \(2 c",
    ):
        read("sft", "table", tmp_path, "stored.csv", columns=columns)
    write_csv(tmp_path / "answers.csv", "[1, 2]", "['a', 'b'] is what it prints", "['a', 'b']", "7")
    assert len(rows(read("sft", "table", tmp_path, "answers.csv", columns=columns))) == 4
    write_csv(tmp_path / "numbers.csv", "[1, 2]", "[3]")
    assert len(rows(read("sft", "table", tmp_path, "numbers.csv", columns=columns))) == 2


def test_choices_that_pandas_wrote_are_read(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", "['x' 'y'\n 'z']")
    columns = {"question": "question", "choices": "answers", "answer": "=B", "labels": "answers"}
    assert choices(tmp_path, "t.csv", {**columns, "labels": None}) == [(["x", "y", "z"], "B")]
    assert choices(tmp_path, "t.csv", {**columns, "answer": "=z"}) == [(["x", "y", "z"], "C")]


def test_a_filled_column_that_nothing_uses_is_named_once(tmp_path: Path) -> None:
    said: list[str] = []
    rows_ = [
        {"instruction": "a", "input": "", "output": "b", "notes": [], "id": number}
        for number in range(5)
    ]
    write_lines(tmp_path / "t.jsonl", *rows_, {**rows_[0], "notes": [["x", "y"]]})
    options = Options(source="table", path="t.jsonl")
    context = replace(make_context("sft", tmp_path), say=said.append)
    assert len(list(SOURCES["table"].read(options, context))) == 6
    assert said == ["table t.jsonl: filled, but nothing uses `id`, `notes`"]


def test_rows_of_no_known_form_are_told_what_would_be(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.jsonl", {"frage": "q", "antwort": "a"})
    with pytest.raises(UserError) as caught:
        read("dpo", "table", tmp_path, "t.jsonl")
    [problem] = caught.value.problems
    assert problem.found == "a row of frage, antwort"
    assert problem.expected.startswith(
        "the columns of a known form: prompt, chosen, rejected; messages, chosen, rej"
    )
    assert problem.hint == "or say with `columns` where these stand: prompt, chosen, rejected"
    with pytest.raises(
        UserError, match=r"data.mcq: no `columns`\n  expected: question, choices, answer"
    ):
        read("mcq", "table", tmp_path, "t.jsonl")
    write_lines(tmp_path / "t.jsonl", {"chosen": "a", "rejected": "b"})
    with pytest.raises(
        UserError, match=r"t.jsonl:1: `chosen`: a plain text, and there is no `prompt`"
    ):
        read("dpo", "table", tmp_path, "t.jsonl")


def test_a_column_written_wrongly_is_found_without_a_file() -> None:
    for wanted, fault in {
        "{a": "braces must stand in pairs",
        "{a}\\n{b}": "is a new line inside double quotes only",
    }.items():
        with pytest.raises(ValidationError, match=f"question: `.*{fault}"):
            Options.model_validate(
                {"source": "table", "path": "t", "columns": {"question": wanted, "answer": "a"}}
            )


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"text": ["x", "y"], "label": ["1", "2"]}, "2"),
        ([{"label": "A", "text": "x"}, {"label": "B", "text": "y"}], "B"),
        ({"A": "x", "B": "y", "C": None}, "b"),
        ("['x', 'y']", "(B)"),
        (["x", "y", ""], "B."),
    ],
)
def test_choices_come_in_several_forms(tmp_path: Path, options: Any, answer: str) -> None:
    write_lines(tmp_path / "t.jsonl", {"q": "Which?", "o": options, "a": answer})
    columns = {"question": "q", "choices": "o", "answer": "a"}
    assert choices(tmp_path, "t.jsonl", columns) == [(["x", "y"], "B")]


def test_choices_that_are_no_texts_are_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.jsonl", {"q": "Which?", "o": [["x"], ["y"]], "a": "A"})
    with pytest.raises(UserError, match=r"t.jsonl:1: `choices`: `o\[0\]` holds a list of 1\n"):
        read(
            "mcq",
            "table",
            tmp_path,
            "t.jsonl",
            columns={"question": "q", "choices": "o", "answer": "a"},
        )


def test_twenty_six_choices_can_be_lettered(tmp_path: Path) -> None:
    columns = {"question": "q", "choices": "o", "answer": "a"}
    options = [str(number) for number in range(27)]
    write_lines(
        tmp_path / "t.jsonl",
        {"q": "Which?", "o": options[:11], "a": "K"},
        {"q": "Which?", "o": options, "a": "B"},
    )
    items = read("mcq", "table", tmp_path, "t.jsonl", columns=columns)
    assert [(len(row["choices"]), row["answer"]) for row in rows(items)] == [(11, "K")]
    assert drops(items) == [("t.jsonl:2", "more than 26 choices")]


def test_options_that_stand_in_the_question_are_shown_once(tmp_path: Path) -> None:
    columns = {"question": "q", "choices": "o", "answer": "a"}
    write_lines(
        tmp_path / "t.jsonl",
        {
            "q": "Which is red?\n\nOptions:\nA. blood\nB. the  sky",
            "o": ["blood", "the sky"],
            "a": "A",
        },
        {"q": "Which is red? (a) blood (b) the sky", "o": ["blood", "the sky"], "a": "A"},
        {"q": "Which is red? A. sky B. blood", "o": ["blood", "the sky"], "a": "A"},
    )
    stems = [
        row["question"] for row in rows(read("mcq", "table", tmp_path, "t.jsonl", columns=columns))
    ]
    assert stems == ["Which is red?", "Which is red?", "Which is red? A. sky B. blood"]


def test_options_in_another_order_are_shown_once_and_the_letter_is_that_of_the_order_shown(
    tmp_path: Path,
) -> None:
    row = {"q": "Which is red?\nA. the sky\nB. blood\nC. milk", "o": ["blood", "milk", "the sky"]}
    write_lines(tmp_path / "t.jsonl", {**row, "text": "milk", "letter": "B", "index": 1})
    said: list[str] = []
    for answer, answer_is in {"text": "text", "index": "index", "letter": "label"}.items():
        columns = {"question": "q", "choices": "o", "answer": answer}
        options = Options.model_validate(
            {
                "source": "table",
                "path": "t.jsonl",
                "columns": columns,
                "answer_is": answer_is,
                "answer_as": "letter",
            }
        )
        context = replace(make_context("mcq", tmp_path), say=said.append)
        [row] = rows(list(SOURCES["table"].read(options, context)))
        shown = (row["question"], row["choices"], row["answer"])
        assert shown == ("Which is red?", ["blood", "milk", "the sky"], "B")
    assert [line for line in said if "options" in line] == [
        "table t.jsonl: 1 questions list their options otherwise than `choices` (first: "
        "t.jsonl:1); "
        "a letter was taken as its"
    ]


def test_one_text_is_no_list_of_choices(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.jsonl", {"q": "Which?", "options": "x, y", "a": "A"})
    items = read(
        "mcq",
        "table",
        tmp_path,
        "t.jsonl",
        columns={"question": "q", "choices": "options", "answer": "a"},
    )
    assert drops(items) == [("t.jsonl:1", "choices are no list")]
