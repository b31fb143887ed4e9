"""Grading of a recipe's model on the course's files: the verb `course`.

Two variants are graded: `merged`, which the course calls the policy, and the one that `export.ship`
names, which it calls quantised. Written are, in the folder asked for:

    scores.json                                all figures, with n and 95 % intervals
    mcqa/metrics.json, mcqa/main_config.yaml   what the course's evaluator writes, and reads
    mcqa/merged.jsonl, …                       every line's scores
    reward/…                                   the same of the preference file
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.cells import variant_of
from eval.course.files import CourseFile, CourseFiles, read_files
from eval.course.grading import SEED, Graded, grade_pairs, grade_questions
from eval.course.measuring import Asked, Rows, measure
from eval.course.written import Config, Sizes, main_config, pair_metrics, question_metrics
from eval.job import Records
from stemma.comparisons import BASELINE
from stemma.digests import digest_of, size_of
from stemma.files import write_text
from stemma.jsonl import write_json, write_jsonl
from stemma.origin import git_commit, hardware, versions
from stemma.recipe.eval_tasks import EvalTask, McqTask, PreferenceTask
from stemma.rows import Score
from stemma.stages import Work
from stemma.table import UNKNOWN, aligned
from stemma.weights import weights_of

POLICY = BASELINE
FOLDERS = {"mcq": "mcqa", "preference": "reward"}
"""The course's names of the two methods, by our task."""
OPTIONS: dict[str, EvalTask] = {
    "mcq": McqTask(task="mcq"),
    "preference": PreferenceTask(task="preference"),
}

Grades = dict[str, dict[str, Graded]]
"""By task and variant."""


@dataclass(frozen=True)
class _Grading:
    """One grading: the work, the course's files, and where the results go."""

    work: Work
    files: CourseFiles
    to: Path

    @property
    def variants(self) -> list[str]:
        return list(dict.fromkeys([POLICY, self.work.recipe.export.ship]))

    @property
    def quantised(self) -> str | None:
        return next(iter(self.variants[1:]), None)

    def rows(self) -> dict[str, tuple[EvalTask, Rows]]:
        found: dict[str, Rows] = {}
        if self.files.questions:
            found["mcq"] = self.files.questions.rows
        if self.files.pairs:
            found["preference"] = self.files.pairs.rows
        return {task: (OPTIONS[task], rows) for task, rows in found.items()}

    def weights(self, variant: str) -> Path:
        return self.work.input("export", variant).absolute()


def grade(work: Work, paths: list[Path], to: Path) -> list[Score]:
    """Grade the recipe's model and write everything below `to`; returns the figures.

    Raises UserError for files that cannot be graded on, and for a run that is not exported.
    """
    grading = _Grading(work, read_files(paths), to)
    for file in (grading.files.questions, grading.files.pairs):
        if file:
            _tell(work, file)
    asked = grading.rows()
    grades = _grades(grading, asked)
    for task, by_variant in grades.items():
        for variant, graded in by_variant.items():
            write_jsonl(to / FOLDERS[task] / f"{variant}.jsonl", graded.scores.samples)
    if questions := grading.files.questions:
        _write_questions(grading, questions, grades["mcq"])
    if pairs := grading.files.pairs:
        _write_pairs(grading, pairs, grades["preference"])
    scores = _scores(grades)
    write_json(to / "scores.json", _record(grading, grades, scores))
    return scores


def _tell(work: Work, file: CourseFile[Any]) -> None:
    """What was read, and what grading passes over."""
    work.say(f"course: {file.path}: {file.lines:,} rows")
    if file.passed_over:
        named = ", ".join(f"`{key}` ({lines:,} rows)" for key, lines in file.passed_over.items())
        work.say(f"course: {file.path}: keys that are not read: {named}")
    if file.alike:
        shown = ", ".join(map(str, file.alike[:5]))
        told = f"{len(file.alike):,} pairs of equal answers count as wrong: lines {shown}"
        work.say(f"course: {file.path}: {told}")


def _grades(grading: _Grading, asked: Asked) -> Grades:
    work = grading.work
    anchors: Records = []
    section = work.recipe.eval
    for name in grading.variants:  # before anything is measured: they must be there
        variant_of(work, name)
    if "preference" in asked:
        only = {"preference": asked["preference"]}
        anchors = measure(work, section.reference, only)["preference"]
    grades: Grades = {task: {} for task in asked}
    for variant in grading.variants:
        samples = measure(work, variant, asked)
        if "mcq" in asked:
            grades["mcq"][variant] = grade_questions(samples["mcq"])
        if grading.files.pairs:
            found = samples["preference"]
            graded = grade_pairs(grading.files.pairs, found, anchors, section.beta)
            grades["preference"][variant] = graded
    return grades


def _write_questions(
    grading: _Grading, file: CourseFile[Any], graded: Mapping[str, Graded]
) -> None:
    accuracies = {"policy": graded[POLICY].course.value}
    methods = ["mcqa"]
    sizes = None
    quantised = None
    if grading.quantised:
        quantised = grading.weights(grading.quantised)
        accuracies["quantised"] = graded[grading.quantised].course.value
        sizes = Sizes(size_of(grading.weights(POLICY)), size_of(quantised))
        # A GGUF is a file, which the course's evaluator cannot load.
        methods += ["quantiz"] if quantised.is_dir() else []
    metrics = question_metrics(grading.work.recipe.name, accuracies, sizes)
    folder = grading.to / FOLDERS["mcq"]
    write_text(folder / "metrics.json", metrics)
    write_text(folder / "main_config.yaml", _config(grading, file.path, methods, quantised))


def _write_pairs(grading: _Grading, file: CourseFile[Any], graded: Mapping[str, Graded]) -> None:
    folder = grading.to / FOLDERS["preference"]
    metrics = pair_metrics(grading.work.recipe.name, graded[POLICY].course.value)
    write_text(folder / "metrics.json", metrics)
    write_text(folder / "main_config.yaml", _config(grading, file.path, ["reward"], None))


def _config(grading: _Grading, data: Path, methods: list[str], quantised: Path | None) -> str:
    recipe = grading.work.recipe
    reference = recipe.eval.reference
    of_hub = reference == "base" and not recipe.base and not recipe.is_base_local
    named = recipe.base_model if of_hub else weights_of(grading.work, reference).absolute()
    return main_config(
        Config(
            team=recipe.name,
            methods=tuple(methods),
            policy=grading.weights(POLICY),
            reference=str(named),
            quantised=quantised,
            data=data.absolute(),
        )
    )


def _scores(grades: Grades) -> list[Score]:
    """All figures: the tasks' own, and behind them the course's where it has another name."""
    rows = []
    for task, by_variant in grades.items():
        for variant, graded in by_variant.items():
            for metric in dict.fromkeys([*graded.scores.metrics, graded.course]):
                place = {"samples": f"{FOLDERS[task]}/{variant}.jsonl"}
                rows.append(metric.score(variant, task).model_copy(update=place))
    return rows


def _record(grading: _Grading, grades: Grades, scores: list[Score]) -> dict[str, Any]:
    """What `scores.json` holds."""
    work = grading.work
    section = work.recipe.eval
    files = [file for file in (grading.files.questions, grading.files.pairs) if file]
    return {
        "recipe": work.recipe.name,
        "reference": f"the merged weights of `{section.reference}`, row by row",
        "beta": section.beta,
        "seed": SEED,
        "files": [
            {"name": file.path.name, "sha256": digest_of(file.path), "rows": file.lines}
            for file in files
        ],
        "scores": [score.model_dump(mode="json") for score in scores],
        "facts": {
            task: {variant: graded.facts for variant, graded in by_variant.items()}
            for task, by_variant in grades.items()
        },
        "git_commit": git_commit(),
        "versions": versions(),
        "hardware": hardware(),
    }


def table(scores: list[Score]) -> list[str]:
    """The figures as lines for a terminal."""
    rows = [
        (
            score.variant,
            score.metric,
            f"{score.value:.3f}",
            f"{score.n:,}",
            f"{score.low:.3f} to {score.high:.3f}"
            if score.low is not None and score.high is not None
            else UNKNOWN,
        )
        for score in scores
    ]
    return aligned(("variant", "figure", "value", "n", "95 %"), rows)
