"""docs/shipped-file.md: its Modelfiles write what the templates write, and its Python works.

Ollama fills a Modelfile's TEMPLATE in with Go's text/template. `filled` knows the few forms that
the page uses; anything else is an error. All five were also filled in by Go itself, once.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest

from stemma import ROOT
from stemma.rows import Message
from stemma.templates import Template

PAGE = (ROOT / "docs" / "shipped-file.md").read_text(encoding="utf-8")
BLOCK = re.compile(r'^\*\*`templates/(\w+)\.jinja`\*\*.*?TEMPLATE """(.*?)"""', re.M | re.S)
MODELFILES = dict(BLOCK.findall(PAGE))
TOKENS = {
    "qa": ("<bos>", "<eos>"),
    "gemma": ("<bos>", "<eos>"),
    "llama3": ("<|begin_of_text|>", ""),
}
CONVERSATIONS = [
    [("user", "What is 2 + 2?")],
    [("system", "Be brief."), ("user", "What is inertia?")],
    [("user", "Why?"), ("assistant", "Because."), ("user", "And then?")],
    [("system", "Be brief."), ("user", "Why?"), ("assistant", "So."), ("user", "And then?")],
]


def filled(template: str, turns: list[tuple[str, str]]) -> str:
    """What Go's text/template makes of a conversation, as Ollama hands it over."""
    system = "\n\n".join(text for role, text in turns if role == "system")
    messages = [{"Role": role, "Content": text} for role, text in turns]
    parts = iter(re.split(r"\{\{ (.*?) \}\}", template))
    tree, _ = _parsed(parts)
    return _written(tree, {"System": system, "Messages": messages}, {}, 0)


def _parsed(parts: Iterator[str]) -> tuple[list[Any], str]:
    """Texts and actions up to the end of this block; and what ended it."""
    nodes: list[Any] = [next(parts)]
    for action in parts:
        if action == "end" or action.startswith("else"):
            return nodes, action
        if action.startswith(("if ", "range ")):
            nodes.append(_block(action, parts))
        else:
            nodes.append(("value", action))
        nodes.append(next(parts))
    return nodes, ""


def _block(action: str, parts: Iterator[str]) -> tuple[str, list[tuple[str, list[Any]]]]:
    branches = []
    while True:
        body, ended = _parsed(parts)
        branches.append((action, body))
        if ended == "end":
            return "block", branches
        action = ended.removeprefix("else ")


def _written(nodes: list[Any], top: dict[str, Any], turn: dict[str, str], index: int) -> str:
    text = ""
    for node in nodes:
        if isinstance(node, str):
            text += node
        elif node[0] == "value":
            text += {"$.System": top["System"], **{f".{key}": turn[key] for key in turn}}[node[1]]
        elif node[1][0][0].startswith("range "):
            assert node[1][0][0] in ("range .Messages", "range $i, $turn := .Messages")
            for number, message in enumerate(top["Messages"]):
                text += _written(node[1][0][1], top, message, number)
        else:
            chosen = next((body for test, body in node[1] if _holds(test, top, turn, index)), [])
            text += _written(chosen, top, turn, index)
    return text


def _holds(test: str, top: dict[str, Any], turn: dict[str, str], index: int) -> bool:
    if found := re.fullmatch(r'if eq \.Role "(\w+)"', test):
        return turn["Role"] == found[1]
    known = {
        "if and $.System (eq $i 1)": bool(top["System"]) and index == 1,
        "if not .System": not top["System"],
    }
    return known[test]


def test_every_template_has_a_modelfile() -> None:
    folder = ROOT / "recipes" / "templates"
    assert sorted(MODELFILES) == sorted(path.stem for path in folder.glob("*.jinja"))


def test_a_modelfile_is_filled_in() -> None:
    said = filled(MODELFILES["qa"], CONVERSATIONS[3])
    assert said == "Question: Be brief.\n\nWhy?\n\nAnswer: So.<eos>Question: And then?\n\nAnswer:"


@pytest.mark.parametrize("name", sorted(MODELFILES))
@pytest.mark.parametrize("turns", CONVERSATIONS)
def test_a_modelfile_writes_what_the_template_writes(
    name: str, turns: list[tuple[str, str]]
) -> None:
    bos, eos = TOKENS.get(name, ("", ""))
    text = (ROOT / "recipes" / "templates" / f"{name}.jinja").read_text(encoding="utf-8")
    messages = [Message(role=role, content=content) for role, content in turns]  # type: ignore[arg-type]
    wanted = Template(text, bos, eos).render(messages, ask=True)
    assert bos + filled(MODELFILES[name], turns) == wanted


def test_the_pages_python_uses_names_that_llama_cpp_python_has() -> None:
    llama = pytest.importorskip("llama_cpp").Llama
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    compile(code, "docs/shipped-file.md", "exec")
    assert {"model_path", "n_ctx", "verbose"} <= set(inspect.signature(llama).parameters)
    asked = inspect.signature(llama.create_chat_completion).parameters
    assert {"messages", "temperature", "max_tokens"} <= set(asked)
