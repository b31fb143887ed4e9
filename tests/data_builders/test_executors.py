from __future__ import annotations

from pathlib import Path

import pytest

from data_builders import executors
from data_builders.filters import decontaminate
from data_builders.filters.decontaminate import EvalQuestion
from data_builders.filters.near_duplicates import QuestionClusters
from data_builders.flow import CleanRow, Draft, Placed
from data_builders.split import question_key
from stemma.errors import StageFailed, UserError
from stemma.recipe.data import Decontaminate, Executor, NearDuplicates
from stemma.rows import CorpusRow

ONE_PROCESS = Executor(tasks=3, workers=1)
TWO_PROCESSES = Executor(tasks=3, workers=2)

THINGS = ("copper", "iron", "gold", "tin", "lead", "zinc", "silver")
QUESTIONS = [
    f"which metal conducts heat as well as a rod of {x} that is {n} metres long does"
    for x in THINGS
    for n in (5, 6)
]
TWINS = [question.replace("that is", "which is") for question in QUESTIONS[:6]]


def placed(number: int, text: str) -> Placed:
    row = CorpusRow(id=f"r{number}", source="s", text=text)
    key = question_key(text)
    clean = CleanRow("corpus: s", "corpus", key, Draft(f"row {number}", text, {}), row)
    return clean.placed("train", key, fixed=False)


TRAIN = [placed(n, f"Well, tell me {question}, please") for n, question in enumerate(QUESTIONS)]
EVALUATION = [
    EvalQuestion("exam", str(n), question, ("all", "none"))
    for n, question in enumerate(QUESTIONS[::3])
]


def clusters_agree(executor: Executor, folder: Path) -> None:
    plain = QuestionClusters(NearDuplicates())
    sharded = executors.question_clusters(NearDuplicates(), executor, folder)
    for keys in (QUESTIONS, TWINS, []):  # the later ones join the earlier ones
        plain.add(keys)
        sharded.add(keys)
    found = [sharded.of(key) for key in [*QUESTIONS, *TWINS]]
    assert found == [plain.of(key) for key in [*QUESTIONS, *TWINS]]
    assert found[-len(TWINS) :] == [plain.of(key) for key in QUESTIONS[:6]] != TWINS


def test_three_tasks_find_the_clusters_of_one_process(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clusters_agree(ONE_PROCESS, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_three_tasks_find_the_overlaps_of_one_process(tmp_path: Path) -> None:
    rules = Decontaminate()
    plain = decontaminate.find_overlaps(TRAIN, EVALUATION, rules)
    assert [(o.row_id, o.eval_id, o.rule) for o in plain] == [
        (f"r{3 * number}", str(number), "n-gram") for number in range(len(EVALUATION))
    ]
    assert executors.find_overlaps(TRAIN, EVALUATION, rules, ONE_PROCESS, tmp_path) == plain
    assert executors.find_overlaps([], EVALUATION, rules, ONE_PROCESS, tmp_path) == []


@pytest.mark.slow
def test_two_worker_processes_find_the_same_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plain_clusters = QuestionClusters(NearDuplicates())
    clusters = executors.question_clusters(NearDuplicates(), TWO_PROCESSES, tmp_path)
    for each in (plain_clusters, clusters):
        each.add([*QUESTIONS, *TWINS])
    assert [clusters.of(key) for key in TWINS] == [plain_clusters.of(key) for key in TWINS] != TWINS
    plain = decontaminate.find_overlaps(TRAIN, EVALUATION, Decontaminate())
    assert (
        executors.find_overlaps(TRAIN, EVALUATION, Decontaminate(), TWO_PROCESSES, tmp_path)
        == plain
    )
    assert capfd.readouterr() == ("", "")


def test_finished_tasks_are_not_run_again(tmp_path: Path) -> None:
    first = executors.find_overlaps(TRAIN, EVALUATION, Decontaminate(), ONE_PROCESS, tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("found/*.jsonl")}
    assert len(times) == 3
    assert (
        executors.find_overlaps(TRAIN, EVALUATION, Decontaminate(), ONE_PROCESS, tmp_path) == first
    )
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("found/*.jsonl")} == times
    executors.find_overlaps(TRAIN[1:], EVALUATION, Decontaminate(), ONE_PROCESS, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failing_task_fails_the_stage_with_its_reason(tmp_path: Path) -> None:
    step = executors.FindOverlaps(tmp_path / "missing.jsonl", Decontaminate())
    with pytest.raises(StageFailed, match=r"datatrove's local executor: .*missing.jsonl"):
        executors.run([step], ONE_PROCESS, 1, tmp_path / "logs")


def test_settings_that_the_executor_does_not_know_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"data.executor.settings: .*unexpected keyword argument 'partition'"
    ):
        executors.make_executor([], Executor(settings={"partition": "cpu"}), 2, tmp_path)
    with pytest.raises(UserError, match="'time' and 'partition'"):
        executors.make_executor([], Executor(kind="slurm"), 2, tmp_path)


def test_the_slurm_script_waits_and_has_the_settings(tmp_path: Path) -> None:
    settings = {"partition": "cpu", "time": "01:00:00", "sbatch_args": {"account": "me"}}
    made = executors.make_executor(
        [], Executor(kind="slurm", tasks=4, workers=2, settings=settings), 4, tmp_path
    )
    script = made.get_launch_file_contents(made.get_sbatch_args(4), "launch")
    for line in ("--wait", "--partition=cpu", "--time=01:00:00", "--account=me", "--array=0-3%2"):
        assert f"#SBATCH {line}\n" in script
