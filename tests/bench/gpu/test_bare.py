"""The GPU bench where only torch, transformers and peft are installed.

Other modules are hidden from a process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from bench.gpu.device import read_figures
from bench.gpu.needs import put_on_path
from bench.newest_trl import NAME
from stemma import ROOT
from stemma.errors import UserError

HIDDEN = (
    "axolotl",
    "trl",
    "datasets",
    "liger_kernel",
    "deepspeed",
    "bitsandbytes",
    "pydantic",
    "ruamel",
    "ruamel.yaml",
)
HIDDEN += ("sentencepiece", "rapidfuzz", "typer", "pandas", "pyarrow", "torchao")
HIDE = f"import runpy, sys; sys.modules.update(dict.fromkeys({HIDDEN}))"


def run_bare(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", f"{HIDE}; {code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_command_knows_what_it_lacks_before_any_engine_is_imported() -> None:
    code = (
        "from bench.gpu.__main__ import choose_parts, summarise; from bench.gpu.needs import "
        "require; "
        "require('cpu', True); parts, lines = choose_parts(); print([part.name for part in "
        "parts], *lines, sep='\\n'); "
        "assert 'torch' not in sys.modules"
    )
    output = run_bare(code)
    assert output.splitlines()[0] == "['peak', 'sft plain', 'dpo']"
    assert [(line["of"], line["name"], line["modules"]) for line in read_figures(output)] == [
        ("sft", "stock", ["axolotl"]),
        ("sft", "fast", ["axolotl"]),
    ]


@pytest.mark.slow
def test_dpo_names_who_is_missing_and_measures_the_rest() -> None:
    arguments = "sys.argv = ['dpo', '--device', 'cpu', '--small']"
    lines = read_figures(
        run_bare(f"{arguments}; runpy.run_module('bench.gpu.dpo', run_name='__main__')")
    )
    absent = {line["name"]: line["modules"] for line in lines if line["part"] == "absent"}
    assert absent == {
        "stock": ["axolotl", "trl", "datasets"],
        "trl": ["trl", "datasets"],
        "chunked": ["axolotl", "trl", "datasets", "liger_kernel"],
        NAME: ["python -m bench.newest_trl"],
    }
    turns = [line for line in lines if line["part"] == "dpo"]
    assert {line["name"] for line in turns} == {"plain", "ours", "ours, prompts shared"}
    assert len({round(line["loss"], 5) for line in turns}) == 1
    logits = {line["name"]: line["logits"] for line in turns}
    assert logits == {
        "plain": "float32",
        "ours": "no whole tensor",
        "ours, prompts shared": "no whole tensor",
    }


@pytest.mark.slow
def test_sft_and_peak_need_no_more() -> None:
    arguments = "sys.argv = ['x', '--device', 'cpu', '--small']"
    both = "; ".join(
        f"runpy.run_module('bench.gpu.{name}', run_name='__main__')"
        for name in ("peak", "sft_plain")
    )
    lines = read_figures(run_bare(f"{arguments}; {both}"))
    losses = {line["name"]: line["loss"] for line in lines if line["part"] == "sft"}
    assert set(losses) == {"plain", "plain, own head"}
    assert len([line for line in lines if line["part"] == "peak"]) == 5


def test_wheels_are_unpacked_and_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with ZipFile(tmp_path / "carried-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carried_for_a_test.py", "VALUE = 7")
    site = put_on_path(tmp_path)
    assert sys.path[0] == str(site)
    assert (site / "carried_for_a_test.py").read_text() == "VALUE = 7"


def test_a_folder_without_wheels_and_a_torn_wheel_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no \*\.whl in"):
        put_on_path(tmp_path)
    (tmp_path / "torn-1-py3-none-any.whl").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"torn-1-py3-none-any\.whl: File is not a zip file"):
        put_on_path(tmp_path)
