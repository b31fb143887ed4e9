"""Templates of strangers render within their limits, or fail with one error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma import jinja_meter
from stemma.chat_jinja import environment
from stemma.errors import UserError
from stemma.metered_jinja import (
    LONGEST,
    MeteredEnvironment,
    MeteredTemplate,
    RunawayTemplate,
    TemplateFault,
)
from stemma.recipe.load import load
from stemma.templates import Template

TALK = [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "Hello"}]
MANY = "{% for i in range(99999) %}"
SET = "{% set ns = namespace(s='x', x=[1], y=[1]) %}"
NEST = SET + "{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}"
NEST += "{% endfor %}"
DEEP = SET + "{% for i in range(3000) %}{% set ns.x = (ns.x,) %}{% endfor %}"
GROWN = (
    "{% set ns = namespace(d={}) %}{% for i in range(1000) %}"
    "{% set ns.d = dict(ns.d, **{i|string: i}) %}{% endfor %}{% for i in range(9000) %}"
)
STEPS = {
    "copies of a dict": f"{GROWN}{{% set x = dict(ns.d) %}}{{% endfor %}}",
    "copies of a dict as a namespace": f"{GROWN}{{% set x = namespace(ns.d) %}}{{% endfor %}}",
    "many things given": ("{% for i in range(40) %}{{ loop.cycle(*range(100000)) }}{% endfor %}"),
    "many words": "{{ ('a ' * 3000000)|title|length }}",
    "loops in loops": MANY + MANY + "x{% endfor %}{% endfor %}",
    "empty loops": MANY + MANY + "{% endfor %}{% endfor %}",
    "a condition that never holds": MANY + "{% for j in range(99999) if false %}{% endfor %}"
    "{% endfor %}",
    "a long body": MANY + "{% if i %}a{% endif %}" * 500 + "{% endfor %}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}"
    "{% endif %}{% endmacro %}{{ m(60) }}",
    "a macro with many defaults": "{% macro m("
    + ",".join(f"a{i}=messages[0].content" for i in range(500))
    + ") %}{% endmacro %}"
    + MANY
    + "{{ m() }}{% endfor %}",
    "arguments": "{% macro m() %}{{ varargs|length }}{% endmacro %}"
    + MANY
    + "{{ m(*range(9999)) }}{% endfor %}",
    "a loop that calls itself": "{% for x in range(99) recursive %}"
    "{{ loop(range(99)) if loop.depth0 < 8 }}{% endfor %}",
    "calls in calls": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 18
    + "x"
    + "{% endcall %}" * 18,
    "a doubled list printed": NEST + "{{ ns.x }}",
    "a doubled list as JSON": NEST + "{{ ns.x|tojson }}",
    "doubled lists compared": NEST + "{{ ns.x == ns.y }}",
    "a doubled list looked for": NEST + "{{ ns.x in [ns.y] }}",
    "a doubled list formatted": NEST + "{{ '{}'.format(ns.x) }}",
    "a doubled list's repr": NEST + "{{ '{!r}'.format(ns.x) }}",
    "a doubled list by percent": NEST + "{{ '%s' % [ns.x] }}",
    "a doubled list joined": NEST + "{{ ns.x|join }}",
    "doubled namespaces": SET
    + "{% for i in range(60) %}{% set ns.x = namespace(a=ns.x, b=ns.x) %}{% endfor %}{{ ns.x }}",
    "a namespace in itself": SET + "{% set ns.x = [ns, ns] %}{{ ns }}",
    "sort": "{{ range(99999)|sort|length }}",
    "sort by attribute": "{{ (messages * 9999)|sort(attribute='content')|length }}",
    "sort by many attributes": "{{ (messages * 99)|sort(attribute='"
    + "content," * 500
    + "role')|length }}",
    "sort by a path": "{{ (messages * 99)|sort(attribute='" + "a." * 500 + "b')|length }}",
    "sort without case": "{{ (['X' * 9999] * 999)|sort|length }}",
    "sort alike": "{{ (['" + "X" * 5000 + "a', '" + "X" * 5000 + "b'] * 99)|sort|length }}" * 9,
    "groups": "{{ (messages * 9999)|groupby('content')|length }}",
    "largest": "{{ (messages * 9999)|max(attribute='content') }}",
    "unique": "{{ (messages * 9999)|unique(attribute='content')|list|length }}",
    "map": "{{ (messages * 9999)|map(attribute='content')|map('upper')|list|length }}",
    "sums of lists": "{{ ([[1] * 99] * 999)|sum(start=[])|length }}",
    "slices": "{{ [1]|slice(10**9)|list }}",
    "batches": "{{ [1]|batch(10**9, 0)|list }}",
    "lists doubled": SET + MANY + "{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "cut again and again": "{% set a = 'a' * 999999 %}" + MANY + "{% set b = a[1:] %}{% endfor %}",
    "lists cut": "{% set a = [1] * 9999 %}" + MANY + "{% set b = a[1:] %}{% endfor %}",
    "compared again and again": "{% set a = 'a' * 9999 %}{% set b = 'a' * 9999 %}"
    + MANY
    + "{{ a == b }}{% endfor %}",
    "looked for backwards": "{% set a = 'a' * 99999 %}{% set b = 'b' ~ 'a' * 50000 %}"
    "{{ a.rfind(b) }}",
    "looked for": "{% set a = 'a' * 29999 %}{% set b = 'a' * 49 ~ 'b' ~ 'a' * 49 %}"
    + MANY
    + "{{ b in a }}{% endfor %}",
    "tags": "{{ ('<!---->' * 9999)|striptags }}",
    "words": "{{ ('a ' * 999999).split()|length }}",
    "signs": "{{ ('a' * 999999)|list|length }}",
    "titles": "{{ ('a b ' * 999999)|title }}",
    "filters in a chain": "{{ range(9999)|" + "map('string')|" * 40 + "list|length }}",
    "looked for in a loop": MANY + "{{ 'a' in range(9999) }}{% endfor %}",
}
CHARACTERS = {
    "a text times a number": "{{ 'x' * 10**9 }}",
    "a list times a number": "{{ ([0] * 10**9)|length }}",
    "doubled by ~": SET + MANY + "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "doubled by +": SET + MANY + "{% set ns.s = ns.s + ns.s %}{% endfor %}",
    "doubled by a block": SET
    + MANY
    + "{% set t %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = t %}{% endfor %}",
    "a width": "{{ '%90000000d' % 1 }}",
    "a width from outside": "{{ '%*d' % (10**9, 1) }}",
    "a precision": "{{ '%.90000000f' % 1.0 }}",
    "a width behind a key": "{{ '%(a b)90000000d' % {'a b': 1} }}",
    "named often": "{{ ('%(a)s' * 999) % {'a': 'x' * 99999} }}",
    "format's width": "{{ '{:90000000}'.format(1) }}",
    "format's width from outside": "{{ '{:{}}'.format('a', 90000000) }}",
    "format_map's width": "{{ '{a:>90000000}'.format_map({'a': 1}) }}",
    "the filter format": "{{ '%90000000d'|format(1) }}",
    "center": "{{ 'x'|center(10**9) }}",
    "center's method": "{{ 'x'.center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "expandtabs": "{{ '\t'.expandtabs(tabsize=10**9) }}",
    "replace": "{{ ('x' * 9999)|replace('x', 'y' * 99999) }}",
    "replace nothing": "{{ ('x' * 9999).replace('', 'y' * 99999) }}",
    "join": "{{ ('x' * 9999)|join('y' * 99999) }}",
    "join's method": "{{ ('y' * 99999).join('x' * 9999) }}",
    "indent": "{{ 'x'|indent(10**9, true) }}",
    "indent lines": "{{ ('\n' * 9999)|indent('x' * 99999, blank=true) }}",
    "JSON between": "{{ range(999)|list|tojson(separators=('x' * 99999, 'y')) }}",
    "many variables": "".join(f"{{% set a{i} = 'x' * 9000000 %}}" for i in range(9)),
}
OTHERS = {
    "{{ 2**10**9 }}": "it computes a number beyond 2**60",
    "{{ 10.0**400 }}": "(34, 'Numerical result out of range')",
    "{{ 1 / 0 }}": "division by zero",
    "{{ lipsum(n=100000) }}": "'lipsum' is undefined",
    "{{ range(10**10) }}": "Range too big. The sandbox blocks ranges larger than MAX_RANGE",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "it calls itself, or is nested, too deep",
    "{% block a %}{{ self.a() }}{% endblock %}": "it calls itself, or is nested, too deep",
    "{{ " + "[" * 10_000 + "]" * 10_000 + " }}": "it calls itself, or is nested, too deep",
    "{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}": "it calls itself, or is nested, too deep",
    "{{ 1" + "+1" * 5_000 + " }}": "it calls itself, or is nested, too deep",
    "{% for i in [1] %}" * 25 + "{% endfor %}" * 25: "too many statically nested blocks",
    "{{ a }}" * 9_000: "it has more than 20,000 tokens",
    "{{ " + "9" * 30 + " }}": "it holds a number beyond 2**60",
    "{{ " + "9" * 9_000 + " }}": "Exceeds the limit",
    "x" * (LONGEST + 1): "it has 1,000,001 characters, more than 1,000,000",
    "{{ tojson }": "unexpected '}'",
    "{% include 'x' %}": "`include` is not allowed in a template",
    "{% import 'x' as y %}": "`import` is not allowed in a template",
    "{% extends 'x' %}": "`extends` is not allowed in a template",
    "{% autoescape true %}{% endautoescape %}": "`autoescape` is not allowed in a template",
    "{{ ''.__class__.__mro__ }}": "access to attribute '__class__' of 'str' object is unsafe.",
    "{{ messages.append(1) }}": "access to attribute 'append' of 'list' object is unsafe.",
    "{{ 'x'.encode() }}": "`encode` of str is not allowed in a template",
    "{{ (1).to_bytes(9, 'big') }}": "`to_bytes` of int is not allowed in a template",
    "{{ messages() }}": "list cannot be called in a template",
    "{{ a.b.c }}": "'a' is undefined",
    "{{ '%1000000000d' is odd }}": "str is no number",
    "{{ '%1000000000d' is divisibleby(5) }}": "str is no number",
    "{{ '%1000000000d' % 1 }}": "it asks for a width of 10 digits",
    "{{ 2.5|round(10**9) }}": "it rounds to 1000000000 digits",
    "{{ 5|round(-10**9) }}": "it rounds to -1000000000 digits",
    "{{ ('9' * 9999)|int }}": "it reads a number of 9,999 characters",
    "{{ messages|tojson(indent=10**9) }}": "it indents by 1,000,000,000 characters",
    DEEP + "{{ ns.x }}": "it puts lists into lists, more than 200 deep",
    DEEP + "{{ {ns.x: 1} }}": "tuple is no key in a template",
    DEEP + "{{ {}[ns.x] }}": "tuple is no key in a template",
    DEEP + "{{ {}.get(ns.x) }}": "tuple is no key in a template",
    DEEP + "{{ dict([(ns.x, 1)]) }}": "tuple is no key in a template",
    DEEP + "{{ [ns.x]|unique|list }}": "it puts lists into lists, more than 200 deep",
    NEST + "{{ raise_exception(ns.x) }}": "TemplateError",
}


def rendered(text: str) -> str:
    template = MeteredTemplate(environment(), text, "qa.jinja")
    return template.render(messages=TALK, bos_token="<bos>", eos_token="<eos>", tools=None)


def reason(text: str) -> str:
    with pytest.raises(TemplateFault) as told:
        rendered(text)
    assert str(told.value).startswith("qa.jinja")
    assert "  expected: " in str(told.value)
    assert "  hint: " in str(told.value)
    return told.value.reason


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja_meter, "STEPS", 20_000)
    assert reason(STEPS[name]) == "it takes more than 20,000 steps"


@pytest.mark.parametrize("name", CHARACTERS)
def test_characters_are_counted(name: str) -> None:
    assert reason(CHARACTERS[name]) == "it makes more than 64,000,000 characters"


@pytest.mark.parametrize("text", OTHERS, ids=[text[:40] for text in OTHERS])
def test_whatever_fails_is_the_templates_fault(text: str) -> None:
    assert reason(text).startswith(OTHERS[text])


def test_the_error_says_where_and_how_much() -> None:
    with pytest.raises(RunawayTemplate) as told:
        rendered("a\n{% if true %}\n  {{ 'x' * 10**9 }}\n{% endif %}")
    assert str(told.value) == (
        "qa.jinja:3: it makes more than 64,000,000 characters\n"
        "  expected: a text in at most 1,000,000 steps and 64,000,000 characters\n"
        "  hint: look for loops in loops, and for texts or lists that double"
    )
    assert isinstance(told.value, UserError)


def test_nothing_is_computed_while_a_template_is_compiled() -> None:
    text = "{% if false %}{{ 'x' * 10**9 }}{{ 2**10**9 }}{{ 'x'|center(10**9) }}{% endif %}ok"
    assert rendered(text) == "ok"


def test_each_rendering_has_the_whole_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jinja_meter, "STEPS", 1_000)
    template = MeteredTemplate(environment(), "{% for i in range(900) %}{% endfor %}.", "t")
    assert [template.render() for _ in range(13)] == ["."] * 13


@pytest.mark.parametrize("name", ["pprint", "random", "urlize", "wordwrap", "xmlattr"])
def test_filters_that_no_template_needs_are_left_out(name: str) -> None:
    assert reason("{{ messages|" + name + " }}") == f"No filter named '{name}'."


ALIKE = (
    "{{ messages[::-1] }}{{ 'abc'[1:] }}{{ (1, 2)[:1] }}{{ [1, 2] + [3] }}{{ 3 * [0] }}",
    "{{ 7 // 2 }}{{ 7 / 2 }}{{ 2**10 }}{{ -7 % 3 }}{{ 2.5 * 2 }}{{ (-8)**0.5 }}{{ 2**-1 }}",
    "{{ 1 < 2 < 3 }}{{ 'a' in 'abc' }}{{ 1 not in [2] }}{{ 'role' in messages[0] }}{{ 1 != 2 }}",
    "{{ '%s is %05.1f' % ('a', 2) }}{{ '%(a)s' % {'a': [1]} }}{{ '%s'|format('x') }}",
    "{{ '{} {0!r:>9} {a[b]}'.format('x', a={'b': 1}) if false else '{:>4}'.format(1) }}",
    "{{ '{a}'.format_map({'a': 1}) }}{{ 'a' ~ 1 ~ none ~ [1] ~ messages }}",
    "{{ messages|map(attribute='role')|join(', ') }}{{ messages|map('length')|list }}",
    "{{ messages|selectattr('role', '==', 'user')|map(attribute='content')|first }}",
    "{{ messages|groupby('role')|map('first')|list }}{{ messages|sort(attribute='role') }}",
    "{{ ['b', 'A', 'a']|sort }}{{ ['b', 'A', 'a']|unique|list }}{{ {'b': 1, 'a': 2}|dictsort }}",
    "{{ [1, 2, 3]|sum }}{{ [[1], [2]]|sum(start=[]) }}{{ [3, 1]|min }}{{ [3, 1]|max }}",
    "{{ range(7)|batch(3, 0)|list }}{{ range(7)|slice(3)|list }}{{ range(3)|reverse|list }}",
    "{{ 'a b'|title }}{{ 'a'|upper }}{{ ' a '|trim }}{{ 'aab'|replace('a', 'b', 1) }}",
    "{{ 'a\nb'|indent }}{{ 'abcdef'|truncate(5) }}{{ 'a b'|wordcount }}{{ 'x'|center(5) }}",
    "{{ '<a> b'|striptags }}{{ '<'|e }}{{ 'é /'|urlencode }}{{ '7'|int + '1.5'|float }}",
    "{{ 2.567|round(1) }}{{ 2.1|round(0, 'ceil') }}{{ -3|abs }}{{ 1500|filesizeformat }}",
    "{{ 'a,b'.split(',') }}{{ 'a b'.rsplit(maxsplit=1) }}{{ ''.join(['a', 'b']) }}",
    "{{ 'x'.zfill(3) }}{{ 'a\tb'.expandtabs(2) }}{{ 'aXb'.partition('X') }}{{ 'ab'.find('b') }}",
    "{{ messages[0].items()|list }}{{ messages[0].get('x', 'none') }}{{ [1, 2].index(2) }}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.last }}{{ loop.length }}"
    "{% else %}none{% endfor %}",
    "{% for m in messages recursive %}{{ loop([]) }}{{ m.role }}{% endfor %}",
    "{% for m in messages|map(attribute='role') %}{{ loop.length }}{{ loop.nextitem }}{% endfor %}",
    "{% macro m(a, b=2) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, c=4) }}",
    "{% macro m() %}[{{ caller(1) }}]{% endmacro %}{% call(x) m() %}{{ x }}{% endcall %}",
    "{% filter upper %}a{{ 1 }}{% endfilter %}{% set x %}b{% endset %}{{ x }}{{ loop }}",
    "{% set ns = namespace(a=1) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}"
    "{{ ns.a }}{{ ns }}",
    "{% with a = 1 %}{{ a }}{% endwith %}{% block b %}{{ messages[0].role }}{% endblock %}",
    "{{ 'x'|safe + '<' }}{{ ('<'|safe).join(['>']) }}{{ dict(a=1)|items|list }}{{ dict([('a', 1)]) }}",
    "{{ x is defined }}{{ 2 is odd }}{{ 4 is divisibleby 2 }}{{ 'a' is in 'abc' }}{{ 1 is eq 1 }}",
    "{{ messages is iterable }}{{ messages[0] is mapping }}{{ 'A' is upper }}{{ x|default('d') }}",
)


@pytest.mark.parametrize("text", ALIKE)
def test_what_is_within_the_limits_is_rendered_as_by_a_plain_sandbox(text: str) -> None:
    plain = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(text)
    ours = MeteredTemplate(MeteredEnvironment(), text, "t").render(messages=TALK)
    assert ours == plain.render(messages=TALK)


def test_long_texts_render() -> None:
    """A row of 10 MB, by a template that puts it together in four steps."""
    text = "{{ '<s>' + messages[0].content.strip() + '</s>' + '\n' }}"
    made = MeteredTemplate(environment(), text, "t").render(
        messages=[{"role": "user", "content": "x" * 10_000_000}]
    )
    assert len(made) == 10_000_008


def test_a_recipes_template_that_runs_away(write_recipe: Callable[..., Path]) -> None:
    recipe = write_recipe()
    (recipe.parent / "templates" / "qa.jinja").write_text("{{ messages[0].content * 10**9 }}")
    with pytest.raises(UserError) as told:
        load("small")
    [problem] = told.value.problems
    assert problem.found.endswith(
        "qa.jinja:1 does not render: it makes more than 64,000,000 characters"
    )
    assert problem.expected == "a text in at most 1,000,000 steps and 64,000,000 characters"


def test_a_template_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_bytes(b"\xff\xfe{{")
    with pytest.raises(TemplateFault, match=r"t.jinja: 'utf-8' codec can't decode byte 0xff"):
        Template.read(tmp_path / "t.jinja")
