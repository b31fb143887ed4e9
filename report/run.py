"""The stage `report`: reads what the other stages left, writes the page, its
Markdown, and the tables and model cards as files."""

from __future__ import annotations

from report.files import table_files
from report.hub import card_files
from report.page import HTML, MARKDOWN, render
from report.planned import RESIDENT
from report.run_data import ArmData, RunData
from report.samples import read_samples
from stemma.chain import TRAINED, chain
from stemma.comparisons import ArmComparison, SharedRows, Verdicts
from stemma.errors import UserError
from stemma.facts import (
    DataCounts,
    DataFacts,
    ScoredCounts,
    SetStatistics,
    SplitCounts,
    parsed,
    training_facts,
)
from stemma.files import write_text
from stemma.jsonl import read_dicts, read_json, read_object, read_rows
from stemma.plan.forecast import Hardware, Plan, plan
from stemma.rows import Score
from stemma.runs import Manifest
from stemma.stages import Result, Work
from stemma.training.sweep_results import read_results


def run(work: Work) -> Result:
    """Write both pages, the tables and the model cards."""
    evidence = gather(work)
    variants = {score.variant for score in evidence.scores}
    work.say(f"report: {len(evidence.scores)} scores of {len(variants)} variants")
    files = table_files(evidence) | card_files(evidence)
    write_text(work.folder / "index.html", render(evidence, HTML, ["report.md", *files]))
    write_text(work.folder / "report.md", render(evidence, MARKDOWN))
    for path, text in files.items():
        write_text(work.folder / path, text)
    return Result({"html": "index.html", "markdown": "report.md"} | {path: path for path in files})


def gather(work: Work) -> RunData:
    """Everything upstream that the report speaks of. Raises UserError for what it cannot read."""
    stages = [stage for stage in chain(work.recipe) if stage != "report"]
    manifests = {stage: work.run.manifest(stage) for stage in stages}
    training = [stage for stage in TRAINED if stage in manifests]
    statistics = read_json(work.input("data", "statistics"))
    return RunData(
        recipe=work.recipe,
        manifests=manifests,
        data=parsed(DataFacts, manifests["data"].facts, work.run, "data"),
        data_counts=parsed(DataCounts, manifests["data"].counts, work.run, "data"),
        statistics=parsed(dict[str, SetStatistics], statistics, work.run, "data"),
        trained={
            stage: parsed(dict[str, SplitCounts], manifests[stage].counts, work.run, stage)
            for stage in training
        },
        scored=parsed(dict[str, ScoredCounts], manifests["eval"].counts, work.run, "eval"),
        scores=[Score.model_validate(score) for score in read_json(work.input("eval", "results"))],
        histories={stage: read_dicts(work.input(stage, "history")) for stage in training},
        plan=planned(work, manifests),
        sweeps=read_results(work.run),
        verdicts=verdicts(work, manifests["eval"]),
        abstention=read_dicts(work.input("eval", "abstention"))
        if "abstention" in manifests["eval"].outputs
        else [],
        fitted=read_object(work.input("rag", "fitted"))
        if "rag" in manifests and "fitted" in manifests["rag"].outputs
        else None,
        arms=arm_data(work, manifests["eval"]),
        samples=read_samples(work.recipe, work.run),
    )


def verdicts(work: Work, manifest: Manifest) -> Verdicts | None:
    """Every variant held against merged; None where an earlier Stemma evaluated."""
    if "verdicts" not in manifest.outputs:
        return None
    return parsed(Verdicts, read_json(work.input("eval", "verdicts")), work.run, "eval")


def arm_data(work: Work, manifest: Manifest) -> ArmData | None:
    """Variants asked with passages; None where there are none."""
    if "arms" not in manifest.outputs:
        return None
    return ArmData(
        compared=read_rows(work.input("eval", "arms"), ArmComparison),
        shared=read_rows(work.input("eval", "arm_table"), SharedRows),
        risk=read_dicts(work.input("eval", "retrieval_risk")),
    )


def planned(work: Work, manifests: dict[str, Manifest]) -> Plan | None:
    """The forecast, from the data and the recipe alone."""
    trained = work.recipe.training_stages()
    facts = [found for stage in trained if (found := training_facts(manifests[stage]))]
    gpus = max((one.processes for one in facts), default=1)
    cpu = any(one.peak_memory.of == RESIDENT for one in facts)
    # The dtype that `bf16: auto` came to.
    bfloat16 = not any(one.computed_in == "float32" for one in facts)
    try:
        return plan(work.recipe, work.run, Hardware(gpus, cpu=cpu, bfloat16=bfloat16))
    except UserError:  # shapes or settings that `plan` does not know: nothing was expected
        return None
