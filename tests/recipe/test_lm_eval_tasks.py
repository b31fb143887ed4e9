"""Benchmarks of a recipe, checked before anything is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stemma import ROOT
from stemma.errors import UserError
from stemma.recipe.evaluation import Benchmarks
from stemma.recipe.lm_eval_tasks import Place, look_up, own_files, resolved
from stemma.recipe.load import load
from tests.factories.run_to_score import make_recipe

REAL = Path(os.environ.get("STEMMA_DATA", ROOT.parent / "shared" / "data"))
GOOD = """task: sums
dataset_path: json
dataset_kwargs:
  data_files: {test: sums.jsonl}
output_type: multiple_choice
test_split: test
doc_to_text: "{{q}}"
doc_to_choice: "{{c}}"
doc_to_target: "{{a}}"
metric_list:
  - metric: acc
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "data").mkdir()
    write(tmp_path / "tasks", "sums.yaml", GOOD)
    write(tmp_path / "tasks", "sums.jsonl", '{"q": "1+1=", "c": ["2", "3"], "a": 0}\n')
    return Place(tmp_path / "tasks", tmp_path / "data")


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def problems(place: Place, *names: str, **section: object) -> list[str]:
    benchmarks = Benchmarks.model_validate({"tasks": list(names), **section})
    return [str(problem) for problem in look_up(benchmarks, place, "r.yml:9").problems]


def test_a_task_with_its_files_beside_it_is_right(place: Place) -> None:
    found = look_up(Benchmarks(tasks=["sums"]), place, "r.yml:9")
    assert found.problems == []
    assert [path.name for path in found.files["sums"]] == ["sums.yaml", "sums.jsonl"]
    assert (found.folders, found.hub) == ([], {})


def test_data_lies_beside_the_task_or_below_the_root_and_patterns_name_several(
    place: Place,
) -> None:
    for name in ("b.csv", "a.csv"):
        write(place.root, name, "x\n1\n")
    files = {"test": ["*.csv"], "dev": "sums.jsonl"}
    assert resolved(files, place.folder, place.root) == {
        "test": [str(place.root / "a.csv"), str(place.root / "b.csv")],
        "dev": [str(place.folder / "sums.jsonl")],
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("doc_to_text", "doc_to_txet"), ["tasks/sums.yaml:7", "unknown key `doc_to_txet`"]),
        (("doc_to_text", "doc_to_txet"), ["did you mean `doc_to_text`?"]),
        (("multiple_choice", "multiple_choise"), ["`output_type: multiple_choise`", "did you"]),
        (("test_split", "training_split"), ["neither `test_split` nor `validation_split`"]),
        (("sums.jsonl", "gone.jsonl"), ["tasks/sums.yaml:3: no such benchmark file: gone.jsonl"]),
        (("metric: acc", "metric: acc_nrm"), ["metric `acc_nrm` would be fetched as code"]),
        (("metric: acc", "metric: acc_nrm"), ["did you mean `acc_norm`?"]),
        (("metric: acc", "metric: rouge\n    hf_evaluate: true"), ["metric `rouge` would be"]),
        (("test_split: test", "test_split: test\nunsafe_code: true"), ["runs what the model"]),
        (("path: json", "path: acme/sums"), ["data set `acme/sums` of the hub is not pinned"]),
        (("task: sums", "include: no.yaml\ntask: sums"), ["`include: no.yaml`: no such file"]),
        (
            ("test_split: test", "test_split: test\nprocess_docs: !function rows.clean"),
            ["no such file:", "rows.py"],
        ),
        (("task: sums", "include: 5\ntask: sums"), ["tasks/sums.yaml:1: `include: 5`"]),
        (("path: json", "path: [json]"), ["tasks/sums.yaml:2: `dataset_path: ['json']`"]),
        (("metric_list:", "metric_list: acc\nmetadata:"), ["`metric_list: acc`", "a list of"]),
        (("task: sums", "task: sums\nmetadata: &a [*a]"), ["nested without end"]),
        (("task: sums", "task: [sums, {group: x}]"), ["groups with their `task`"]),
        (
            ("test_split: test", "test_split: test\ngeneration_kwargs: {temperature: warm}"),
            ["`generation_kwargs: {'temperature': 'warm'}`", "`temperature` a number"],
        ),
        (
            ("test_split: test", "test_split: test\ngeneration_kwargs: {do_sample: true}"),
            ["`generation_kwargs.temperature: None`", "greedy"],
        ),
        (
            ("test_split: test", "test_split: test\ngeneration_kwargs: {num_beams: 4}"),
            ["`generation_kwargs.num_beams: 4`"],
        ),
    ],
)
def test_what_is_wrong_with_a_task_file_is_told(
    place: Place, change: tuple[str, str], told: list[str]
) -> None:
    pytest.importorskip("lm_eval")
    assert change[0] in GOOD
    write(place.folder, "sums.yaml", GOOD.replace(*change))
    text = "\n".join(problems(place, "sums"))
    for part in told:
        assert part in text


def test_all_problems_are_told_at_once(place: Place) -> None:
    pytest.importorskip("lm_eval")
    write(place.folder, "sums.yaml", GOOD.replace("sums.jsonl", "gone.jsonl") + "typo: 1\n")
    assert len(problems(place, "sums", "sum")) == 3


def test_an_unknown_name_is_told_with_the_nearest_that_is_known(place: Place) -> None:
    pytest.importorskip("lm_eval")
    [own] = problems(place, "summs")
    assert own.startswith("r.yml:9: unknown benchmark `summs`")
    assert "hint: did you mean `sums`?" in own
    [theirs] = problems(place, "arc_chalenge")
    assert "hint: did you mean `arc_challenge`?" in theirs


def test_the_harnesss_own_tasks_are_known_and_their_data_must_be_pinned(place: Place) -> None:
    pytest.importorskip("lm_eval")
    [problem] = problems(place, "mmlu_stem")
    assert problem.startswith("r.yml:9: data set `cais/mmlu` of the hub is not pinned")
    assert "`eval.benchmarks.revisions: {cais/mmlu: <commit>}`" in problem
    section = Benchmarks(tasks=["mmlu_stem"], revisions={"cais/mmlu": "c30699e"})
    found = look_up(section, place, "r.yml:9")
    assert (found.problems, found.hub) == ([], {"cais/mmlu": "c30699e"})
    assert [folder.name for folder in dict.fromkeys(found.folders)] == ["mmlu"]
    assert len(found.files["mmlu_stem"]) == 21  # the group, the template, 19 subjects


def test_a_task_that_runs_what_the_model_writes_is_refused(place: Place) -> None:
    pytest.importorskip("lm_eval")
    text = problems(place, "humaneval", revisions={"openai/openai_humaneval": "7dce605"})
    assert any("`unsafe_code: true`" in problem for problem in text)


def test_groups_and_tags_of_ones_own_are_followed(place: Place) -> None:
    write(place.folder, "more.yaml", GOOD.replace("task: sums", "task: more\ntag: all"))
    write(place.folder, "group.yaml", "group: both\ntask: [sums, all]\n")
    found = look_up(Benchmarks(tasks=["both"]), place, "r.yml:9")
    assert found.problems == []
    names = [path.name for path in found.files["both"]]
    assert names == ["group.yaml", "sums.yaml", "sums.jsonl", "more.yaml"]


def test_groups_written_inside_a_group_are_followed(place: Place) -> None:
    inner = "group: inner, task: [{group: innermost, task: [sums]}]"
    write(place.folder, "group.yaml", f"group: outer\ntask:\n  - {{{inner}}}\n")
    found = look_up(Benchmarks(tasks=["outer"]), place, "r.yml:9")
    assert found.problems == []
    assert [path.name for path in found.files["outer"]] == ["group.yaml", "sums.yaml", "sums.jsonl"]


def test_own_files_are_what_the_stage_reads(place: Place) -> None:
    files = own_files(Benchmarks(tasks=["sums", "arc_challenge"]), place)
    assert list(files) == ["benchmark sums: 0 sums.yaml", "benchmark sums: 1 sums.jsonl"]


def test_changed_task_files_make_the_stage_stale_and_no_other(place: Place) -> None:
    recipe = make_recipe(["merged"], [{"task": "mcq"}], benchmarks={"tasks": ["local_gsm8k"]})
    assert [name for name in recipe.files("eval") if name.startswith("benchmark")][:1] == [
        "benchmark local_gsm8k: 0 local_gsm8k.yaml"
    ]
    assert [name for name in recipe.files("sft") if name.startswith("benchmark")] == []


def test_a_recipe_is_refused_with_the_line_of_its_benchmarks(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    text = (ROOT / "recipes" / "tiny.yml").read_text(encoding="utf-8")
    (tmp_path / "templates").symlink_to(ROOT / "recipes" / "templates")
    (tmp_path / "deepspeed").symlink_to(ROOT / "recipes" / "deepspeed")
    wrong = text.replace("\neval:\n", "\neval:\n  benchmarks: {tasks: [scqi]}\n")
    assert wrong != text
    write(tmp_path, "tiny.yml", wrong)
    line = wrong.splitlines().index("  benchmarks: {tasks: [scqi]}") + 1
    with pytest.raises(UserError) as caught:
        load(tmp_path / "tiny.yml")
    [problem] = caught.value.problems
    assert problem.where.endswith(f"tiny.yml:{line}")
    assert (problem.found, problem.hint) == ("unknown benchmark `scqi`", "did you mean `sciq`?")


def test_checking_imports_neither_the_harness_nor_an_engine() -> None:
    code = (
        "import sys; from pathlib import Path; from stemma.recipe.lm_eval_tasks import *; "
        "look_up(Benchmarks(tasks=['arc_challenge']), Place(Path('recipes/tasks'), Path('.')), '');"
        "print([m for m in ('lm_eval', 'torch', 'datasets', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


def test_the_shipped_tasks_are_right_but_for_data_that_may_not_be_here(tmp_path: Path) -> None:
    folder = ROOT / "recipes" / "tasks"
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    assert "local_gsm8k" in names
    found = look_up(Benchmarks(tasks=names), Place(folder, tmp_path), "r.yml:9")
    assert {one.found.partition(":")[0] for one in found.problems} == {"no such benchmark file"}
    listed = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in names if f"| `{name}` |" not in listed] == []


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real data at {REAL} (STEMMA_DATA)")
def test_the_shipped_tasks_ask_every_row_of_the_real_data() -> None:
    """Each right answer is one of the row's own options, by the harness's own way of filling in."""
    utils = pytest.importorskip("lm_eval.utils")
    folder = ROOT / "recipes" / "tasks"
    read = YAML(typ="safe").load
    forms = {
        "local_arc_challenge": ["arc_challenge/mcqa_ai2_arc_test.jsonl"],
        "local_mathqa": ["mathqa/test1000.jsonl"],
        "local_sciq_open_book": ["sciq/sft_sciq_with_support.first2000.jsonl"],
    }
    forms["local_arc_challenge"] += ["sciq/mcqa_sciq_test.jsonl"]
    for name, files in forms.items():
        task = read((folder / f"{name}.yaml").read_text(encoding="utf-8"))
        for line in (line for file in files for line in (REAL / file).open(encoding="utf-8")):
            row = json.loads(line)
            shown = utils.apply_template(task["doc_to_choice"], row)
            choices = eval(shown, {"__builtins__": {}})
            right = int(utils.apply_template(task["doc_to_target"], row))
            assert 3 <= len(choices) <= 5, row
            assert 0 <= right < len(choices), row
            assert all(choice == choice.strip() and choice for choice in choices), row


def test_absent_benchmark_data_are_told_where_the_recipes_own_data_lie(tmp_path: Path) -> None:
    """On a machine without `DATA=` a recipe passes `check`; stage `data` tells what is missing."""
    course = ROOT / "recipes" / "course.yml"
    root = f"data.root={tmp_path}"
    recipe = load(course, [root])
    assert recipe.eval.benchmarks is not None
    for path in recipe.data.files(course.parent).values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    (tmp_path / "mmlu_stem_csv" / "x_test.csv").write_text("", encoding="utf-8")
    load(course, [root])  # the benchmarks' questions are the recipe's own test rows
    other = [
        root,
        'eval.benchmarks={"tasks": ["local_mathqa", "local_gsm8k"]}',
        'eval.tasks=[{"task": "speed"}]',  # below the test rows go
        "eval.text=null",
    ]
    load(course, other)
    none = tmp_path / "none.jsonl"
    gone = 'data.sft.sources=[{"source": "gsm8k", "path": "gsm8k/train.first3000.jsonl"}]'
    (tmp_path / "gsm8k" / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"no such benchmark file: gsm8k/test\.jsonl"):
        load(course, [*other, gone])
    load(course, [*other, gone, f'data.mcq.sources=[{{"source": "aqua", "path": "{none}"}}]'])
