"""The data stage in a plan: counted from its sources or its manifest, or why it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.cli import main
from stemma.errors import UserError
from stemma.facts import GeneratorFacts
from stemma.plan.data_rows import DataPlan, plan_data
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import Run
from tests.conftest import Write
from tests.data_builders.small_recipe import write_lines
from tests.factories.manifests import change_manifest, put_manifest

GENERATED = (
    (
        "{source: preference_jsonl, path: pairs.jsonl}",
        "{source: generated_pairs, limit: 10, use: train}",
    ),
    ("{source: gsm8k, path: train.jsonl}", "{source: stem_exercises, limit: 40, use: train}"),
    ("data:\n", "data:\n  generator: {model: m, PRICES}\n"),
    ("{task: preference}", "{task: speed}"),  # of no test row
)
PRICES = "prices: {input: 1, output: 2}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "runs" / "small")


def generated(write_recipe: Write, prices: str) -> Recipe:
    return load(write_recipe(*GENERATED, ("PRICES", prices)))


def test_missing_files_are_named(write_recipe: Write, run: Run) -> None:
    found = plan_data(load(write_recipe()), run, print)
    assert found == DataPlan(
        None,
        0.0,
        "nothing is asked of a paid server",
        "small.yml (data): no such file: pairs.jsonl and 1 more",
    )


def test_without_its_files_a_paid_servers_cost_is_unknown(write_recipe: Write, run: Run) -> None:
    recipe = load(write_recipe(("data:\n", "data:\n  generator: {model: m}\n")))
    found = plan_data(recipe, run, print)
    assert (found.dollars, found.basis) == (None, "requests not counted")
    assert found.uncounted == "small.yml (data): no such file: pairs.jsonl and 1 more"


def test_files_that_cannot_be_read_are_no_end_of_the_plan(
    write_recipe: Write, run: Run, tmp_path: Path
) -> None:
    write_lines(tmp_path / "train.jsonl", {"question": "1 + 1?", "answer": "#### 2"})
    write_lines(tmp_path / "pairs.jsonl", ["no object"])
    assert (
        plan_data(load(write_recipe()), run, print).uncounted == "pairs.jsonl:1 row 1: a JSON str"
    )


def test_requests_rows_and_dollars_are_counted(write_recipe: Write, run: Run) -> None:
    said: list[str] = []
    found = plan_data(generated(write_recipe, PRICES), run, said.append)
    assert found.counted is not None
    spent = found.counted.spent
    assert found.counted.generated == {"sft": 0, "dpo": 10, "corpus": 0}
    assert (len(found.counted.rows["sft"]), len(found.counted.rows["corpus"])) == (40, 40)
    dollars = (spent["input_tokens"] or 0) * 1e-6 + (spent["output_tokens_at_most"] or 0) * 2e-6
    assert spent["cost_usd_about"] == pytest.approx(dollars)
    assert found.dollars == spent["cost_usd_at_most"]
    assert (found.dollars or 0) > 3 * dollars  # three attempts, and prompts of one-byte tokens
    assert found.basis.startswith(
        f"{spent['requests']:,} requests to `m`, {spent['input_tokens']:,} tokens in, "
    )
    assert "sft: stem_exercises: 40 rows read" in said, "reading may take a minute: it is told"
    assert not run.root.exists(), "nothing is written"


def test_without_prices_there_are_no_dollars(
    write_recipe: Write, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = generated(write_recipe, "max_tokens: 50")
    found = plan_data(recipe, run, print)
    assert found.dollars is None
    assert found.basis.startswith("no price table (`data.generator.prices`): ")
    capsys.readouterr()
    assert main(["plan", "small", "--set", "train.lora_target_modules=[q_proj]"]) == 0
    told = capsys.readouterr()
    assert "\nAPI: dollars unknown; no price table (`data.generator.prices`): " in told.out
    assert "· dollars unknown\n" in told.out
    assert "  rows to be generated; 350 tokens assumed\n" in told.out
    assert "  sources; 4 characters a token, no tokenizer\n" in told.out
    assert "[plan] sft: stem_exercises: 40 rows read\n" in told.err


def test_replies_without_a_limit_have_no_bound(write_recipe: Write, run: Run) -> None:
    found = plan_data(
        generated(write_recipe, f"{PRICES}, parameters: {{max_tokens: null}}"), run, print
    )
    assert found.dollars is None
    assert found.basis.startswith("no bound: ")
    assert found.basis.endswith("tokens in, any number out (`max_tokens` is null)")


def test_built_data_costs_nothing_more(write_recipe: Write, run: Run) -> None:
    put_manifest(run, "data", [])
    recipe = generated(write_recipe, PRICES)
    assert plan_data(recipe, run, print) == DataPlan(None, 0.0, "the data is built")
    none = dict.fromkeys(GeneratorFacts.model_fields, 0) | {"retried": {}, "unusable": {}}
    generator = none | {"cost_usd": 1.234}
    change_manifest(run, "data", facts={"generator": generator})
    assert plan_data(recipe, run, print) == DataPlan(
        None, 0.0, "the data is built and has cost 1.23 dollars"
    )
    change_manifest(run, "data", facts={"generator": {"n": 1}})
    with pytest.raises(
        UserError, match=r"GeneratorFacts: requests: Field required(.|\n)*make data"
    ):
        plan_data(recipe, run, print)
