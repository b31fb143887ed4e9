from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import unquote

from report.links import Link, commands, own_links, shipped_link, stage_links
from report.run import gather
from tests.factories.run_to_report import make_recipe, make_work
from tests.factories.samples_to_report import add_samples


def test_every_link_leads_to_a_file_from_where_the_page_lies(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    add_samples(work)
    work.folder.mkdir()
    found = stage_links(gather(work))
    assert list(found) == ["data", "base", "sft", "dpo", "mcq", "export", "eval"]
    for stage, links in found.items():
        assert links[-1].name == "manifest.json"
        for link in links:
            assert (work.folder / unquote(link.href)).exists(), (stage, link)
    assert [link.name for link in found["eval"]].count("samples/") == 1


def test_a_name_that_an_address_would_read_otherwise_is_quoted(tmp_path: Path) -> None:
    assert own_links(["a b#c?.md"]) == {"a b#c?": [Link(".md", "a%20b%23c%3F.md")]}
    assert own_links(["t/x.csv", "t/x.json"])["t/x"] == [
        Link(".csv", "t/x.csv"),
        Link(".json", "t/x.json"),
    ]


def test_a_gguf_is_run_by_name_and_other_formats_by_transformers(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path / "gguf"))
    assert shipped_link(evidence) == Link("gguf-Q4_K_M", "../export/gguf-Q4_K_M", "160 kB")
    said = dict(commands(evidence))
    first = next(iter(said.values()))
    assert shlex.split(first) == ["make", "chat", f"RECIPE={Path.cwd()}"], "it has no file"
    assert "llama-server -m gguf-Q4_K_M --jinja" in said.values()
    export = {"from": "mcq", "gguf": {"types": ["F16"]}, "ship": "merged"}
    evals = {"variants": ["base", "merged"], "tasks": [{"task": "mcq"}]}
    other = gather(make_work(tmp_path / "merged", make_recipe(export=export, eval=evals)))
    assert ["transformers" in command for _, command in commands(other)] == [True]


def test_the_python_of_the_page_is_python(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    for title, command in commands(evidence):
        if title.startswith("Python"):
            compile(command, "page", "exec")
