"""The section `eval`: its judges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from stemma import ROOT
from stemma.errors import UserError
from stemma.recipe import document
from stemma.recipe.eval_tasks import McqTask
from stemma.recipe.evaluation import EvalSection
from stemma.recipe.load import load
from tests.conftest import Write
from tests.factories.run_to_score import make_recipe

JUDGE = {"policy": "dpo", "reference": "base", "generator": {"model": "m"}}
TASKS = [{"task": "generation"}]
SIDES = ("policy", "reference")


def section(*judges: dict[str, Any], tasks: list[dict[str, Any]] = TASKS) -> EvalSection:
    return EvalSection.model_validate(
        {"variants": ["base", "dpo"], "tasks": tasks, "judge": list(judges)}
    )


@pytest.mark.parametrize(
    ("judges", "problem"),
    [
        ([JUDGE | {"policy": "sft"}], "judge.0.policy: `sft` is none of `eval.variants`"),
        ([JUDGE | {"reference": "x"}], "judge.0.reference: `x` is none of `eval.variants`"),
        ([JUDGE | {"reference": "dpo"}], "judge.0.reference: a variant is not compared with its"),
        ([JUDGE, JUDGE], "judge: 2 of dpo are called `judge-base`: give `name`s"),
        ([JUDGE | {"name": "generation"}], "`name: generation` is the name of another task"),
        ([JUDGE | {"name": "text"}], "`name: text` is the name of another task"),
        ([JUDGE | {"name": "judge"}], "`name: judge` is the name of another task"),
    ],
)
def test_judges_that_cannot_be_are_refused(judges: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        section(*judges)


def test_replies_are_needed() -> None:
    with pytest.raises(ValidationError, match="so `tasks` needs `generation`"):
        section(JUDGE, tasks=[{"task": "mcq"}])


def test_tasks_are_named_by_the_reference_or_as_the_recipe_says() -> None:
    found = section(JUDGE, JUDGE | {"name": "by-another"})
    assert [judging.task for judging in found.judge] == ["judge-base", "by-another"]
    assert found.judge[0].generator.temperature == 0.0


def test_what_decides_no_verdict_makes_nothing_stale() -> None:
    plain = section(JUDGE).content()
    dear = JUDGE | {"generator": {"model": "m", "prices": {"input": 1.0, "output": 2.0}}}
    assert section(dear).content() == plain
    assert section(JUDGE | {"questions": 7}).content() != plain
    assert section(JUDGE | {"generator": {"model": "n"}}).content() != plain
    assert "judge" not in section().content(), "a recipe without judges keeps its key"


def test_the_prompt_is_part_of_the_stages_key() -> None:
    recipe = make_recipe(["base", "dpo"], TASKS, judge=[JUDGE])
    name = "recipes/prompts/judge.jinja"
    assert recipe.files("eval")[name] == Path(recipe.path.parent / "prompts/judge.jinja")
    assert name not in make_recipe(["base", "dpo"], TASKS).files("eval")
    assert name not in recipe.files("export")


SERVER = {"base_url": "http://127.0.0.1:8000/v1/", "model": "m"}


def with_server(*judges: dict[str, Any], **settings: Any) -> EvalSection:
    return EvalSection.model_validate(
        {
            "variants": ["dpo", "vllm"],
            "tasks": [{"task": "generation"}, {"task": "mcq"}, {"task": "speed"}],
            "servers": {"vllm": SERVER | settings},
            "judge": list(judges),
        }
    )


def test_a_server_is_asked_what_its_recipe_says() -> None:
    found = with_server(JUDGE | {"reference": "vllm"})
    assert [one.task for one in found.tasks_of("vllm")] == ["generation"]
    assert [one.task for one in found.tasks_of("dpo")] == ["generation", "mcq", "speed"]
    assert found.local == ["dpo"]
    assert found.servers["vllm"].base_url == "http://127.0.0.1:8000/v1"


def test_how_fast_a_server_is_asked_makes_nothing_stale() -> None:
    plain = with_server().content()
    assert with_server(concurrency=3, timeout_seconds=9, limits={}).content() == plain
    assert with_server(model="n").content() != plain
    assert "servers" not in section().content(), "a recipe without servers keeps its key"


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"base_url": "http://me:secret@host/v1"}, "without user, password and query"),
        ({"base_url": "http://host/v1?key=secret"}, "without user, password and query"),
        ({"base_url": "host:8000"}, "begins with http:// or https://"),
        ({"tasks": ["speed"]}, "'generation', 'mcq' or 'preference'"),
        ({"tasks": ["preference"]}, "servers.vllm.tasks: none of preference is a task of `tasks`"),
        ({"parameters": {"stream": True}}, "`stream`: set by Stemma"),
    ],
)
def test_servers_that_cannot_be_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        with_server(**settings)


def test_a_judge_needs_the_servers_replies() -> None:
    with pytest.raises(ValidationError, match=r"judge.0: `servers.vllm.tasks` has no `generation`"):
        with_server(JUDGE | {"reference": "vllm"}, tasks=["mcq"])


def test_a_servers_name_can_stand_in_a_path() -> None:
    with pytest.raises(ValidationError, match="`a/b` is no name"):
        make_recipe(["dpo", "a/b"], TASKS, servers={"a/b": SERVER})


def test_a_misspelt_variant_is_told_which_was_meant() -> None:
    with pytest.raises(ValidationError, match=r"unknown vlm; .* did you mean `vllm`"):
        make_recipe(["dpo", "vlm"], TASKS, servers={"vllm": SERVER})
    with pytest.raises(ValidationError, match="`merged` is the name of weights of this recipe"):
        make_recipe(["dpo"], TASKS, servers={"merged": SERVER})


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"abstention": {"risk": 0.1}}, "`tasks` has no `mcq`"),
        ({"benchmarks": {"tasks": ["x", "y", "x"]}}, "tasks: `x` stands there twice"),
        (
            {"hub_benchmarks": {"mqc": {"dataset": "a/b", "task_id": "c"}}},
            "hub_benchmarks: `mqc` is no task of this evaluation: generation",
        ),
        (
            {"hub_benchmarks": {"lm_eval/arc": {"dataset": "a/b", "task_id": "c"}}},
            "hub_benchmarks: `lm_eval/arc` is no task of this evaluation",
        ),
    ],
)
def test_keys_that_nothing_would_heed_are_refused(keys: dict[str, Any], problem: str) -> None:
    plain: dict[str, Any] = {"variants": ["base", "dpo"], "tasks": TASKS}
    with pytest.raises(ValidationError, match=problem):
        EvalSection.model_validate(plain | keys)


def test_a_benchmarks_scores_may_be_a_hub_benchmark() -> None:
    hub = {"lm_eval/arc": {"dataset": "a/b", "task_id": "c"}}
    keys = {"benchmarks": {"tasks": ["arc"]}, "hub_benchmarks": hub}
    found = EvalSection.model_validate({"variants": ["base"], "tasks": TASKS} | keys)
    assert list(found.hub_benchmarks) == ["lm_eval/arc"]


@pytest.mark.parametrize("page", ["judge", "benchmarks", "verdicts", "text-metrics", "report"])
def test_what_the_pages_show_can_stand_in_a_recipe(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for number, example in enumerate(text.split("```yaml\n")[1:]):
        path = tmp_path / f"{number}.yml"
        path.write_text(example.split("```")[0], encoding="utf-8")
        shown = document.read(path).values.get("eval", {})
        wanted = {judge[side] for judge in shown.get("judge", []) for side in SIDES}
        plain = {"variants": [*wanted, "merged"], "tasks": [{"task": "generation"}]}
        EvalSection.model_validate(plain | shown)


def test_tokens_of_replies_that_nobody_writes_are_refused() -> None:
    """They would do nothing but make what was measured stale."""
    assert McqTask(task="mcq", generate=True, max_new_tokens=8).max_new_tokens == 8
    with pytest.raises(ValidationError, match="no reply is written; give `generate: true` too"):
        McqTask(task="mcq", max_new_tokens=8)


def test_a_judges_prompt_that_is_not_there_is_told_by_check(write_recipe: Write) -> None:
    """It was told by `eval`, after all trainings."""
    judge = """eval:
  judge:
    - {policy: sft, reference: base, prompt: jugde, generator: {model: m}}
"""
    path = write_recipe(("eval:\n", judge))
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "  tasks:\n", "  tasks:\n  - {task: generation}\n"
        ),
        encoding="utf-8",
    )
    with pytest.raises(UserError) as caught:
        load(path)
    [problem] = caught.value.problems
    line = path.read_text(encoding="utf-8").splitlines().index(judge.splitlines()[2]) + 1
    assert problem.where.endswith(f"small.yml:{line}")
    assert problem.found.startswith("no such prompt: prompts/jugde.jinja, neither beside")
    assert problem.hint == "did you mean `judge`?"
    beside = path.parent / "prompts" / "jugde.jinja"
    beside.parent.mkdir()
    beside.write_text("", encoding="utf-8")  # what it holds is looked at by `eval`
    load(path)
