"""What a run keeps of the commands given to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.cli import main
from stemma.jsonl import read_json

Write = Callable[..., Path]
Say = pytest.CaptureFixture[str]
ROWS = "".join(
    f'{{"question": "What is 1 + {n}?", "answer": "1 + {n} = {n + 1}\\n#### {n + 1}"}}\n'
    for n in range(9)
)
TEXT = """\
name: rows
data:
  sft:
    sources:
    - {source: gsm8k, path: train.jsonl, use: train}
"""


@pytest.fixture
def rows(write_recipe: Write, tmp_path: Path) -> Path:
    """A recipe of data alone, its file in two folders, and its run done with the first."""
    path = write_recipe(name="rows", text=TEXT)
    for name in ("it's mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.jsonl").write_text(ROWS)
    assert main(["data", "rows", "--set", 'data.root="it\'s mine"']) == 0
    return path


def status(capsys: Say, *options: str) -> tuple[str, str]:
    capsys.readouterr()
    assert main(["status", "rows", *options]) == 0
    said = capsys.readouterr()
    return said.out, said.err


def test_data_given_once_need_not_be_said_again(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    assert status(capsys) == ("data    up to date\n", "")
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    assert status(capsys) == ("data    up to date\n", "")
    with (tmp_path / "it's mine/train.jsonl").open("a") as stream:
        stream.write('{"question": "What is 2 + 2?", "answer": "2 + 2 = 4\\n#### 4"}\n')
    assert status(capsys) == ("data    stale: source file train.jsonl changed\n", "")
    assert main(["data", "rows"]) == 0
    manifest = read_json(tmp_path / "runs/rows/data/manifest.json")
    assert manifest["overrides"] == [f"data.root='{tmp_path}/it''s mine'"]


def test_another_folder_is_told_and_then_remembered(
    rows: Path, tmp_path: Path, capsys: Say
) -> None:
    told = (
        f"note: data are read from {tmp_path}/other; this run was given "
        f"DATA={tmp_path}/it's mine before\n"
    )
    assert status(capsys, "--set", "data.root=other") == ("data    up to date\n", told)
    assert status(capsys) == ("data    up to date\n", "")  # to look changes nothing
    assert main(["data", "rows", "--set", "data.root=other"]) == 0
    assert told in capsys.readouterr().err
    (tmp_path / "it's mine/train.jsonl").unlink()
    assert status(capsys) == ("data    up to date\n", "")


def test_a_recipe_that_now_says_another_folder_is_believed(
    rows: Path, tmp_path: Path, capsys: Say
) -> None:
    rows.write_text(TEXT.replace("data:\n", "data:\n  root: other\n"))
    _, told = status(capsys)
    assert told.startswith(f"note: data are read from {tmp_path}/other; this run was given")


def test_a_folder_that_is_gone_is_told_as_remembered(
    rows: Path, tmp_path: Path, capsys: Say
) -> None:
    before = tmp_path / "it's mine"
    before.rename(tmp_path / "moved")
    out, err = status(capsys)
    assert out == f"data    stale: no such file: {before / 'train.jsonl'}\n"
    gone = f"note: this run was given DATA={before}, which is no folder now; say where it lies\n"
    assert err == gone
    assert status(capsys, "--set", "data.root=moved")[0] == "data    up to date\n"


def test_a_record_that_is_damaged_is_as_none(rows: Path, tmp_path: Path, capsys: Say) -> None:
    (tmp_path / "runs/rows/remembered.json").write_text("{")
    assert status(capsys)[0] == "data    stale: no such file: train.jsonl\n"


def test_an_unpinned_model_is_told_once_a_run_and_at_every_check(
    write_recipe: Write, rows: Path, capsys: Say
) -> None:
    write_recipe(
        name="rows",
        text=TEXT + "base_model: nobody/model\nchat_template: templates/qa.jinja\n",
    )
    warning = (
        "warning: `base_model: nobody/model` without `base_revision`: the weights may change "
        "on the hub\n"
    )
    assert status(capsys)[1] == ""
    assert main(["data", "rows"]) == 0
    assert warning in capsys.readouterr().err
    assert main(["data", "rows"]) == 0
    assert "warning" not in capsys.readouterr().err
    for _ in range(2):
        assert main(["check", "rows"]) == 0
        assert warning in capsys.readouterr().err
