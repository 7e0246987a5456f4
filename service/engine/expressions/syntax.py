"""What may be written: jinja2's expressions, less all that has no place in a language of JSON values."""

import difflib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from service.engine.expressions.functions import FILTERS, FUNCTIONS, TESTS, Entry
from service.engine.expressions.language import MAX_INTEGER, ExpressionError, Limits, shortened
from service.engine.expressions.sandbox import COMPARE, CONCAT, CUT, INERT, Sandbox

ROOTS = ("input", "item", "items", "nodes", "trigger", "execution", "workflow", "now", "loop")

_LISTED = 10
"""As many names as a message lists."""
_ALLOWED = (
    nodes.Const, nodes.TemplateData, nodes.Name, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Getattr,
    nodes.Getitem, nodes.Slice, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub,
    nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Filter, nodes.Test,
    nodes.Call, nodes.CondExpr, nodes.Keyword,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: plain, or an expression."""

    text: str = ""
    expression: nodes.Expr | None = None


def parse(source: str, environment: Sandbox, limits: Limits) -> list[Piece]:
    """Return the parts of a text in order. Raises ExpressionError for what is not in the language."""
    if len(source) > limits.source_chars:
        raise ExpressionError(source, f"It is longer than {limits.source_chars:,} characters")
    if INERT in source:
        raise ExpressionError(source, "It has characters in it that mean nothing anywhere: U+E000 U+E001")
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as exc:
        raise ExpressionError(source, _worded(exc)) from exc
    except ValueError as exc:  # of a number of thousands of digits
        raise ExpressionError(source, "A number is too large") from exc
    except RecursionError as exc:
        raise ExpressionError(source, "It is nested too deeply") from exc
    pieces: list[Piece] = []
    left = limits.syntax_nodes
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            raise ExpressionError(source, "Statements have no meaning here")
        for part in output.nodes:
            if isinstance(part, nodes.TemplateData):
                pieces.append(Piece(part.data))
                continue
            left -= _measured(part, source, limits, left)
            _check(part, source)
            pieces.append(Piece(expression=_Joining().visit(part)))
    return pieces


def _worded(exc: TemplateSyntaxError) -> str:
    message = exc.message or "It cannot be read"
    if "end of template" in message or "end of print statement" in message:
        return "An expression is empty, is not closed, or ends too early"
    return message[0].upper() + message[1:]


def _measured(tree: nodes.Node, source: str, limits: Limits, at_most: int) -> int:
    """Return how many parts an expression has. Raises ExpressionError."""
    count = 0
    for _, depth in _walk(tree):
        count += 1
        if count > at_most:
            raise ExpressionError(source, f"It has more than {limits.syntax_nodes} parts")
        if depth > limits.syntax_depth:
            raise ExpressionError(source, "It is nested too deeply")
    return count


def _check(tree: nodes.Node, source: str) -> None:
    """Raise ExpressionError for what is not in the language."""
    called = {id(call.node) for call in _all(tree, nodes.Call) if isinstance(call, nodes.Call)}
    for node in _all(tree):
        match node:
            case nodes.Const():
                _check_constant(node.value, source)
            case nodes.Pair(key=nodes.Const(value=key)) if not isinstance(key, str):
                raise ExpressionError(source, "A key of an object is a text")
            case nodes.Call():
                _check_call(node, source)
            case nodes.Filter():
                _known(node.name, FILTERS, "filter", source)
                _fitting(node, FILTERS[node.name], source)
            case nodes.Test():
                _known(node.name, TESTS, "test", source)
                _fitting(node, TESTS[node.name], source)
            case nodes.Name() if id(node) not in called:
                _known(node.name, ROOTS, "name", source)
            case nodes.Getattr() if node.attr.startswith("_"):
                raise ExpressionError(source, f"{shortened(node.attr)!r} may not begin with _")
            case _ if not isinstance(node, _ALLOWED):
                raise ExpressionError(source, f"{type(node).__name__} has no meaning here")


def _walk(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int]]:
    """Yield each part with its depth, in order; no deeper on the stack for deeper trees."""
    to_visit = [(tree, 0)]
    while to_visit:
        node, depth = to_visit.pop()
        yield node, depth
        to_visit.extend((child, depth + 1) for child in reversed(list(node.iter_child_nodes())))


def _all(tree: nodes.Node, kind: type[nodes.Node] = nodes.Node) -> Iterator[nodes.Node]:
    return (node for node, _ in _walk(tree) if isinstance(node, kind))


def _check_constant(value: object, source: str) -> None:
    match value:
        case int() if abs(value) > MAX_INTEGER:
            raise ExpressionError(source, "A number is too large")
        case float() if not math.isfinite(value):
            raise ExpressionError(source, "A number is too large")


def _check_call(node: nodes.Call, source: str) -> None:
    if not isinstance(node.node, nodes.Name):
        raise ExpressionError(source, "Only functions can be called; there are no methods")
    _known(node.node.name, FUNCTIONS, "function", source)
    _fitting(node, FUNCTIONS[node.node.name], source)


def _fitting(node: nodes.Call | nodes.Filter | nodes.Test, entry: Entry, source: str) -> None:
    """Raise ExpressionError unless the arguments are those that a function, filter or test has."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(source, "Arguments are written one by one")
    named = [str(keyword.key) for keyword in node.kwargs or ()]
    if len(named) > len(set(named)):
        raise ExpressionError(source, f"{entry.name!r}: an argument is given twice")
    placed = len(node.args or ()) + (not isinstance(node, nodes.Call))
    try:
        entry.signature.bind(*[None] * placed, **dict.fromkeys(named))
    except TypeError as exc:
        raise ExpressionError(source, f"{entry.name!r}: {shortened(str(exc), 100)}") from exc


def _known(name: str, names: Iterable[str], what: str, source: str) -> None:
    if name in names:
        return
    if name in FILTERS:
        raise ExpressionError(source, f"There is no {what} {name!r}, but a filter: value | {name}")
    listed = list(names)
    near = difflib.get_close_matches(name, listed, n=1)
    if near:
        hint = f"; is {near[0]!r} meant?"
    else:
        hint = f"; there are {', '.join(sorted(listed))}" if len(listed) <= _LISTED else ""
    raise ExpressionError(source, f"There is no {what} {shortened(name)!r}{hint}")


class _Joining(NodeTransformer):
    """Has ~, comparisons and [a:b] done by filters of ours, which know our limits and our words."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802 - jinja2's name
        parts = [self.visit(part) for part in node.nodes]
        return _filtered(nodes.List(parts, lineno=node.lineno), CONCAT, [])

    def visit_Compare(self, node: nodes.Compare) -> nodes.Expr:  # noqa: N802 - jinja2's name
        values = [self.visit(one) for one in (node.expr, *(operand.expr for operand in node.ops))]
        operators = nodes.Const(tuple(operand.op for operand in node.ops), lineno=node.lineno)
        return _filtered(nodes.List(values, lineno=node.lineno), COMPARE, [operators])

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Expr:  # noqa: N802 - jinja2's name
        otherwise = nodes.Const(None, lineno=node.lineno) if node.expr2 is None else self.visit(node.expr2)
        return nodes.CondExpr(self.visit(node.test), self.visit(node.expr1), otherwise, lineno=node.lineno)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Expr:  # noqa: N802 - jinja2's name
        of = self.visit(node.node)
        if not isinstance(node.arg, nodes.Slice):
            return nodes.Getitem(of, self.visit(node.arg), node.ctx, lineno=node.lineno)
        bounds = (node.arg.start, node.arg.stop, node.arg.step)
        nothing = nodes.Const(None, lineno=node.lineno)
        return _filtered(of, CUT, [nothing if bound is None else self.visit(bound) for bound in bounds])


def _filtered(value: nodes.Expr, name: str, arguments: list[nodes.Expr]) -> nodes.Expr:
    return nodes.Filter(value, name, arguments, [], None, None, lineno=value.lineno)


def size_of(tree: nodes.Node) -> int:
    """Return how many parts an expression has."""
    return sum(1 for _ in _walk(tree))


def names_in(tree: nodes.Node) -> set[str]:
    return {node.name for node in _all(tree, nodes.Name) if isinstance(node, nodes.Name)}


def node_ids_in(tree: nodes.Node) -> set[str]:
    """Return the ids that nodes['a'], nodes.a and items_of('a') name."""
    found: set[str] = set()
    for node in _all(tree):
        match node:
            case nodes.Getattr(node=nodes.Name(name="nodes")):
                found.add(node.attr)
            case nodes.Getitem(node=nodes.Name(name="nodes"), arg=nodes.Const(value=str() as wanted)):
                found.add(wanted)
            case nodes.Call(node=nodes.Name(name="items_of"), args=[nodes.Const(value=str() as wanted)]):
                found.add(wanted)
    return found
