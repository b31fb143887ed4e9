"""The page of a run with a served variant, which has no weights."""

from __future__ import annotations

from pathlib import Path

from report.run import gather, run
from report.tables import variant_rows
from tests.factories.run_to_report import VARIANTS, make_recipe, make_scores, make_work, score

SERVERS = {"vllm": {"base_url": "http://127.0.0.1:8000/v1", "model": "gemma", "tasks": ["mcq"]}}


def test_what_a_server_does_not_show_is_a_dash(tmp_path: Path) -> None:
    section = {
        "variants": [*VARIANTS, "vllm"],
        "reference": "sft",
        "tasks": [{"task": "mcq"}, {"task": "speed"}],
        "servers": SERVERS,
    }
    scores = [*make_scores(), score("vllm", "mcq", "accuracy", 0.7, 240, 0.06)]
    work = make_work(tmp_path, make_recipe(eval=section), scores)
    run(work)
    page = (work.folder / "index.html").read_text(encoding="utf-8")
    assert "gemma at http://127.0.0.1:8000/v1; size, memory and speed are not to be seen" in page
    row = variant_rows(gather(work))[-1]
    figures = {figure.title: figure.text for figure in row.figures}
    assert row.name == "vllm"
    assert [text for text in figures.values() if text != "–"] == ["0.70"]
