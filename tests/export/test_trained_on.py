from __future__ import annotations

from pathlib import Path
from typing import Any

from export.trained_on import trained_on
from stemma.chain import lineage
from stemma.jsonl import write_jsonl
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe


def said(*texts: str) -> list[dict[str, str]]:
    """Turns of user and assistant."""
    return [{"role": ("user", "assistant")[i % 2], "content": one} for i, one in enumerate(texts)]


def sft(number: int, *texts: str) -> dict[str, Any]:
    return {"id": f"s{number}", "source": "toy", "messages": said(*texts)}


def pair(number: int, *texts: str) -> dict[str, Any]:
    prompt = "\n\n".join(texts)
    turns = said(*texts) if len(texts) > 1 else []
    return {
        "id": f"p{number}",
        "source": "toy",
        "question_id": f"q{number}",
        "prompt": prompt,
        "turns": turns,
        "chosen": "yes",
        "rejected": "no",
    }


def work(folder: Path, **changes: Any) -> Work:
    recipe = make_recipe(["gguf-F16"], [{"task": "mcq"}]).model_copy(update=changes)
    run = Run(folder / "small")
    data = run.folder("data")
    write_jsonl(data / "sft/train.jsonl", [sft(1, "a", "b"), sft(2, "a", "b", "c", "d")])
    write_jsonl(data / "dpo/train.jsonl", [pair(n, "a") for n in range(3)])
    write_manifest(run, "data", {f"{s}/train": f"{s}/train.jsonl" for s in ("sft", "dpo")})
    return Work(recipe, run, "export", say=lambda _: None)


def test_rows_with_several_questions_are_counted_by_stage(tmp_path: Path) -> None:
    assert trained_on(work(tmp_path)) == {
        "rows": {
            "dpo": {"rows": 3, "several_questions": 0},
            "sft": {"rows": 2, "several_questions": 1},
        },
        "longest_tokens": 512,
    }


def test_pairs_may_be_conversations(tmp_path: Path) -> None:
    made = work(tmp_path)
    path = made.run.folder("data") / "dpo/train.jsonl"
    write_jsonl(path, [pair(1, "a", "b", "c"), pair(2, "a")])
    write_manifest(made.run, "data", {f"{s}/train": f"{s}/train.jsonl" for s in ("sft", "dpo")})
    assert trained_on(made)["rows"]["dpo"] == {"rows": 2, "several_questions": 1}


def test_only_stages_behind_the_export_count(tmp_path: Path) -> None:
    made = work(tmp_path)
    dpo = made.recipe.stage("dpo").model_copy(update={"start_from": "base"})
    recipe = made.recipe.model_copy(update={"dpo": dpo})
    assert lineage(recipe) == ["dpo"]
    assert lineage(made.recipe) == ["dpo", "sft"]


def test_a_given_base_model_saw_longer_texts(tmp_path: Path) -> None:
    given = work(tmp_path, base=None, base_model="google/gemma-2b")
    assert isinstance(given.recipe, Recipe)
    assert trained_on(given)["longest_tokens"] is None
