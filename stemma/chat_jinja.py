"""Jinja for chat templates as transformers has it, without transformers.

A model's readers render its template by transformers 5.20 (`utils/chat_template_utils.py`), and
training must have seen the same text.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from jinja2 import Environment, TemplateError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

GIVEN = {"messages", "bos_token", "eos_token", "add_generation_prompt", "tools", "documents"}
"""Variables that every reader fills in."""
UNEQUAL = {
    *("unk_token", "pad_token", "sep_token", "cls_token", "mask_token"),
    *("additional_special_tokens", "image_token"),
}
"""Variables that transformers fills in and others do not.

llama.cpp knows the first and the last token.
"""


class DatedTemplate(TemplateError):
    """A template that writes today's date: the text that trained is not the one that is served."""


class GenerationBlock(Extension):
    """The tag `{% generation %}…{% endgeneration %}`, which marks the assistant's own text.

    The text is the same without.
    """

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Between the marks variables are a scope of their own, as in transformers."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return [nodes.CallBlock(self.call_method("_as_it_is"), [], [], body).set_lineno(line)]

    def _as_it_is(self, caller: Any) -> str:
        return str(caller())


def environment() -> Environment:
    """The sandbox with transformers' whitespace, tags, filter and functions."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationBlock, loopcontrols]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {"raise_exception": _raise_exception, "strftime_now": _strftime_now}
    return made


def unequal_names(text: str) -> list[str]:
    """Variables of a template that not every reader fills in alike."""
    return sorted(meta.find_undeclared_variables(environment().parse(text)) & UNEQUAL)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own escapes HTML."""
    given: dict[str, Any] = {"indent": indent, "separators": separators, "sort_keys": sort_keys}
    return json.dumps(value, ensure_ascii=ensure_ascii, **given)


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(pattern: str) -> NoReturn:
    found = f"it writes today's date (strftime_now({pattern!r}))"
    raise DatedTemplate(f"{found}: what trains is then not what is served")
