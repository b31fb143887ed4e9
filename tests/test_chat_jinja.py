"""Templates are rendered as transformers renders them, or refused with the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemma import ROOT
from stemma.chat_jinja import DatedTemplate, unequal_names
from stemma.errors import UserError
from stemma.metered_jinja import TemplateFault
from stemma.recipe.load import load
from stemma.rows import Message
from stemma.templates import Template

Write = Callable[..., Path]
TALK = [("user", '1 < 2 & "so"?'), ("assistant", "é\n"), ("user", "Why?"), ("assistant", "B")]
TURN = "{{ m.role + ': ' + m['content'] }}{{ eos_token }}\n"
DATED = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- for m in messages %}{{ m.role + m.content + eos_token }}{% endfor %}
"""
"""How the official template of Llama 3.2 comes to its date."""
ALIKE = {
    **{path.stem: path.read_text() for path in (ROOT / "recipes" / "templates").glob("*.jinja")},
    "generation": "{% for m in messages %}{% if m.role == 'assistant' %}\n  {% generation %}\n"
    + TURN
    + "{% endgeneration %}\n{% else %}"
    + TURN
    + "{% endif %}{% endfor %}",
    "a variable set between the marks": "{% set n = 1 %}{% generation %}{% set n = 2 %}{{ n }}"
    "{% endgeneration %}{{ n }}",
    "break": "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}"
    + TURN
    + "{% endfor %}",
    "continue": "{% for m in messages %}{% if m.role == 'user' %}{% continue %}{% endif %}"
    + TURN
    + "{% endfor %}",
    "tojson": (
        "{{ messages | tojson }}{{ messages | tojson(indent=2) }}"
        "{{ messages[0] | tojson(ensure_ascii=true) }}"
    ),
    "tools": "{% if tools is not none %}tools!{% endif %}{% if not documents %}none{% endif %}",
    "undefined": (
        "nothing: {{ builtin_tools }}{% if x is defined %}think{% endif %}"
        "{{ messages[0].tool_calls }}"
    ),
    "whitespace": "  {% if true %}\n    a\n  {% endif %}\n\n{{ add_generation_prompt }}  \n",
    "a fixed date": "{% set date_string = '26 Jul 2024' %}" + DATED,
    "a date that none asks for": (
        "{% if messages[0].role == 'tool' %}{{ strftime_now('%Y') }}{% endif %}text"
    ),
}


def by_transformers(text: str, messages: list[dict[str, str]], ask: bool) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    tokens: dict[str, Any] = {"bos_token": "<bos>", "eos_token": "<eos>"}
    rendered, _ = render_jinja_template(
        [messages], chat_template=text, add_generation_prompt=ask, **tokens
    )
    return str(rendered[0])


@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("name", ALIKE)
def test_rendered_as_transformers_does(name: str, ask: bool) -> None:
    messages = [Message.model_validate({"role": role, "content": text}) for role, text in TALK]
    expected = by_transformers(ALIKE[name], [message.model_dump() for message in messages], ask)
    assert Template(ALIKE[name]).render(messages, ask) == expected
    assert len(expected) > 1


def test_what_a_template_refuses_it_refuses_in_its_own_words() -> None:
    with pytest.raises(TemplateFault) as told:
        Template("{{ raise_exception('System role not supported') }}").render([])
    assert told.value.reason == "System role not supported"
    assert str(told.value).startswith("the chat template:1: System role not supported\n")


def told(write_recipe: Write, text: str) -> list[str]:
    recipe = write_recipe()
    (recipe.parent / "templates" / "qa.jinja").write_text(text)
    try:
        load("small")
    except UserError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_date_of_the_day_is_refused_unless_it_is_fixed(write_recipe: Write) -> None:
    with pytest.raises(DatedTemplate):
        Template(DATED).render([])
    [problem] = told(write_recipe, DATED)
    assert (
        "qa.jinja: it writes today's date (strftime_now('%d %b %Y')): what trains is then not"
        in problem
    )
    assert (
        "hint: fix the date in its first line, e.g. {% set date_string = '26 Jul 2024' %}"
        in problem
    )
    assert told(write_recipe, ALIKE["a fixed date"]) == []


def test_a_date_that_only_a_system_turn_brings(write_recipe: Write) -> None:
    turns = "{% for m in messages %}{{ m.role + m.content + eos_token }}{% endfor %}"
    text = "{% if messages[0].role == 'system' %}{{ strftime_now('%Y') }}{% endif %}" + turns
    assert "today's date (strftime_now('%Y'))" in told(write_recipe, text)[0]
    only_user = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + turns
    )
    assert told(write_recipe, only_user) == []


def test_tokens_that_only_transformers_fills_in_are_refused(write_recipe: Write) -> None:
    text = "{% for m in messages %}{{ pad_token + m.content + eos_token }}{% endfor %}"
    assert unequal_names(text) == ["pad_token"]
    assert unequal_names("{% set pad_token = 'x' %}{{ pad_token }}") == []
    said = told(write_recipe, text.replace("pad_token +", "pad_token ~"))
    assert "writes `pad_token`, which transformers fills in and llama.cpp does not" in said[0]
