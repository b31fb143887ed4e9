"""The stage `report`: reads what the other stages left in the run folder, writes `index.html` and `report.md`."""

from __future__ import annotations

from report.evidence import Evidence
from report.page import HTML, MARKDOWN, render
from report.planned import RESIDENT
from stemma.chain import TRAINED, chain
from stemma.errors import UserError
from stemma.facts import training_facts
from stemma.files import write_text
from stemma.jsonl import read_dicts, read_json
from stemma.plan.forecast import Hardware, Plan, plan
from stemma.rows import Score
from stemma.runs import Manifest
from stemma.stages import Result, Work
from stemma.training.sweep_results import read_results


def run(work: Work) -> Result:
    evidence = gather(work)
    work.say(f"report: {len(evidence.scores)} scores of {len({score.variant for score in evidence.scores})} variants")
    write_text(work.folder / "index.html", render(evidence, HTML))
    write_text(work.folder / "report.md", render(evidence, MARKDOWN))
    return Result({"html": "index.html", "markdown": "report.md"})


def gather(work: Work) -> Evidence:
    """Everything upstream that the report speaks of."""
    manifests = {stage: work.run.manifest(stage) for stage in chain(work.recipe) if stage != "report"}
    return Evidence(
        recipe=work.recipe,
        manifests=manifests,
        scores=[Score.model_validate(score) for score in read_json(work.input("eval", "results"))],
        histories={stage: read_dicts(work.input(stage, "history")) for stage in TRAINED if stage in manifests},
        statistics=read_json(work.input("data", "statistics")),
        plan=planned(work, manifests),
        sweeps=read_results(work.run),
    )


def planned(work: Work, manifests: dict[str, Manifest]) -> Plan | None:
    """What was to be expected, from the data and the recipe alone."""
    trained = work.recipe.training_stages()
    facts = [found for stage in trained if (found := training_facts(manifests[stage]))]
    gpus = max((one.processes for one in facts), default=1)
    cpu = any(one.peak_memory.of == RESIDENT for one in facts)
    bfloat16 = not any(one.computed_in == "float32" for one in facts)  # what `bf16: auto` came to
    try:
        return plan(work.recipe, work.run, Hardware(gpus, cpu=cpu, bfloat16=bfloat16))
    except UserError:  # shapes or settings that `plan` does not know: nothing was expected
        return None
