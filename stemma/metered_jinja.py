"""A sandbox for Jinja of strangers: what a template may do, and how much of it.

A recipe, a task file or a GGUF file may bring a template of anybody's. Here it renders within a
count of steps and of characters, or fails with one error. Nothing of it runs while it is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, ClassVar

from jinja2 import TemplateSyntaxError, Undefined, nodes
from jinja2.environment import Template as CompiledTemplate
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace

from stemma import jinja_prices as prices
from stemma.errors import Problem, UserError
from stemma.jinja_code import MeteredCode
from stemma.jinja_filters import FILTERS, TESTS, within
from stemma.jinja_meter import CHARACTERS, STEPS, Meter, Runaway, keyed

LONGEST = 1_000_000
"""Characters of a template. The longest of well-known models have 20,000."""
TOKENS = 20_000
"""Of Jinja in a template: names, signs, texts between tags."""
FEW_GIVEN = 8
"""What a call is given, that its price holds already."""
EACH_GIVEN = 3
"""Steps of each beyond."""
SAID = 300
"""Characters of a template's own words that are told, at most."""
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


class MeteredEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox in which a stranger's template renders within its limits."""

    code_generator_class = MeteredCode
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
        asked: Any = (*REFUSED, nodes.Block)
        node: nodes.Node
        for node in tree.find_all(asked):
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
        # `f(*many)`: each is looked at below.
        meter.steps(EACH_GIVEN * max(0, len(args) + len(kwargs) - FEW_GIVEN))
        if isinstance(__obj, BuiltinMethodType | MethodType):
            args = tuple(meter.settled(one) for one in args)
            named = [kwargs[name] for name in kwargs if not name.startswith("_")]
            prices.method(meter, __obj.__self__, __obj.__name__, (*args, *named))
        elif __obj is dict or __obj is Namespace:
            args = tuple(meter.settled(one) for one in args)
            for pairs in args:
                meter.copied(2 * len(pairs))
                for pair in () if isinstance(pairs, dict) else pairs:
                    keyed(pair[0])
        elif not isinstance(__obj, CALLABLE):
            raise SecurityError(f"{type(__obj).__name__} cannot be called in a template")
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
