"""A sandbox for Jinja of strangers: what a template may do, and how much of it.

A recipe, a task file or a GGUF file may bring a template of anybody's. Here it renders within a
count of steps and of characters, or fails with one error. Nothing of it runs while it is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, ClassVar

from jinja2 import TemplateSyntaxError, Undefined, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.compiler import operators as SIGNS  # noqa: N812
from jinja2.environment import Template as CompiledTemplate
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace

from stemma import jinja_prices as prices
from stemma.errors import Problem, UserError
from stemma.jinja_filters import FILTERS, TESTS, within
from stemma.jinja_meter import CHARACTERS, MADE_A_STEP, POWER, STEPS, Meter, Runaway, keyed

LONGEST = 1_000_000
"""Characters of a template. The longest of well-known models have 20,000."""
TOKENS = 20_000
"""Of Jinja in a template: names, signs, texts between tags."""
SAID = 300
"""Characters of a template's own words that are told, at most."""
PRICES: dict[type[nodes.Node], int] = {
    nodes.Call: 10,
    nodes.CallBlock: 10,
    nodes.Filter: 5,
    nodes.FilterBlock: 5,
    nodes.Test: 3,
    nodes.Getattr: 3,
    nodes.Getitem: 3,
    nodes.BinExpr: 2,
    nodes.Concat: 2,
    nodes.Compare: 2,
    nodes.For: 4,
    nodes.Output: 2,
    nodes.Macro: 4,
}
"""Steps of a node where it is not one, by how long it takes."""
REFUSED: dict[type[nodes.Node], str] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from … import",
    nodes.Extends: "extends",
    nodes.ScopedEvalContextModifier: "autoescape",
}
CALLABLE = (FunctionType, Macro, BlockReference, LoopContext, Undefined)
"""What a template may call, beside the methods that are listed, `dict` and `namespace`."""


class TemplateFault(UserError):
    """A template that does not compile or render: where, why."""

    expected = "a Jinja template that renders"
    hint = "see recipes/templates and recipes/prompts"

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(Problem(where, reason, self.expected, self.hint))


class RunawayTemplate(TemplateFault):
    """A template that asks for more than a rendering may take."""

    expected = f"a text in at most {STEPS:,} steps and {CHARACTERS:,} characters"
    hint = "look for loops in loops, and for texts or lists that double"


class _CountedTokens(Extension):
    """Tokens are counted as they are read."""

    def filter_stream(self, stream: TokenStream) -> Iterable[Token]:
        for number, token in enumerate(stream):
            if number > TOKENS:
                raise Runaway(f"it has more than {TOKENS:,} tokens")
            yield token


class _MeteredCode(CodeGenerator):
    """Code that pays for each block of statements as it enters it, and computes nothing before it
    runs."""

    _defaults = 0
    """Steps of the parameters of the macro whose body comes next."""

    def macro_body(self, node: Any, frame: Frame) -> Any:
        self._defaults = _straight_price([*node.args, *node.defaults])[0]
        return super().macro_body(node, frame)

    def blockvisit(self, body: Iterable[nodes.Node], frame: Frame) -> None:
        body = list(body)
        steps, characters = _straight_price(body)
        self.writeline(f"environment.meter.block({1 + steps + self._defaults}, {characters})")
        self._defaults = 0
        super().blockvisit(body, frame)

    def visit_For(self, node: nodes.For, frame: Frame) -> None:
        if node.test is not None:
            steps, _ = _straight_price([node.test])
            paid = nodes.EnvironmentAttribute(f"meter.condition({steps + 1})", lineno=node.lineno)
            node.test = nodes.And(paid, node.test, lineno=node.lineno)
        super().visit_For(node, frame)

    def _make_finalize(self) -> Any:
        return self._FinalizeInfo(None, "environment.meter.written(")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:
        if isinstance(node.value, int) and abs(node.value) > 2**POWER:
            self.fail(f"it holds a number beyond 2**{POWER}", node.lineno)
        super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self._call("str_join(environment.meter.joinable((", node.nodes, frame, ",)))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        """A constant is like nothing that would have to be looked through."""
        sign = node.ops[0].op
        operands = [node.expr, *(one.expr for one in node.ops)]
        if sign in ("in", "notin") and len(operands) == 2:
            self._call(f"({'not ' * (sign == 'notin')}environment.within(", operands, frame, "))")
            return
        if any(one.op in ("in", "notin") for one in node.ops):
            self.fail("`in` stands in a chain of comparisons", node.lineno)
        if len(operands) > 2 or not any(isinstance(one, nodes.Const) for one in operands):
            self._call("(environment.meter.looked(", [node.expr], frame, ")")
            for one in node.ops:
                self._call(f" {SIGNS[one.op]} environment.meter.looked(", [one.expr], frame, ")")
            self.write(")")
            return
        super().visit_Compare(node, frame)

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        cut = (node.arg.start, node.arg.stop, node.arg.step)
        ends = [nodes.Const(None) if one is None else one for one in cut]
        self._call("environment.sliced(", [node.node, *ends], frame, ")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:
        self.write("{")
        for item in node.items:
            self._call("environment.keyed(", [item.key], frame, "): ")
            self.visit(item.value, frame)
            self.write(", ")
        self.write("}")

    def _call(self, begin: str, given: Sequence[nodes.Node], frame: Frame, end: str) -> None:
        self.write(begin)
        for place, one in enumerate(given):
            self.write(", " if place else "")
            self.visit(one, frame)
        self.write(end)


def _straight_price(body: Iterable[nodes.Node]) -> tuple[int, int]:
    """Steps and characters of statements, without those in blocks of their own."""
    steps = characters = 0
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        steps += _price(type(node))
        if isinstance(node, nodes.TemplateData):
            characters += len(node.data)
        inside = ("body", "else_", "test") if isinstance(node, nodes.For) else ("body", "else_")
        waiting += node.iter_child_nodes(exclude=inside)
    return steps + characters // MADE_A_STEP, characters


@cache
def _price(kind: type[nodes.Node]) -> int:
    return next((PRICES[one] for one in kind.__mro__ if one in PRICES), 1)


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox in which a stranger's template renders within its limits."""

    code_generator_class = _MeteredCode
    intercepted_binops = frozenset(prices.OPERATORS)
    faults: ClassVar[dict[type[Exception], type[TemplateFault]]] = {Runaway: RunawayTemplate}

    def __init__(self, extensions: Sequence[type[Extension]] = (), **options: Any) -> None:
        layout = {"trim_blocks": True, "lstrip_blocks": True} | options
        super().__init__(extensions=[*extensions, _CountedTokens], **layout)
        self.optimized = False
        self.meter = Meter()
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals = {name: self.globals[name] for name in ("dict", "namespace", "range")}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for node in tree.find_all((*REFUSED, nodes.Block)):
            if type(node) in REFUSED:
                found = f"`{REFUSED[type(node)]}` is not allowed in a template"
                raise TemplateSyntaxError(found, node.lineno)
            if isinstance(node, nodes.Block) and node.scoped:
                raise TemplateSyntaxError("`scoped` blocks are not allowed here", node.lineno)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and type(left) is str and type(right) is str:
            self.meter.text(len(left) + len(right))
            return left + right
        return prices.operate(self.meter, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(obj, keyed(argument))

    def sliced(self, value: Any, *ends: Any) -> Any:
        """`value[start:stop:step]`, paid for."""
        cut = slice(*ends)
        if isinstance(value, str | list | tuple):
            prices.pay(self.meter, value, len(range(*cut.indices(len(value)))))
        return value[cut]

    def within(self, value: Any, inside: Any) -> bool:
        """`value in inside`, paid for."""
        inside = self.meter.settled(inside)
        within(self.meter, value, inside)
        return value in inside

    @staticmethod
    def keyed(value: Any) -> Any:
        """A key of a dict that a template writes."""
        return keyed(value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if not isinstance(value, BuiltinMethodType | MethodType):
            return None
        if value.__name__ not in ("format", "format_map") or not isinstance(value.__self__, str):
            return None
        text, by_mapping = value.__self__, value.__name__ == "format_map"
        if type(text) is not str:
            raise SecurityError("`format` of a text for HTML is not allowed in a template")

        def formatted(*given: Any, **named: Any) -> str:
            self.meter.steps(len(text) // 2)
            if by_mapping:
                return _Fields(self).vformat(text, (), given[0])
            return _Fields(self).vformat(text, given, named)

        return formatted

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        meter = __self.meter
        if isinstance(__obj, BuiltinMethodType | MethodType):
            args = tuple(meter.settled(one) for one in args)
            named = [kwargs[name] for name in kwargs if not name.startswith("_")]
            prices.method(meter, __obj.__self__, __obj.__name__, (*args, *named))
        elif __obj is dict:
            args = tuple(meter.settled(one) for one in args)
            for pairs in args:
                for pair in () if isinstance(pairs, dict) else pairs:
                    keyed(pair[0])
        elif __obj is not Namespace and not isinstance(__obj, CALLABLE):
            raise SecurityError(f"{type(__obj).__name__} cannot be called in a template")
        meter.steps((len(args) + len(kwargs)) // 4)
        return __context.call(__obj, *args, **kwargs)


class _Fields(SandboxedFormatter):
    """`str.format`, each field paid for before it is written."""

    _env: MeteredEnvironment

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is not None:
            prices.converted(self._env.meter, value)
        return super().convert_field(value, conversion)

    def format_field(self, value: Any, format_spec: str) -> str:
        prices.field(self._env.meter, value, format_spec)
        return str(super().format_field(value, format_spec))


class MeteredTemplate:
    """A template that is compiled, and renders within its limits or raises TemplateFault.

    `where` names the file, or whatever else holds it.
    """

    def __init__(self, environment: MeteredEnvironment, text: str, where: str) -> None:
        self._environment = environment
        self._where = where
        self._lock = Lock()
        self._compiled: CompiledTemplate | None = None
        with self._one_error():
            if len(text) > LONGEST:
                raise Runaway(f"it has {len(text):,} characters, more than {LONGEST:,}")
            self._compiled = environment.from_string(text)

    @classmethod
    def read(cls, environment: MeteredEnvironment, path: Path) -> MeteredTemplate:
        """The template in a file. Raises TemplateFault where it is not UTF-8."""
        return cls(environment, read_template(path), str(path))

    def render(self, **values: Any) -> str:
        """The whole text."""
        assert self._compiled is not None
        with self._one_error():
            return "".join(self._compiled.root_render_func(self._compiled.new_context(values)))
        raise AssertionError

    def render_blocks(self, names: Sequence[str], **values: Any) -> dict[str, str]:
        """The texts of those of these blocks that it has."""
        assert self._compiled is not None
        with self._one_error():
            context = self._compiled.new_context(values)
            blocks = self._compiled.blocks
            return {name: "".join(blocks[name](context)) for name in names if name in blocks}
        raise AssertionError

    @contextmanager
    def _one_error(self) -> Iterator[None]:
        """Whatever goes wrong in a stranger's template is the template's fault."""
        with self._lock:
            self._environment.meter = Meter()
            try:
                yield
            except Exception as error:
                raise self._fault_of(error) from None

    def _fault_of(self, error: Exception) -> TemplateFault:
        faults = self._environment.faults
        kind = next((faults[one] for one in faults if isinstance(error, one)), TemplateFault)
        line = self._line_of(error)
        where = f"{self._where}:{line}" if line else self._where
        return kind(where, _reason_of(error))

    def _line_of(self, error: Exception) -> int | None:
        if isinstance(error, TemplateSyntaxError):
            return error.lineno
        line, trace = None, error.__traceback__
        while trace is not None and self._compiled is not None:
            if trace.tb_frame.f_code.co_filename == "<template>":
                line = self._compiled.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


def read_template(path: Path) -> str:
    """The text of a template's file. Raises TemplateFault where it is too long, or not UTF-8."""
    try:
        with path.open(encoding="utf-8") as stream:
            return stream.read(LONGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise TemplateFault(str(path), _reason_of(error)) from None


def _reason_of(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it calls itself, or is nested, too deep"
    # The words of a template's own may be any value.
    said = error.args[0] if len(error.args) == 1 else str(error)
    words = " ".join(said[:SAID].split()) if isinstance(said, str) else ""
    words = "".join(sign if sign.isprintable() else "?" for sign in words)
    return words or type(error).__name__
