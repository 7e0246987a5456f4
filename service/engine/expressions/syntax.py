"""What may be written: jinja2's expressions, less all that has no place in a language of JSON values."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from jinja2 import TemplateSyntaxError, nodes
from jinja2.visitor import NodeTransformer

from service.engine.expressions.language import ExpressionError, Limits
from service.engine.expressions.sandbox import CONCAT, Sandbox
from service.engine.expressions.table import FILTERS, FUNCTIONS, TESTS

ROOTS = ("input", "item", "items", "nodes", "trigger", "execution", "workflow", "now", "loop")

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
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as exc:
        raise ExpressionError(source, _worded(exc)) from exc
    except RecursionError as exc:
        raise ExpressionError(source, "It is nested too deeply") from exc
    pieces: list[Piece] = []
    count = 0
    for output in tree.body:
        if not isinstance(output, nodes.Output):
            raise ExpressionError(source, "Statements have no meaning here")
        for part in output.nodes:
            if isinstance(part, nodes.TemplateData):
                pieces.append(Piece(part.data))
                continue
            count += _check(part, source)
            if count > limits.syntax_nodes:
                raise ExpressionError(source, f"It has more than {limits.syntax_nodes} parts")
            pieces.append(Piece(expression=_Joining().visit(part)))
    return pieces


def _worded(exc: TemplateSyntaxError) -> str:
    message = exc.message or "It cannot be read"
    if "end of template" in message or "end of print statement" in message:
        return f"An expression is not closed, or ends too early: {message}"
    return message[0].upper() + message[1:]


def _check(tree: nodes.Node, source: str) -> int:
    """Return how many parts an expression has. Raises ExpressionError."""
    count = 0
    called = {id(call.node) for call in _all(tree, nodes.Call) if isinstance(call, nodes.Call)}
    for node in _all(tree):
        count += 1
        match node:
            case nodes.Call():
                _check_call(node, source)
            case nodes.Filter():
                _known(node.name, FILTERS, "filter", source)
                _plain_arguments(node, source)
            case nodes.Test():
                _known(node.name, TESTS, "test", source)
                _plain_arguments(node, source)
            case nodes.Name() if id(node) not in called:
                _known(node.name, ROOTS, "name", source)
            case nodes.Getattr() if node.attr.startswith("_"):
                raise ExpressionError(source, f"{node.attr!r} may not begin with _")
            case _ if not isinstance(node, _ALLOWED):
                raise ExpressionError(source, f"{type(node).__name__} has no meaning here")
    return count


def _all(tree: nodes.Node, kind: type[nodes.Node] = nodes.Node) -> Iterator[nodes.Node]:
    if isinstance(tree, kind):
        yield tree
    yield from tree.find_all(kind)


def _check_call(node: nodes.Call, source: str) -> None:
    if not isinstance(node.node, nodes.Name):
        raise ExpressionError(source, "Only functions can be called; there are no methods")
    _known(node.node.name, FUNCTIONS, "function", source)
    _plain_arguments(node, source)


def _plain_arguments(node: nodes.Call | nodes.Filter | nodes.Test, source: str) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ExpressionError(source, "Arguments are written one by one")


def _known(name: str, names: Iterable[str], what: str, source: str) -> None:
    if name in names:
        return
    near = difflib.get_close_matches(name, list(names), n=1)
    hint = f"is {near[0]!r} meant?" if near else f"there are {', '.join(sorted(names))}"
    raise ExpressionError(source, f"There is no {what} {name!r}; {hint}")


class _Joining(NodeTransformer):
    """Has ~ done by a filter of ours, which looks at the size before it joins."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:  # noqa: N802 - jinja2's name
        parts = [self.visit(part) for part in node.nodes]
        return nodes.Filter(
            nodes.List(parts, lineno=node.lineno), CONCAT, [], [], None, None, lineno=node.lineno
        )


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
