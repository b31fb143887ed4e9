"""The `data` stage: builds all sets, writes them with their figures and their data set card, and
accounts for every row."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_builders.account import Account, SetSource, sources_of
from data_builders.build import Build
from data_builders.filters.gate import DecontaminationGate, leak_of, read_benchmarks, tell_leak
from data_builders.flow import NO_TOKENS, Draft, Drop, Placed, RowJob
from data_builders.foresight import data_warnings, tokenizer_problems
from data_builders.generated.judging import judge_statistics
from data_builders.language import language_of
from data_builders.outputs import figures
from data_builders.outputs import files as outputs
from data_builders.outputs.cards import card
from data_builders.raft import Asking
from data_builders.shortfalls import refuse_empty_sets, unfilled
from data_builders.tokens import contexts_of, own_tokens, preflight, refuse_unfit_template
from data_builders.transforms import length_balance
from stemma.errors import UserError
from stemma.facts import DataCounts, DataFacts
from stemma.files import write_text
from stemma.generator.ledger import LEDGER
from stemma.jsonl import write_json
from stemma.rows import Dropped, PreferenceRow, Split
from stemma.stages import Forecast, Result, Work

if TYPE_CHECKING:
    from stemma.generator.runner import JobRunner

EXECUTOR = "executor"
"""The folder that datatrove's workers share; a killed build resumes with it."""


def run(work: Work) -> Result:
    """Build, write, prove on tokens. A failed build leaves dropped.jsonl and what the gate found,
    but no manifest."""
    refuse_unfit_template(work.recipe, work.run)
    in_context = _in_context(work)
    judged: list[dict[str, Any]] = []
    # Opened before anything is read: a missing key is told at once, not when large files have been
    # gone through.
    with _generation(work) as generation, outputs.spool(work.folder / outputs.DROPPED) as write:

        def drop(dropped: Dropped) -> None:
            write(dropped)
            judged.extend(_ranked_in_vain(dropped))

        build = _start(work, drop)
        try:
            totals = _all_phases(build, generation)
            raft = in_context(build)
            build.gate.prove_apart(build.rows)
        finally:
            build.gate.write(work.folder)
    files = _write_rows(work, build)
    refuse_empty_sets(build.sources, build.rows, build.account.dropped)
    counts = build.account.counts(build.rows)
    facts = _facts(work, build, totals, judged) | ({"raft": raft} if raft else {})
    _foresee(work, build, facts["preflight"])
    DataCounts.model_validate(counts)  # as plan and report read them
    DataFacts.model_validate(facts)
    write_json(
        work.folder / "statistics.json", figures.figures_of(build.rows, build.account.dropped)
    )
    write_text(work.folder / "README.md", card(work.recipe, build.sources, counts, facts))
    shutil.rmtree(work.folder / EXECUTOR, ignore_errors=True)
    return Result({**files, "statistics": "statistics.json", "card": "README.md"}, counts, facts)


def _foresee(work: Work, build: Build, preflight: dict[str, Any]) -> None:
    """Tell what the stages behind these rows would come to. Raises UserError for what must fail."""
    if problems := list(tokenizer_problems(work.recipe, build.rows)):
        raise UserError(problems)
    for warning in data_warnings(work.recipe, build.rows, preflight):
        work.say(f"warning: {warning}")


def forecast(work: Work) -> Forecast:
    """Forecast the requests to the generator, their cost, and the rows there would be. Reads the
    sources; sends and writes nothing. Every generated row is expected to be good: how many are not,
    nobody knows before."""
    build = _start(work, lambda _dropped: None)
    build.collect("read")
    settings = work.recipe.data.generator
    asked = Counter[str]()
    spent: dict[str, float | None] = {"requests": 0}
    if settings and build.generates():
        from data_builders.generated.model_server import identity_of
        from stemma.generator.estimate import dry_run

        identity = identity_of(settings, work.recipe.seed)
        counting = dry_run(settings, work.run.root.parent / LEDGER, identity)

        def generate(jobs: Sequence[RowJob]) -> list[Draft | Drop]:
            asked[list(build.account.read)[-1]] += len(jobs)  # the source that is being read
            return counting(jobs)

        build.collect("generate", generate)
        spent = counting.totals()
    build.rows = [row for row in build.rows if row.source not in asked]  # placeholders' rows
    build.mix()
    build.collect("derive")
    _in_context(work)(build)
    return Forecast(spent, *_expected(build, asked), _in_split(build, "test"))


def _in_split(build: Build, split: Split) -> dict[str, list[Any]]:
    """The rows there are in one split, by set."""
    rows: dict[str, list[Any]] = {kind: [] for kind in build.data.sets()}
    for placed in build.rows:
        if placed.split == split:
            rows[placed.kind].append(placed.row)
    return rows


def _expected(build: Build, asked: Counter[str]) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """By set: the training rows there are, and those the generator is asked for, as far as the set
    has room."""
    rows = _in_split(build, "train")
    generated: dict[str, int] = dict.fromkeys(rows, 0)
    for source in build.sources:
        generated[source.kind] += expected_of(source, asked[source.name])
    for kind, dataset in build.data.sets().items():
        if dataset.total:
            generated[kind] = min(generated[kind], dataset.total - len(rows[kind]))
    return rows, generated


def expected_of(source: SetSource, asked: int) -> int:
    """Training rows of a source that the generator is asked for `asked` rows of: those of the
    training split, at most a sample."""
    options = source.options
    shares = source.dataset.parts
    share = {"train": 1.0, "split": 1 - shares.validation - shares.test}.get(options.use, 0.0)
    sample = options.sample.get("train", 1.0)
    return (
        min(sample, round(asked * share))
        if isinstance(sample, int)
        else round(asked * share * sample)
    )


def _start(work: Work, write: Callable[[Dropped], None]) -> Build:
    data = work.recipe.data
    seed = work.recipe.seed
    build = Build(
        data,
        seed,
        Account(write),
        DecontaminationGate(data, read_benchmarks(data, seed, work.say)),
        work.say,
    )
    build.recipe_folder = work.recipe.path.parent
    build.special = own_tokens(work.recipe, work.run)
    if data.executor:
        from data_builders import executors  # loads datatrove

        folder = work.folder / EXECUTOR
        build.gate.find = partial(executors.find_overlaps, executor=data.executor, folder=folder)
        if data.near_duplicates:
            build.clusters = executors.question_clusters(
                data.near_duplicates, data.executor, folder
            )
    return build


@contextmanager
def _generation(work: Work) -> Iterator[JobRunner | None]:
    """The recipe's generator, where a source asks it."""
    settings = work.recipe.data.generator
    if settings is None or all(
        source.phase != "generate" for source in sources_of(work.recipe.data)
    ):
        yield None
        return
    from data_builders.generated.model_server import open_server
    from stemma.generator.runner import open_runner  # loads the network client

    seed = work.recipe.seed
    ledger = work.run.root.parent / LEDGER
    with (
        open_server(settings, seed) as server,
        open_runner(settings, server, ledger, seed, work.say) as generation,
    ):
        yield generation


def _all_phases(build: Build, generation: JobRunner | None) -> dict[str, Any]:
    """All phases in turn; what the generator was asked for."""
    build.collect("read")
    if generation:
        build.collect("generate", generation)
    build.mix()
    build.collect("derive")
    return generation.totals() if generation else {}


def _in_context(work: Work) -> Callable[[Build], dict[str, Any]]:
    """What asks the rows of a build with passages (`data.sft.raft`), holds them against the
    evaluation's questions again, and tells how many became what. Its prompt and budget are proven
    before anything is read."""
    settings = work.recipe.data.sft.raft if work.recipe.data.sft else None
    if settings is None:
        return lambda _build: {}
    contexts, counted = contexts_of(work.recipe, work.run, settings)

    def put(build: Build) -> dict[str, Any]:
        asking = Asking(settings, contexts, build.seed, cache(build.gate.watch(build.rows)))
        build.rows, counts = asking.put(build.rows)
        build.decontaminate()
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        work.say(f"sft: rows asked with passages: {told}")
        return {"counts": counts, "tokens": counted}

    return put


def _write_rows(work: Work, build: Build) -> dict[str, str]:
    data = work.recipe.data
    folder = work.folder
    files = outputs.write_sets(folder, list(data.sets()), build.rows)
    files |= outputs.write_provenance(folder, Path(data.root), build.sources, build.rows)
    files |= outputs.write_test_ids(folder, build.rows)
    return files | {"dropped": outputs.DROPPED, "decontamination": "decontamination.json"}


def _facts(
    work: Work, build: Build, totals: dict[str, Any], judged: list[dict[str, Any]]
) -> dict[str, Any]:
    pairs = [p.row for p in build.rows if isinstance(p.row, PreferenceRow) and p.split == "train"]
    judged += [
        {"chosen": p.chosen, "rejected": p.rejected, "meta": p.meta}
        for p in pairs
        if "decided" in p.meta
    ]
    lacking = unfilled(build.data, build.sources, build.rows)
    for one in lacking:
        work.say(
            f"{one['of']} ({one['part']}): {one['asked']:,} rows asked for, {one['kept']:,} there"
        )
    leak = leak_of(build.rows)
    if leak:
        work.say(f"dpo is {tell_leak(leak)}")
    return {
        **({"split_by_pair": leak} if leak else {}),
        "language": work.recipe.data.language or language_of(_some_texts(build.rows)),
        "licences": figures.licences_of(build.sources, build.rows),
        "generator": figures.generated(build.rows, totals) if totals else {},
        "balance": {
            **({"length": length_balance(pairs)} if pairs else {}),
            **({"judges": judge_statistics(judged)} if judged else {}),
            **build.balance,
        },
        "decontamination": build.gate.summary(),
        "unfilled": lacking,
        "special_tokens": "of common families"
        + ("" if build.special is NO_TOKENS else " and the model's own"),
        "preflight": preflight(work.recipe, work.run, build.rows),
    }


def _some_texts(rows: Sequence[Placed]) -> Iterator[str]:
    """Texts of a thousand rows, from all over the build."""
    for placed in rows[:: max(1, len(rows) // 1000)]:
        yield from figures.texts_of(placed.row).values()


def _ranked_in_vain(dropped: Dropped) -> list[dict[str, Any]]:
    """The figures that the judge's statistics read of a pair that the judge could not decide."""
    meta = dropped.row.get("meta")
    return [{"meta": meta}] if isinstance(meta, dict) and "decided" in meta else []
