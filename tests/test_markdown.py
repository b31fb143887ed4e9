"""Texts in Markdown: a real renderer, with HTML on, makes nothing of them."""

from __future__ import annotations

import html
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from data_builders.account import sources_of
from data_builders.outputs.cards import card as data_card
from report.compare import compare
from report.hub import card_files
from report.run import gather, run
from stemma.from_gguf.card import _card as imported_card
from stemma.markdown import escaped, one_line, table
from stemma.runs import MANIFEST, Manifest, write_manifest
from stemma.training.sweep import _write as write_sweep
from stemma.training.sweep_results import Results, Trial
from tests.data_builders.small_recipe import make_recipe as make_data_recipe
from tests.factories.run_to_report import make_recipe, make_scores, make_work, score

PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/p.png)",
    "[x][y]",
    "[^1]: x",
    "[x]: https://evil.example",
    "<https://evil.example>",
    "https://evil.example/x",
    "_www.evil.example",
    "me@evil.example",
    "mailto:me@evil.example",
    "</td></tr></table><h1>x</h1>",
    "a | b | c",
    "a\n\n# heading",
    "\n---\n",
    "===",
    "# x",
    "> x",
    "- x",
    "1. x",
    "- [ ] x",
    "```\nx",
    "`<b>`",
    "``` `x",
    "**x** _y_ ~~z~~",
    "__x_ y_",
    "a\\",
    "\\<b>",
    "&lt;b&gt; &#60;b&#62;",
    "$\\href{javascript:x}{y}$",
    "<!-- x",
    "    code",
    "\u202eevil\x1b[31m",
)
PAGE = {"h1", "h2", "h3", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "strong"}
"""Tags of Stemma's own text; `a`, `img` and all others would be a payload's."""
BARE = re.compile(r"(?<![\\`])@|(?<!\\)://|www(?<!\\)\.")
"""What GitHub makes a link of where it stands bare in a text (cmark-gfm does; this renderer not)."""


def rendered(text: str) -> tuple[set[str], str]:
    """The tags that a renderer makes of it, and the text that a reader sees, without blanks."""
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    seen = html.unescape(re.sub(r"<[^>]*>", "", made))
    return set(re.findall(r"<([a-zA-Z0-9]+)", made)), "".join(seen.split())


def frames(text: str) -> dict[str, str]:
    """The text in every place that a page has for one."""
    return {
        "a line": escaped(text),
        "within a line": f"x {escaped(text)} y",
        "a heading": f"# {escaped(text)}\n",
        "an item": f"- {escaped(text)}\n- b",
        "a table": "\n".join(table(("a", text), ((text, "b"), ("a", text)))),
    }


def assert_is_text(payload: str) -> None:
    wanted = "".join(one_line(payload).split())
    for place, source in frames(payload).items():
        tags, seen = rendered(source)
        assert tags <= PAGE - {"strong", "h2", "h3"} | {"code"}, (place, payload)
        assert wanted in seen, (place, payload)
        assert not BARE.search(source), (place, payload)
        if place == "a table":
            assert seen.count(wanted) >= 3


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_shown_as_it_stands(payload: str) -> None:
    assert_is_text(payload)


def test_mixed_at_random() -> None:
    parts = [*"\\`*_~$|<>&;#[](){}!+-=.:/@\"'^%0123 \n\tab", *PAYLOADS]
    drawn = random.Random(7)
    for _ in range(150):
        assert_is_text("".join(drawn.choice(parts) for _ in range(drawn.randint(1, 9))))


@pytest.mark.parametrize(
    "text", ["gguf-Q4_K_M", "−0.42 [−0.5 to 0.31]", "[0.66–0.76] n = 240", "a & b", "C-3; 5,321"]
)
def test_plain_texts_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


HOSTILE = " ".join(one_line(payload) for payload in PAYLOADS)


def report_page(root: Path) -> str:
    work = make_work(root, make_recipe(overrides=[HOSTILE]))
    for stage in work.run.root.iterdir():
        if not (stage / MANIFEST).is_file():
            continue
        manifest = work.run.manifest(stage.name)
        value = manifest.model_dump(mode="json")
        value |= {
            "hardware": {HOSTILE: HOSTILE, "processor": HOSTILE, "cores": 2},
            "reused_from": HOSTILE,
            "versions": {HOSTILE: HOSTILE},
        }
        if stage.name == "export":
            value["facts"]["gates"][0]["name"] = HOSTILE
        if stage.name == "data":
            counts = next(iter(value["counts"]["sources"].values()))
            counts["dropped"] = {HOSTILE: 1}
            value["counts"]["sources"][HOSTILE] = counts
        write_manifest(work.run, Manifest.model_validate(value))
    run(work)
    return (work.folder / "report.md").read_text(encoding="utf-8")


def comparison(root: Path) -> str:
    one = make_work(root)
    changed = make_recipe(name="toy.2")
    other = make_work(root, changed)
    return (
        compare((one.recipe, one.run), (other.recipe, other.run))
        .with_name("compare.md")
        .read_text(encoding="utf-8")
    )


def hub_card(root: Path) -> str:
    hostile = score("gguf-Q4_K_M", HOSTILE, HOSTILE, 0.5, 3)
    evidence = gather(make_work(root, scores=[*make_scores(), hostile]))
    return card_files(evidence)["hub/gguf-Q4_K_M/README.md"].split("---\n", 2)[2]


def data_set_card(root: Path) -> str:
    del root
    data = {
        "generator": {"model": HOSTILE},
        "dpo": {"sources": [{"source": "preference_jsonl", "path": HOSTILE, "licence": HOSTILE}]},
    }
    recipe = make_data_recipe(data)
    name = sources_of(recipe.data)[0].name
    counts = {"read": 2, "kept": 1, "dropped": {HOSTILE: 1}, "repaired": 0}
    facts: dict[str, Any] = {
        "language": "en",
        "licences": {HOSTILE: 1},
        "generator": {HOSTILE: 1},
        "balance": {HOSTILE: {HOSTILE: 1}},
        "decontamination": {"mode": "fail", "questions": {HOSTILE: 1}, "rows": 0},
        "unfilled": [{"of": HOSTILE, "part": HOSTILE, "asked": 2, "kept": 1}],
    }
    sets = {"dpo": {"train": 1, "validation": 0, "test": 0}}
    text = data_card(
        recipe, sources_of(recipe.data), {"sources": {name: counts}, "sets": sets}, facts
    )
    return text.split("---\n", 2)[2]


def model_card(root: Path) -> str:
    del root
    origin = {
        "file": HOSTILE,
        "bytes": 1,
        "sha256": "0" * 64,
        "licence": f"x\n---\n{HOSTILE}",
        "header": {"general.name": HOSTILE, f"general.{HOSTILE}": HOSTILE},
        "stored_as": {"F16": 1},
        "weights": 1,
        "dtype": "float32",
        "date": "2026-01-01",
        "stemma": "0",
        "llama-cpp-python": "0",
        "left_out": HOSTILE,
    }
    text = imported_card(origin, [])
    assert "\n---\n" not in text.split("---\n", 2)[1]
    return text.split("---\n", 2)[2]


def sweep_page(root: Path) -> str:
    failed = Trial("t", {"learning_rate": HOSTILE}, failed=HOSTILE)
    write_sweep(Results("sft", HOSTILE, "min", [failed]), root)
    return (root / "sweep.md").read_text(encoding="utf-8")


OUTPUTS: dict[str, Callable[[Path], str]] = {
    "report.md": report_page,
    "compare.md": comparison,
    "a variant's model card": hub_card,
    "the data set card": data_set_card,
    "an imported model's card": model_card,
    "sweep.md": sweep_page,
}
OWN_LINK = '<a href="#where-it-comes-from">'


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_output_makes_more_of_a_text(name: str, tmp_path: Path) -> None:
    text = OUTPUTS[name](tmp_path)
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    page = parser.render(text).replace(OWN_LINK, "<p>")
    assert set(re.findall(r"<([a-zA-Z0-9]+)", page)) <= PAGE | {"code", "pre"}
    assert "javascript:" not in "".join(re.findall(r"<[^>]*>", page))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    if name != "compare.md":
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
