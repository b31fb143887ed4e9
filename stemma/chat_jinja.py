"""Jinja for chat templates as transformers has it, without transformers.

A model's readers render its template by transformers 5.20 (`utils/chat_template_utils.py`), and
training must have seen the same text.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, NoReturn

from jinja2 import TemplateError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser

from stemma.metered_jinja import MeteredEnvironment, TemplateFault

LONGEST_DATE = 50
"""Characters of a date's pattern."""

GIVEN = {"messages", "bos_token", "eos_token", "add_generation_prompt", "tools", "documents"}
"""Variables that every reader fills in."""
UNEQUAL = {
    *("unk_token", "pad_token", "sep_token", "cls_token", "mask_token"),
    *("additional_special_tokens", "image_token"),
}
"""Variables that transformers fills in and others do not.

llama.cpp knows the first and the last token.
"""


class DatedTemplate(TemplateFault):
    """A template that writes today's date: the text that trained is not the one that is served."""

    expected = "the same text every day"
    hint = (
        "fix the date in its first line, e.g. {% set date_string = '26 Jul 2024' %}, or take "
        "strftime_now out"
    )


class _Dated(Exception):
    pass


class GenerationBlock(Extension):
    """The tag `{% generation %}…{% endgeneration %}`, which marks the assistant's own text.

    The text is the same without.
    """

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Between the marks variables are a scope of their own, as in transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return [nodes.Scope(body, lineno=line)]


class ChatEnvironment(MeteredEnvironment):
    """transformers' whitespace, tags, filter and functions."""

    faults: ClassVar = MeteredEnvironment.faults | {_Dated: DatedTemplate}


def environment(dated: bool = False) -> ChatEnvironment:
    """A sandbox for a chat template; `dated` lets it write the date of the day."""
    made = ChatEnvironment([GenerationBlock, loopcontrols])
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = _today if dated else _strftime_now
    return made


def unequal_names(text: str) -> list[str]:
    """Variables of a template that not every reader fills in alike."""
    return sorted(meta.find_undeclared_variables(environment().parse(text)) & UNEQUAL)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> NoReturn:
    found = f"it writes today's date (strftime_now({str(pattern)[:20]!r}))"
    raise _Dated(f"{found}: what trains is then not what is served")


def _today(pattern: str) -> str:
    if len(pattern) > LONGEST_DATE:
        raise ValueError("a date needs no pattern as long as this")
    return datetime.now().astimezone().strftime(pattern)
