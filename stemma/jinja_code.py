"""The Python that Jinja makes of a template, with its meter: what a block of statements costs is
added up as it is compiled, and paid as it is entered. Nothing of a template runs before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.compiler import operators as SIGNS  # noqa: N812

from stemma.jinja_meter import MADE_A_STEP, POWER

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


class MeteredCode(CodeGenerator):
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

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802
        if node.test is not None:
            steps, _ = _straight_price([node.test])
            paid = nodes.EnvironmentAttribute(f"meter.condition({steps + 1})", lineno=node.lineno)
            node.test = nodes.And(paid, node.test, lineno=node.lineno)
        super().visit_For(node, frame)

    def _make_finalize(self) -> Any:
        return self._FinalizeInfo(None, "environment.meter.written(")

    def visit_Const(self, node: nodes.Const, frame: Frame) -> None:  # noqa: N802
        if isinstance(node.value, int) and abs(node.value) > 2**POWER:
            self.fail(f"it holds a number beyond 2**{POWER}", node.lineno)
        super().visit_Const(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802
        self._call("str_join(environment.meter.joinable((", node.nodes, frame, ",)))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802
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

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802
        if not isinstance(node.arg, nodes.Slice):
            super().visit_Getitem(node, frame)
            return
        cut = (node.arg.start, node.arg.stop, node.arg.step)
        ends = [nodes.Const(None) if one is None else one for one in cut]
        self._call("environment.sliced(", [node.node, *ends], frame, ")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802
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
