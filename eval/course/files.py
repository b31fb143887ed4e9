"""Readers of the course's evaluation files, one JSON object a line:

    {"subject": "physics", "question": "Question: …\\n\\nOptions:\\nA. …\\nB. …\\n\\nAnswer:",
     "answer": "B"}
    {"prompt": "What is inertia?", "chosen": "…", "rejected": "…"}

Every line counts, also one that repeats another: a row's id is its line. What cannot be graded is
an error, all of a file at once; further keys are passed over, and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from stemma.errors import Problem, Problems, UserError
from stemma.jsonl import parse_object, validated
from stemma.mcq_layout import parse_mcq
from stemma.plain_files import plain_file
from stemma.reading.labels import bare_label
from stemma.rows import LETTERS, McqRow, PreferenceRow
from stemma.strict import StrictRecord

Row = TypeVar("Row", McqRow, PreferenceRow)

LAYOUT = r"`Question: …\n\nOptions:\nA. …\nB. …\n\nAnswer:`"


class _QuestionLine(StrictRecord):
    """A line of the course's MCQ file."""

    question: str
    answer: str
    subject: str | None = None


class _PairLine(StrictRecord):
    """A line of the course's preference file."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class CourseFile(Generic[Row]):
    """A file that was read."""

    path: Path
    rows: list[Row]
    alike: list[int] = field(default_factory=list)
    """Lines whose two answers are the same text: no model can prefer one."""
    passed_over: dict[str, int] = field(default_factory=dict)
    """Keys that grading does not read, with the lines that have them."""

    @property
    def lines(self) -> int:
        """Rows of the file, blank lines aside."""
        return len(self.rows) + len(self.alike)


@dataclass(frozen=True)
class CourseFiles:
    """The files to grade on, at most one of each kind."""

    questions: CourseFile[McqRow] | None
    pairs: CourseFile[PreferenceRow] | None


def read_files(paths: list[Path]) -> CourseFiles:
    """The files, each known by the keys of its first row. Raises UserError with the problems of
    all."""
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for path in paths:
        try:
            kind = _kind(path)
            if kind in found:
                first = found[kind].path
                told = f"a second file of {kind}, after {first}"
                raise UserError(Problem(str(path), told, "one of a kind"))
            found[kind] = read_questions(path) if kind == "questions" else read_pairs(path)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return CourseFiles(found.get("questions"), found.get("pairs"))


def _kind(path: Path) -> str:
    """`questions` or `pairs`. Raises UserError where no line tells."""
    wrong = [Problem(str(path), "no rows in it", "one JSON object a line")]
    for number, value in _objects(path):
        if isinstance(value, Problem):
            wrong = [value]
            continue
        if "question" in value:
            return "questions"
        if "chosen" in value or "rejected" in value:
            return "pairs"
        found = f"keys {', '.join(value) or 'none'}"
        expected = "`question` and `answer`, or `prompt`, `chosen` and `rejected`"
        raise UserError(Problem(f"{path}:{number}", found, expected))
    raise UserError(wrong)


def read_questions(path: Path) -> CourseFile[McqRow]:
    """The rows of an MCQ file. Raises UserError naming every line that is none."""
    found: CourseFile[McqRow] = CourseFile(path, [])
    _read(path, found, _QuestionLine, _question)
    return found


def read_pairs(path: Path) -> CourseFile[PreferenceRow]:
    """The rows of a preference file. Raises UserError naming every line that is none."""
    found: CourseFile[PreferenceRow] = CourseFile(path, [])
    first: dict[str, int] = {}

    def pair(line: _PairLine, number: int, where: str) -> PreferenceRow | None:
        if empty := [name for name, text in line if not text.strip()]:
            raise UserError(Problem(where, f"`{', '.join(empty)}` is empty", "a text"))
        if line.chosen.strip() == line.rejected.strip():
            found.alike.append(number)
            return None
        row = {
            "id": row_id(number),
            "source": path.name,
            # The pairs of a prompt are not independent: they are one question.
            "question_id": row_id(first.setdefault(line.prompt.strip(), number)),
            "prompt": line.prompt,
            "chosen": line.chosen,
            "rejected": line.rejected,
        }
        return validated(row, where, PreferenceRow)

    _read(path, found, _PairLine, pair)
    if not found.rows:
        told = f"nothing but pairs of equal answers ({len(found.alike)})"
        raise UserError(Problem(str(path), told, "a pair of two answers"))
    return found


def row_id(number: int) -> str:
    """The id of the row on a line."""
    return f"line-{number}"


Line = TypeVar("Line", _QuestionLine, _PairLine)


def _read(
    path: Path,
    found: CourseFile[Row],
    form: type[Line],
    make: Callable[[Line, int, str], Row | None],
) -> None:
    """Fill the file's rows from its lines."""
    problems = Problems()
    others: Counter[str] = Counter()
    for number, value in _objects(path):
        where = f"{path}:{number}"
        try:
            if isinstance(value, Problem):
                raise UserError(value)
            known = {key: one for key, one in value.items() if key in form.model_fields}
            others.update(value.keys() - known.keys())
            row = make(validated(known, where, form), number, where)
        except UserError as error:
            problems.add(error.problems)
            if problems.are_enough:
                break
        else:
            if row is not None:
                found.rows.append(row)
    if problems:
        raise UserError(problems.listed())
    found.passed_over.update(sorted(others.items()))


def _question(line: _QuestionLine, number: int, where: str) -> McqRow:
    parsed = parse_mcq(line.question)
    if parsed is None:
        raise UserError(Problem(where, "no question with its options", LAYOUT))
    stem, choices = parsed
    if len(choices) > len(LETTERS):
        raise UserError(Problem(where, f"{len(choices)} options", f"at most {len(LETTERS)}"))
    if empty := [label for label, text in choices.items() if not text]:
        raise UserError(Problem(where, f"option {', '.join(empty)} is empty", "a text"))
    label = bare_label(line.answer)
    if label not in choices:
        named = ", ".join(choices)
        texts = {text.casefold(): letter for letter, text in choices.items()}
        letter = texts.get(line.answer.strip().casefold())
        hint = f"it is the text of option {letter}: give the letter" if letter else ""
        raise UserError(Problem(where, f"answer {line.answer!r}", f"one of {named}", hint))
    row = {
        "id": row_id(number),
        "source": "course",
        "question": stem,
        "choices": list(choices.values()),
        "answer": LETTERS[list(choices).index(label)],
        "subject": line.subject or "",
    }
    return validated(row, where, McqRow)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any] | Problem]]:
    """(number, object) of every line that is not blank; what is none is a Problem in its place."""
    plain_file(path, "a JSON Lines file")
    # Bytes: U+2028 and lone carriage returns are legal inside a JSON string.
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            where = f"{path}:{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if number == 1 and text.startswith("["):
                    yield number, Problem(where, "a JSON array", "one JSON object a line")
                    return
                if text:
                    yield number, parse_object(text, where)
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                yield number, Problem(where, f"not UTF-8: byte 0x{byte:02x}", "text in UTF-8")
            except UserError as error:
                yield number, error.problems[0]
