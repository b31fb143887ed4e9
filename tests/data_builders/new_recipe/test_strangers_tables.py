"""Tables as strangers bring them: other programs' exports, odd headers, answers in every form; each
becomes rows of the right set, or is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from data_builders.new_recipe.given import DOCUMENTS, told_apart
from data_builders.new_recipe.guess import Guess, guess
from data_builders.new_recipe.look import find_encoding, look
from rag.sources.documents import FORMATS as READ_AS_DOCUMENTS
from stemma.errors import UserError

ASKED = "What pulls on {} kg?"
KAHOOT = (
    "Question - max 120 characters,Answer 1 - max 75 characters,Answer 2 - max 75 characters,"
    "Time limit (sec),Correct answer(s) - choose at least one"
)


def _look(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Guess | None:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return guess(look(path))


def _table(header: str, row: str, sign: str = ",") -> str:
    lines = [header, *(row.replace("Q", ASKED.format(n)) for n in range(10, 22))]
    return "\r\n".join(line.replace(",", sign) for line in lines if line) + "\r\n"


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("bom.csv", "\ufeff" + _table("Question,Answer", "Q,Gravity", ";"), "utf-8"),
        ("sep.csv", "sep=;\r\n" + _table("Question,Answer", "Q,Gravity", ";"), "utf-8"),
        ("quoted.csv", '"sep=,"\r\n' + _table("Question,Answer", "Q,Gravity"), "utf-8"),
        ("wide.csv", _table("Question,Answer", "Q,Gravity", "\t"), "utf-16"),
        ("wide.tsv", _table("Question,Answer", "Q,Gravity", "\t"), "utf-16"),
        ("PIPE.CSV", _table("Question,Answer", "Q,Gravity", "|"), "utf-8"),
        ("unnamed.csv", _table("Question,Answer,,", "Q,Gravity,,"), "utf-8"),
        ("quizlet.tsv", _table("", "Q,Gravity", "\t"), "utf-8"),
        ("quizlet.csv", _table("Term,Definition", "Q,Gravity"), "utf-8"),
        ("anki.csv", _table("Front,Back,Tags", "Q,Gravity,x"), "utf-8"),
        ("forms.csv", _table("Student answer,Correct answer,Question", "x,Gravity,Q"), "utf-8"),
        ("moodle.csv", _table("Question 1,Response 1,Right answer 1", "Q,x,Gravity"), "utf-8"),
        ("russian.csv", _table("Вопрос,Ответ", "Q,Gravity", ";"), "cp1251"),
        ("chat.csv", _table("User,Assistant", "Q,Gravity"), "utf-8"),
        ("number.csv", _table("Question ID,Question text,Answer text", "7,Q,Gravity"), "utf-8"),
        ("kind.csv", _table("Question Type,Question stem,Answer", "MC,Q,Gravity"), "utf-8"),
        ("count.csv", _table("Question,Prompt,Answer", "7,Q,Gravity"), "utf-8"),
        ("points.csv", _table("Answer time,Answer key,Question", "30,Gravity,Q"), "utf-8"),
        ("wide.csv", _table("Question,Answer", "Q,Gravity"), "utf-16-le"),
        ("wide.csv", _table("Question,Answer", "Q,Gravity"), "utf-16-be"),
        ("wider.csv", _table("Question,Answer", "Q,Gravity"), "utf-32"),
    ],
)
def test_answers_are_found(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    found = _look(tmp_path, name, text, encoding)
    assert found
    assert found.kind == "sft"
    question, answer = str(found.columns["question"]), str(found.columns["answer"])
    row = found.seen.rows[0]
    assert (row[question], row[answer]) == ("What pulls on 10 kg?", "Gravity")


@pytest.mark.parametrize(
    ("text", "choices", "answer", "answer_is"),
    [
        (_table(KAHOOT, "Q,a force,none,20,1"), 2, "1", "number"),
        (_table("Question,Option A,Option B,Correct", "Q,force,work,Option A"), 2, "Option A",
         "label"),
        (_table("Question,Option A,Option B,Correct", "Q,force,work,[b]"), 2, "[b]", "label"),
        (_table("Question,A,B,Correct", "Q,force,work,B) work"), 2, "B) work", "label"),
        (_table("question,correct_answer,distractor1,distractor2", "Q,force,work,x"), 3, "force",
         "text"),
        (_table("Frage;Richtige Antwort;Falsche Antwort 1;Falsche Antwort 2", "Q;force;work;x"),
         3, "force", "text"),
        # MMLU's own layout: no header line.
        (_table("", "Q,force,work,heat,light,A"), 4, "A", "label"),
    ],
)  # fmt: skip
def test_multiple_choice_is_found(
    tmp_path: Path, text: str, choices: int, answer: str, answer_is: str
) -> None:
    found = _look(tmp_path, "quiz.csv", text)
    assert found
    assert (found.kind, len(found.columns["choices"]), found.answer_is) == (
        "mcq",
        choices,
        answer_is,
    )
    row = found.seen.rows[0]
    assert row[str(found.columns["question"])] == "What pulls on 10 kg?"
    assert row[str(found.columns["answer"])] == answer


def test_the_first_choice_is_0_where_an_answer_is_0(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "choices": ["x", "y"], "answer": n % 2} for n in range(10)]
    path = tmp_path / "quiz.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = guess(look(path))
    assert found
    assert found.answer_is == "index"


TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.mark.parametrize(
    ("name", "content", "kind", "columns"),
    [
        ("a.csv", 'id,messages\n1,"' + json.dumps(TURNS).replace('"', '""') + '"\n', "sft", {}),
        ("a.jsonl", json.dumps({"turns": TURNS}), "sft", {"messages": "turns"}),
        ("a.json", json.dumps([{"instruction": "Add.", "input": "1, 2", "output": "3"}]), "sft",
         {}),
        ("a.json", json.dumps({"title": "x", "questions": [{"question": "x", "answer": "y"}]}),
         "sft", {"question": "question", "answer": "answer"}),
        ("a.jsonl", json.dumps({"input": {"messages": TURNS[:1]}, "preferred_output": TURNS[1:],
                                "non_preferred_output": TURNS[1:]}), "dpo", {}),
        ("a.jsonl", json.dumps({"chosen": "\n\nHuman: a\n\nAssistant: b",
                                "rejected": "\n\nHuman: a\n\nAssistant: c"}), "dpo", {}),
        ("a.csv", "Question,Good answer,Bad answer\nWhy?,So,No\n", "dpo",
         {"prompt": "Question", "chosen": "Good answer", "rejected": "Bad answer"}),
        ("a.csv", "Question,Correct answer,Wrong answer\nWhy?,So,No\n", "dpo",
         {"prompt": "Question", "chosen": "Correct answer", "rejected": "Wrong answer"}),
        ("a.csv", "Question,Meilleure réponse,Moins bonne réponse\nWhy?,So,No\n", "dpo",
         {"prompt": "Question", "chosen": "Meilleure réponse", "rejected": "Moins bonne réponse"}),
        ("a.csv", "system,question,answer\nBe brief.,Why?,So\n", "sft",
         {"system": "system", "question": "question", "answer": "answer"}),
    ],
)  # fmt: skip
def test_conversations_and_pairs_are_found(
    tmp_path: Path, name: str, content: str, kind: str, columns: dict[str, Any]
) -> None:
    found = _look(tmp_path, name, content)
    assert found
    assert (found.kind, found.columns) == (kind, columns)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.xlsx", b"PK", "save as, CSV UTF-8"),
        ("a.csv", b"PK\x03\x04\x14\x00", "an Excel or LibreOffice file by another name"),
        ("a.xml", b"<quiz/>", "from Moodle: download the answers as CSV"),
        ("a.csv", b"prompt,response_a,response_b,winner\nWhy?,So,No,a\n",
         "each of response_a, response_b may be the answer"),
        ("a.csv", b"Question,Choice 1,Correct 1,Choice 2,Correct 2\nWhy?,x,TRUE,y,FALSE\n",
         "`Correct 1` (`TRUE`, …) names none"),
        ("a.csv", b"Question,A,B\nWhy?,x,y\n", "a column that says which one is right"),
        ("a.csv", b"Question,Answer,Answer\nWhy?,x,y\n", "hint: rename one in the header line"),
        ("a.csv", b"Question,Answer,Topic\nWhy?,x\n", "expected: 3 values"),
        ("a.csv", b"Question,Usual answer,Other answer\nWhy?,x,y\n",
         "each of Usual answer, Other answer may be the answer"),
        ("a.csv", b'Question,Options,Answer\nWhy?,"A) x\nB) y",B\nHow?,"A) x\nB) y",A\n',
         "hint: split Options into columns A, B, C, D"),
    ],
)  # fmt: skip
def test_what_may_be_meant_otherwise_is_refused(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(UserError) as raised:
        _look(tmp_path, name, content)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "header", ["name,phone", "conversation_id,role,content", "Timestamp,Score,What is 1+1?"]
)
def test_what_is_not_known_fills_nothing(tmp_path: Path, header: str) -> None:
    row = ",".join("x" for _ in header.split(","))
    assert _look(tmp_path, "a.csv", f"{header}\n{row}\n") is None


def test_letters_are_answers_where_the_question_lists_its_choices(tmp_path: Path) -> None:
    rows = "".join(f'"Why {n}?\nA) x\nB) y",{"AB"[n % 2]}\n' for n in range(4))
    found = _look(tmp_path, "a.csv", f"Question,Answer\n{rows}")
    assert found
    assert found.columns == {"question": "Question", "answer": "Answer"}


def test_a_mac_table_is_read_as_one(tmp_path: Path) -> None:
    found = _look(tmp_path, "a.csv", "Frage;Antwort\nWie groß?;Größer\n", "mac_roman")
    assert found
    assert found.seen.rows[0] == {"Frage": "Wie groß?", "Antwort": "Größer"}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Jaka jest prędkość w próżni i łączna długość?", "cp1250"),
        ("Jaká je rychlost tělesa při pádu?", "cp1250"),
        ("Какая скорость у тела?", "cp1251"),
    ],
)
def test_other_pages_are_not_taken_for_a_mac_s(text: str, encoding: str) -> None:
    assert text.encode(encoding).decode(find_encoding(text.encode(encoding))) == text


def test_tables_and_documents_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "my quiz.csv").write_text("question,answer\n")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "heat.md").write_text("# Heat\n")
    (tmp_path / "class").mkdir()
    for name in ("a.csv", "README.md", "script.pdf"):
        (tmp_path / "class" / name).write_text("x")
    cut = [Path(f"{tmp_path}/my"), Path("quiz.csv")]  # as make hands a name with a blank
    found = told_apart([*cut, tmp_path / "notes", tmp_path / "class"])
    assert found.tables == [tmp_path / "my quiz.csv", tmp_path / "class" / "a.csv"]
    assert found.documents == [tmp_path / "notes", tmp_path / "class" / "script.pdf"]


def test_documents_are_those_that_rag_reads() -> None:
    assert set(DOCUMENTS) == set(READ_AS_DOCUMENTS)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cards.txt", "Force?\tnewton\nWork?\tjoule\n", "rename it to cards.tsv"),
        ("aiken.txt", "Why?\nA. x\nB. y\nANSWER: A\n", "questions in a form of Moodle's"),
        ("gift.txt", "Why? {\n=x\n~y\n}\n", "questions in a form of Moodle's"),
        ("notes.md", "# Heat\n", "no table among the files"),
    ],
)
def test_texts_that_are_no_documents_are_said(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        told_apart([tmp_path / name])


def test_a_file_given_twice_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(UserError, match="given more than once"):
        told_apart([tmp_path / "a.csv", tmp_path / "." / "a.csv"])
