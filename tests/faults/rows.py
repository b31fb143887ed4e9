"""The rows of docs/reliability.md: what is promised, and the test that shows it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

STAGES = ("data", "base", "sft", "dpo", "mcq", "export", "rag", "eval", "report")
WAYS = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}


@dataclass(frozen=True)
class Row:
    """A promise and its test; `quick` ones run in CI."""

    group: str
    name: str
    promise: str
    test: str
    """The test as pytest names it; without a bracket all its cases."""
    quick: bool = False


KILLED = (
    "the same command ends with 0 and the outputs of a run that was never stopped; no process, lock "
    "or half-made file is left"
)
FILLED = (
    "one clear error (exit 2), no manifest; with room again the same command ends with 0 and the "
    "same outputs"
)
HURT = "exit 2 naming every such file, its stage and the command; nothing is done with it"
QUICK_KILLS = {"data", "sft", "rag", "report"}
QUICK_HURT = {
    ("export", "truncated"),
    ("rag", "flipped"),
    ("report", "flipped"),
}
HURT_STAGES = STAGES[1:]
HURT_KINDS = {"flipped": "a byte flipped", "truncated": "truncated", "missing": "missing"}

KILLS, DISK, AT_ONCE, DAMAGE, NETWORK, PAID = (
    "Stopped in the middle",
    "Full and read-only disks",
    "Two at once",
    "Damage between two stages",
    "Without a network",
    "What is paid for",
)


def _own(group: str, name: str, promise: str, test: str, quick: bool = False) -> Row:
    return Row(group, name, promise, f"tests/faults/{test}", quick)


ROWS: tuple[Row, ...] = (
    *(
        _own(
            KILLS,
            f"{', '.join(WAYS)} of `{stage}`",
            KILLED,
            f"test_kills.py::test_a_stopped_stage_ends_as_in_peace[{stage}]",
            stage in QUICK_KILLS,
        )
        for stage in STAGES
    ),
    Row(
        KILLS,
        "kill -9 of a rank, the launcher, everything; one rank and two, ZeRO-1 to 3",
        "training resumes from the last sealed checkpoint and ends bit by bit the same",
        "tests/training/test_resume.py::test_killed_it_goes_on_and_ends_the_same",
    ),
    Row(
        KILLS,
        "kill -9, then the runs move to another folder",
        "it resumes there, bit by bit the same",
        "tests/training/test_resume.py::test_killed_and_moved_it_goes_on_and_ends_the_same",
    ),
    Row(
        KILLS,
        "kill -9 while the ranks start",
        "nobody is left",
        "tests/training/test_resume.py::test_killed_while_the_ranks_start_nobody_is_left",
    ),
    Row(
        KILLS,
        "a torn checkpoint",
        "it is put aside and the one before is resumed",
        "tests/training/test_resume.py::"
        "test_a_torn_checkpoint_rotation_and_another_number_of_processes",
    ),
    Row(
        KILLS,
        "ten kills -9 of `rag` with a sentence encoder",
        "the same bytes in the end; at most one transaction is embedded again",
        "tests/rag/test_stage_kills.py::test_kills_at_random_moments_end_as_if_there_were_none",
    ),
    Row(
        KILLS,
        "kill -9 of a worker of `eval`",
        "only the batch in flight is measured again",
        "tests/eval/test_measuring.py::"
        "test_of_a_killed_worker_only_the_batch_in_flight_is_measured_again",
    ),
    *(
        _own(
            DISK,
            f"`{stage}` on a disk that fills up",
            FILLED,
            f"test_disk.py::test_a_full_disk_is_told_and_the_stage_goes_on_later[{stage}]",
            stage in ("rag", "report"),
        )
        for stage in STAGES
    ),
    *(
        _own(
            DISK,
            f"`{stage}` in a folder that only reads",
            "exit 2, one clear error, nothing written",
            f"test_disk.py::test_a_folder_that_only_reads_is_told[{stage}]",
            stage in ("rag", "report"),
        )
        for stage in STAGES
    ),
    _own(
        DISK,
        "a finished run in a folder that only reads",
        "`status`, `verify` and `chat` work as ever",
        "test_disk.py::test_a_finished_run_can_be_read_where_nothing_may_be_written",
        True,
    ),
    *(
        _own(
            AT_ONCE,
            f"`{stage}` twice at once",
            "one does the work, the other says so or finds it done; the outputs are the same",
            f"test_disk.py::test_of_two_at_once_one_works[{stage}]",
            stage in ("rag", "report"),
        )
        for stage in STAGES
    ),
    *(
        _own(
            DAMAGE,
            f"what `{stage}` reads: {words}",
            HURT,
            f"test_damage.py::test_damage_between_two_stages_is_told[{stage}-{kind}]",
            (stage, kind) in QUICK_HURT,
        )
        for stage in HURT_STAGES
        for kind, words in HURT_KINDS.items()
    ),
    Row(
        DAMAGE,
        "a manifest edited, or of another stage",
        "exit 2 naming it and what to do",
        "tests/test_damage.py::test_an_edited_manifest_is_told",
    ),
    Row(
        DAMAGE,
        "an input that changes while a stage reads it",
        "the stage does not count as done, and says what changed",
        "tests/test_damage.py::test_an_input_that_changes_while_a_stage_runs_is_told",
    ),
    Row(
        DAMAGE,
        "a stage's own outputs damaged",
        "it is made anew, of nothing that is damaged",
        "tests/test_damage.py::test_a_damaged_stage_is_made_anew_of_nothing_damaged",
    ),
    _own(
        NETWORK,
        "the count of attempts",
        "it counts",
        "test_network.py::test_the_count_counts",
        True,
    ),
    _own(
        NETWORK,
        "the whole chain of `tiny`, smaller, and `chat`",
        "needs no route and tries none: no telemetry, no look-up of a name",
        "test_network.py::test_the_whole_chain_needs_no_network_and_tries_none",
    ),
    _own(
        NETWORK,
        "`rag` and `report` alone",
        "the same",
        "test_network.py::test_stages_behind_training_need_no_network",
        True,
    ),
    Row(
        PAID,
        "kill -9 between and in paid requests",
        "nothing that was answered is sent again, at most what was in flight",
        "tests/generator/test_runner.py::test_after_kills_only_what_was_in_flight_is_sent_again",
    ),
    Row(
        PAID,
        "Ctrl-C between paid requests",
        "the ledger is whole, nothing is paid twice",
        "tests/generator/test_runner.py::test_ctrl_c_leaves_the_ledger_whole",
    ),
    Row(
        PAID,
        "kill -9 while a batch is waited for",
        "it is waited for, not bought again",
        "tests/generator/test_runner.py::"
        "test_after_a_kill_a_batch_is_waited_for_and_not_bought_again",
    ),
    Row(
        PAID,
        "kill -9 of `data` in the middle of generation",
        "nothing is lost or repeated",
        "tests/data_builders/test_run.py::"
        "test_kill_9_in_the_middle_of_generation_loses_and_repeats_nothing",
    ),
    Row(
        PAID,
        "kill -9 of a judging",
        "it resumes without paying twice",
        "tests/eval/judge/test_run.py::test_a_killed_judging_resumes_without_paying_twice",
    ),
)


def row_of(test: str) -> Row | None:
    """The row that a test belongs to, if any."""
    plain = test.partition("[")[0]
    return next((row for row in ROWS if row.test in (test, plain)), None)
