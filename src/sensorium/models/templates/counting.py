"""Templates, changed so that all that runs without a call is counted, too."""

from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from sensorium.models.templates.budget import BOX, ITEM

ROUND, JOINED, CUT = "counted round", "counted join", "counted cut"
COMPARED, HELD, UNPACKED = "counted comparison", "counted search", "counted arguments"
"""Filters that count. No template can name what has a space in it."""
MAX_NODES = 20_000
"""Of a template. One with 4000 characters has 400; so many compile in a second or two."""


def counted(template: nodes.Template) -> nodes.Template:
    """The template, with its rounds, comparisons, slices and joined texts counted.

    Raises:
        TemplateSyntaxError: it turns on escaping, by which texts grow where nobody counts them; or
            it has so many parts that it would take long to compile.
    """
    if sum(1 for _ in template.find_all(nodes.Node)) > MAX_NODES:
        raise TemplateSyntaxError(f"chat templates have at most {MAX_NODES} parts", 1)
    found: nodes.Template = _Counting().visit(template)
    return found


class _Counting(NodeTransformer):
    """Has what is not called go through filters."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802 - named by the library
        self._count(node)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Macro:  # noqa: N802
        self._count(node)
        return node

    def visit_CallBlock(self, node: nodes.CallBlock) -> nodes.CallBlock:  # noqa: N802
        self._count(node)
        return node

    def visit_Block(self, node: nodes.Block) -> nodes.Block:  # noqa: N802
        self._count(node)
        return node

    def visit_ScopedEvalContextModifier(  # noqa: N802
        self, node: nodes.ScopedEvalContextModifier
    ) -> nodes.Node:
        raise TemplateSyntaxError("chat templates have no autoescape", node.lineno)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        first, *others = node.nodes
        return _filter(JOINED, first, *others)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.arg, nodes.Slice):
            return node
        ends = (node.arg.start, node.arg.stop, node.arg.step)
        return _filter(CUT, node.node, *(each or nodes.Const(None) for each in ends))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        """All that is compared, but where a constant bounds it."""
        self.generic_visit(node)
        sides = [node.expr, *(each.expr for each in node.ops)]
        if len(sides) == 2 and node.ops[0].op in ("in", "notin"):
            if not _is_small(sides[1]):
                constant = isinstance(node.expr, nodes.Const)
                node.ops[0].expr = _filter(HELD, sides[1], nodes.Const(constant))
                node.expr = node.expr if constant else _filter(COMPARED, node.expr)
        elif len(sides) > 2 or not any(map(_is_small, sides)):
            node.expr = _filter(COMPARED, node.expr)
            for each in node.ops:
                each.expr = _filter(COMPARED, each.expr)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Pair:  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.key, nodes.Const):
            node.key = _filter(COMPARED, node.key)
        return node

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """A node's children; and what stands behind a star, if it is a call."""
        super().generic_visit(node, *args, **kwargs)
        for name in ("dyn_args", "dyn_kwargs"):
            if getattr(node, name, None) is not None:
                setattr(node, name, _filter(UNPACKED, getattr(node, name)))
        return node

    def _count(self, node: nodes.For | nodes.Macro | nodes.CallBlock | nodes.Block) -> None:
        """What may run often, with a count at its beginning."""
        texts = sum(len(each.data) for each in node.find_all(nodes.TemplateData))
        made = sum(map(_size, node.find_all((nodes.List, nodes.Tuple, nodes.Dict))))
        self.generic_visit(node)
        count = nodes.ExprStmt(_filter(ROUND, nodes.Const(texts + made)), lineno=node.lineno)
        node.body.insert(0, count)
        if isinstance(node, nodes.For) and node.test is not None:  # rounds that it leaves out
            node.test = nodes.And(_filter(ROUND, nodes.Const(0)), node.test)


def _size(literal: Any) -> int:
    return BOX + ITEM * len(literal.items)


def _is_small(node: nodes.Expr) -> bool:
    """Whether it is a constant, or a list of some."""
    if isinstance(node, nodes.List | nodes.Tuple):
        return all(isinstance(each, nodes.Const) for each in node.items)
    return isinstance(node, nodes.Const)


def _filter(name: str, of: nodes.Expr, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(of, name, list(arguments), [], None, None)
