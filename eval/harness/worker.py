"""Measures benchmarks on one variant in a process of its own: `python -m eval.harness.worker
job.json`. Findings of each benchmark appear whole or not, as soon as it is done."""

from __future__ import annotations

import json
import math
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

from lm_eval.evaluator import evaluate
from lm_eval.utils import handle_non_serializable, sanitize_list

from eval.harness.engine import Continuation, Engine
from eval.harness.job import (
    BenchmarkFindings,
    BenchmarkJob,
    HarnessFigure,
    TaskFindings,
    WantedBenchmark,
    write_findings,
)
from eval.harness.lm import EngineLM
from eval.harness.tasks import SEEDS, TaskDict, Tasks, groups, leaves, load
from eval.how_far import told_in
from eval.job import Variant
from eval.unchanged import refuse_changed
from stemma.errors import StageFailed, UserError
from stemma.heard import Telling
from stemma.jsonl import read_json
from stemma.progress import At
from stemma.templates import Template, answered

RESAMPLES = 1000
"""Of the harness's bootstrap, for metrics that are no mean."""


def main(job_path: str, only_load: bool = False) -> None:
    """Measure what the job asks for; `only_load` stops before a model is opened."""
    job = BenchmarkJob.model_validate(read_json(Path(job_path)))
    if (found := version("lm_eval")) != job.settings.harness:
        raise StageFailed(f"lm_eval {found} is installed, the recipe measures with 0.4.11")
    manager = Tasks(job)
    tasks = {one.name: load(manager, one.name, job.settings.num_fewshot) for one in job.wanted}
    if only_load:
        return
    variant = job.variant
    template = Template(variant.template, variant.bos, variant.eos)
    engine = open_engine(variant, Path(job.tokenizer), template.stop())
    self_test(engine, template, variant.name)
    telling = Telling(told_in(Path(job_path)))
    for number, one in enumerate(job.wanted):
        telling.tell(At("benchmarks", number, len(job.wanted), "measured", one.name))
        findings = measure(engine, template, job, (one, tasks[one.name]))
        text = json.dumps(findings.model_dump(), default=handle_non_serializable)
        # NaN is no JSON.
        refuse_changed(job.stamps)
        write_findings(Path(one.out), json.loads(text, parse_constant=lambda _: None))


def open_engine(variant: Variant, tokenizer: Path, stop: str) -> Engine:
    """The variant's weights, loaded for benchmarks."""
    if variant.kind == "gguf":
        from eval.harness import start
        from eval.harness.gguf import GgufEngine

        return GgufEngine(variant.weights, start.read(tokenizer), stop, variant.threads)
    from eval.harness.hf import HfEngine

    return HfEngine(variant.weights, stop, variant.threads)


def self_test(engine: Engine, template: Template, variant: str) -> None:
    """Before any figure: choices behind one question score as each by itself, a question that ends
    with its answer prefers it to noise, and the greedy token is the likeliest. Raises
    StageFailed."""
    prompt, answer = template.split(answered("What is 2 + 2?", "4"))
    begin = engine.begin
    has_first = bool(begin.text) and prompt.startswith(begin.text)
    context = (*([] if has_first else begin.first), *engine.tokenize(prompt))
    tokens = tuple(engine.tokenize(answer))
    wanted = [Continuation(context, tokens[: place + 1]) for place in range(len(tokens))]
    wanted += [Continuation(context, (token,)) for token in {*context, *tokens}]
    together = engine.score(wanted)
    alone = [engine.score([one])[0] for one in wanted]
    apart = max(abs(a[0] - b[0]) for a, b in zip(together, alone, strict=True))
    likeliest = max(together[len(tokens) :])
    failures = {
        f"scores depend on what is asked beside them (by {apart:.2f} nats)": apart > 0.1,
        "a log-probability is above 0": any(found[0] > 1e-3 for found in together),
        "several tokens are the likeliest": sum(found[1] for found in together[len(tokens) :]) > 1,
        "a token likelier than greedy decoding's": likeliest[0] > math.log(0.51)
        and not likeliest[1],
    }
    broken = [what for what, failed in failures.items() if failed]
    if broken:
        raise StageFailed(f"eval: {variant} fails the benchmarks' self-test: {'; '.join(broken)}")


def measure(
    engine: Engine,
    template: Template,
    job: BenchmarkJob,
    benchmark: tuple[WantedBenchmark, TaskDict],
) -> BenchmarkFindings:
    """All figures and samples of one benchmark."""
    one, tasks = benchmark
    lm = EngineLM(engine, template, job.settings.max_length)
    begin = perf_counter()
    try:
        results = evaluate(
            lm=lm,
            task_dict=tasks,
            limit=job.settings.limit,
            bootstrap_iters=RESAMPLES,
            apply_chat_template=job.settings.use_chat_template,
            fewshot_as_multiturn=job.settings.fewshot_as_multiturn,
        )
    except (StageFailed, UserError):
        raise
    except Exception as error:
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        raise StageFailed(f"benchmark `{one.name}` cannot be asked: {reason}") from None
    facts = {
        "seconds": round(perf_counter() - begin, 1),
        "requests": dict(lm.counts),
        "tokens_digest": lm.tokens_digest,
        "seeds": SEEDS,
        "lm_eval": job.settings.harness,
        **engine.facts,
    }
    samples = {
        name: [_as_in_files(row) for row in rows] for name, rows in results["samples"].items()
    }
    return BenchmarkFindings(
        key=one.key, tasks=_found(results, tasks), samples=samples, facts=facts
    )


def _as_in_files(row: dict[str, Any]) -> dict[str, Any]:
    """A sample as the harness's own samples files have it, and the row's id as ours do."""
    arguments = {
        f"gen_args_{number}": {f"arg_{place}": part for place, part in enumerate(given)}
        for number, given in enumerate(row["arguments"])
    }
    return row | {
        "id": str(row["doc_id"]),
        "arguments": arguments,
        "resps": sanitize_list(row["resps"]),
        "filtered_resps": sanitize_list(row["filtered_resps"]),
        "target": str(row["target"]),
    }


def _found(results: dict[str, Any], tasks: TaskDict) -> dict[str, TaskFindings]:
    """Figures by task and by group."""
    members: dict[str, list[str]] = {name: [] for name in leaves(tasks)}
    members |= groups(tasks)
    return {
        name: TaskFindings(
            figures=_figures(results["results"][name]),
            tasks=below,
            facts={
                "version": str(results["versions"].get(name)),
                "worked examples": results["n-shot"].get(name, 0),
            },
        )
        for name, below in members.items()
        if name in results["results"]
    }


def _figures(values: dict[str, Any]) -> list[HarnessFigure]:
    found = []
    for key, value in values.items():
        metric, comma, name = key.partition(",")
        if not comma or metric.endswith("_stderr"):
            continue
        stderr = values.get(f"{metric}_stderr,{name}")
        found.append(
            HarnessFigure(metric=metric, filter=name, value=_number(value), stderr=_number(stderr))
        )
    return found


def _number(value: Any) -> float | None:
    """A finite number; None for "N/A", NaN and what is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


if __name__ == "__main__":
    try:
        main(sys.argv[1], only_load="--only-load" in sys.argv)
    except (StageFailed, UserError) as error:
        sys.exit(str(error))
