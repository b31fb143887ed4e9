"""Comments, templates, prompts, DeepSpeed and task files hold no secret either."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.cli import main
from stemma.errors import UserError
from stemma.recipe.load import load

Write = Callable[..., Path]

RANDOM = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7"
KEY = f"hf_{RANDOM}"


def problems() -> list[str]:
    with pytest.raises(UserError) as caught:
        load("small")
    assert RANDOM not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    return [f"{one.where}: {one.found}" for one in caught.value.problems]


def test_a_key_in_a_comment_is_refused(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", f"  lora_r: 8  # with {KEY}"))
    assert problems() == [
        "recipes/small.yml:9: the text holds a Hugging Face token (`hf_…`), which is not shown"
    ]


def test_a_key_in_the_extended_recipe_is_told_there(write_recipe: Write) -> None:
    path = write_recipe(("  lora_r: 8", f"  lora_r: 8  # {KEY}"))
    path.with_name("other.yml").write_text("name: other\nextends: small\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load("other")
    assert [one.where for one in caught.value.problems] == ["recipes/small.yml:9"]


def test_a_key_in_broken_yaml_is_not_said_back(write_recipe: Write) -> None:
    for broken in (f"*{KEY}", f"{{{KEY}: 1, {KEY}: 2", f"!{KEY} 1", f"%{KEY}"):
        write_recipe(("  lora_r: 8", f"  lora_r: {broken}"))
        assert problems()


def test_a_key_in_a_chat_template_is_refused_with_its_line(write_recipe: Write) -> None:
    path = write_recipe()
    template = path.parent / "templates/qa.jinja"
    template.write_text(template.read_text() + f"\n{{# {KEY} #}}", encoding="utf-8")
    line = template.read_text().count("\n") + 1
    assert problems() == [
        f"recipes/templates/qa.jinja:{line}: it holds a Hugging Face token (`hf_…`), which is not "
        "shown"
    ]


@pytest.mark.parametrize(
    ("added", "found"),
    [
        ({"comet": {"api_key": "hunter2"}}, "`comet.api_key` holds a secret by its name"),
        ({"x": [{"y": KEY}]}, "`x.0.y` holds a Hugging Face token"),
    ],
)
def test_a_key_in_a_deepspeed_file_is_refused_with_its_line(
    write_recipe: Write, added: dict[str, object], found: str
) -> None:
    path = write_recipe().parent / "deepspeed/zero1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | added, indent=1), encoding="utf-8")
    key = '"api_key"' if "comet" in added else '"y"'
    before = path.read_text().split(key)[0]
    line = before.count("\n") + 1
    [problem] = problems()
    assert problem.startswith(f"recipes/deepspeed/zero1.json:{line}: {found}")


def test_a_deepspeed_file_of_brackets_is_told_by_its_own_check(write_recipe: Write) -> None:
    path = write_recipe().parent / "deepspeed/zero1.json"
    path.write_text("[" * 5000 + "1" + "]" * 5000, encoding="utf-8")
    with pytest.raises((UserError, RecursionError)) as caught:
        load("small")
    assert "secret" not in str(caught.value)


def test_a_key_in_a_judges_prompt_is_refused(write_recipe: Write) -> None:
    path = write_recipe(
        (
            "  - {task: preference}",
            "  - {task: preference}\n  - {task: generation}\n"
            "  judge: [{policy: dpo, reference: sft, prompt: own,"
            " generator: {server: scripted-expert, model: scripted-expert}}]",
        )
    )
    prompts = path.parent / "prompts"
    prompts.mkdir()
    (prompts / "own.jinja").write_text(f"Compare.\nkey {KEY}\n", encoding="utf-8")
    assert problems() == [
        "recipes/prompts/own.jinja:2: it holds a Hugging Face token (`hf_…`), which is not shown"
    ]


def test_a_key_in_a_task_file_is_refused(write_recipe: Write) -> None:
    path = write_recipe(
        (
            "  - {task: preference}",
            "  - {task: preference}\n  benchmarks: {tasks: [mine]}",
        )
    )
    tasks = path.parent / "tasks"
    tasks.mkdir()
    (tasks / "rows.jsonl").write_text('{"q": "a", "a": 0}\n', encoding="utf-8")
    (tasks / "mine.yaml").write_text(
        "task: mine\ndataset_path: json\n"
        "dataset_kwargs: {data_files: {test: rows.jsonl}, token: hunter2}\n"
        f"# {KEY}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        "doc_to_text: '{{q}}'\ndoc_to_choice: [a, b]\ndoc_to_target: a\n",
        encoding="utf-8",
    )
    found = [one for one in problems() if "not shown" in one]
    assert found == [
        "recipes/tasks/mine.yaml:3: `dataset_kwargs.token` holds a secret by its name, which is "
        "not shown",
        "recipes/tasks/mine.yaml:4: it holds a Hugging Face token (`hf_…`), which is not shown",
    ]


@pytest.mark.parametrize("verb", ["check", "show", "plan", "status"])
def test_no_verb_prints_a_secret(
    write_recipe: Write, verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = f"parameters: {{api_key: hunter2, user: {KEY}}}, api_key_env: {RANDOM}"
    write_recipe(("data:\n", f"data:\n  generator: {{model: m, {settings}}}\n"))
    assert main([verb, "small"]) == 2
    said = "".join(capfd.readouterr())
    assert "`data.generator.parameters.api_key` holds a secret by its name" in said
    assert not any(part in said for part in ("hunter2", RANDOM))
