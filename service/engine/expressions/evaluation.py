"""Texts with expressions in them, checked and evaluated."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from jinja2 import Template, Undefined, UndefinedError, nodes
from jinja2.exceptions import SecurityError, TemplateError

from service.engine.expressions.functions import FUNCTIONS
from service.engine.expressions.language import (
    Budget,
    ExpressionError,
    Limits,
    Refusal,
    budget,
    missing,
    open_budget,
    to_moment_text,
    to_text,
    took_too_long,
)
from service.engine.expressions.sandbox import Sandbox
from service.engine.expressions.syntax import ROOTS, names_in, node_ids_in, parse, size_of

__all__ = [
    "ROOTS",
    "Limits",
    "check",
    "evaluate",
    "holds_expression",
    "is_one_expression",
    "node_references",
    "parts_of",
    "read_ahead",
    "render",
    "speaks_of_item",
]

_OPEN = "{{"
_NOTICED_S = 0.001
_OF_ITEMS = frozenset({"input", "item", "nodes"})
_RESULT = "result"
_SANDBOX = Sandbox()
_DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    template: Template | None


@dataclass(frozen=True, slots=True)
class _Compiled:
    """What is known of a text: it is read once, whoever asks for what of it."""

    parts: tuple[_Part, ...] = ()
    roots: frozenset[str] = frozenset()
    node_ids: frozenset[str] = frozenset()
    size: int = 0
    """Parts of its expressions; of one that cannot be read, as many as it takes time."""
    problem: str | None = None

    @property
    def is_one(self) -> bool:
        return sum(part.template is not None for part in self.parts) == 1 and all(
            part.template is not None or not part.text.strip() for part in self.parts
        )


def holds_expression(text: str) -> bool:
    return _OPEN in text


def is_one_expression(text: str) -> bool:
    """Return whether a text is nothing but one expression, whose value keeps its type. Raises ExpressionError."""
    return holds_expression(text) and _compiled(text, _DEFAULT).is_one


def check(text: str) -> list[str]:
    """Return the names that a text's expressions begin with: input, nodes, … Raises ExpressionError."""
    return sorted(_compiled(text, _DEFAULT).roots)


async def read_ahead(value: Any) -> None:
    """Read the texts in a value, so that it takes none of their time when they are evaluated; others go on between."""
    match value:
        case str() if holds_expression(value):
            started = time.monotonic()
            with contextlib.suppress(ExpressionError):  # who evaluates it is told
                _compiled(value, _DEFAULT)
            if time.monotonic() - started > _NOTICED_S:
                await asyncio.sleep(0)
        case dict():
            for inner in value.values():
                await read_ahead(inner)
        case list():
            for inner in value:
                await read_ahead(inner)


def speaks_of_item(value: Any) -> bool:
    """Return whether the expressions in a value give something else for each item. Raises ExpressionError."""
    match value:
        case str():
            return holds_expression(value) and not _OF_ITEMS.isdisjoint(check(value))
        case list():
            return any(map(speaks_of_item, value))
        case dict():
            return any(map(speaks_of_item, value.values()))
        case _:
            return False


def node_references(text: str) -> set[str]:
    """Return the ids of the nodes that a text names as they stand. Raises ExpressionError."""
    return set(_compiled(text, _DEFAULT).node_ids)


def parts_of(text: str) -> int:
    """Return how much there is to do to read a text, in parts of expressions (Limits.syntax_nodes)."""
    return 1 if len(text) > _DEFAULT.source_chars else _looked_at(text, _DEFAULT).size


def render(
    value: Any, scope: Mapping[str, Any], limits: Limits = _DEFAULT, deadline: float | None = None
) -> Any:
    """Return a JSON value with every text in it evaluated; keys are left as they are. Raises ExpressionError.

    deadline: when the last of them has to be through, by time.monotonic(); unset, each has its own time.
    """
    try:
        return _rendered(value, scope, limits, deadline)
    except RecursionError as exc:
        raise ExpressionError("", "The value is nested too deeply") from exc


def _rendered(value: Any, scope: Mapping[str, Any], limits: Limits, deadline: float | None) -> Any:
    match value:
        case str():
            return evaluate(value, scope, limits, deadline)
        case dict():
            return {key: _rendered(inner, scope, limits, deadline) for key, inner in value.items()}
        case list():
            return [_rendered(inner, scope, limits, deadline) for inner in value]
        case _:
            return value


def evaluate(
    text: str, scope: Mapping[str, Any], limits: Limits = _DEFAULT, deadline: float | None = None
) -> Any:
    """Return what a text comes to: a JSON value where it is one expression, else a text. Raises ExpressionError.

    scope has a value for each of ROOTS, and "functions": those of the run.
    """
    if not holds_expression(text):
        return text
    # To read a text takes time as well, and many may be read before the first one has a value. Once read, it is kept:
    # of an expression's own time it takes none.
    if deadline is not None and time.monotonic() > deadline:
        raise ExpressionError(text, took_too_long(limits))
    compiled = _compiled(text, limits)
    opened = open_budget(limits, deadline)
    variables = {name: scope.get(name) for name in ROOTS}
    variables |= {entry.name: entry.run for entry in FUNCTIONS.values()}
    variables |= dict(scope.get("functions") or {})
    try:
        if compiled.is_one:
            template = next(part.template for part in compiled.parts if part.template is not None)
            return _as_json(_value(template, variables), limits)
        return _joined(compiled.parts, variables, opened)
    except ExpressionError as exc:
        raise ExpressionError(text, exc.detail) from exc
    except Refusal as exc:
        raise ExpressionError(text, str(exc)) from exc
    except UndefinedError as exc:
        raise ExpressionError(text, exc.message or "Something is not there") from exc
    except SecurityError as exc:
        raise ExpressionError(text, "This is not allowed") from exc
    except ZeroDivisionError as exc:
        raise ExpressionError(text, "Nothing can be divided by zero") from exc
    except (RecursionError, MemoryError) as exc:
        raise ExpressionError(text, "It is nested too deeply, or too large") from exc
    except UnicodeError as exc:
        raise ExpressionError(text, "A text has half a character in it") from exc
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as exc:
        raise ExpressionError(text, _worded(exc)) from exc


def _worded(exc: Exception) -> str:
    """Return what Python says of an operation that has no meaning, without its names for types of ours."""
    message = str(exc)
    if "unhashable" in message:
        return "A key of an object is a text"
    for name, ours in (("'NoneType'", "none"), ("'str'", "a text"), ("'int'", "a number"), ("'float'", "a number"),
                       ("'dict'", "an object"), ("'list'", "a list"), ("'datetime.datetime'", "a time")):  # fmt: skip
        message = message.replace(name, ours)
    return f"It has no value: {message[:200]}"


def _compiled(text: str, limits: Limits) -> _Compiled:
    """Raises ExpressionError."""
    if len(text) > limits.source_chars:  # and not kept
        raise ExpressionError(text, f"It is longer than {limits.source_chars:,} characters")
    compiled = _looked_at(text, limits)
    if compiled.problem is not None:
        raise ExpressionError(text, compiled.problem)
    return compiled


@lru_cache(maxsize=2048)
def _looked_at(text: str, limits: Limits) -> _Compiled:
    try:
        pieces = parse(text, _SANDBOX, limits)
        trees = [piece.expression for piece in pieces if piece.expression is not None]
        return _Compiled(
            parts=tuple(
                _Part(piece.text, None if piece.expression is None else _compile(piece.expression))
                for piece in pieces
            ),
            roots=frozenset().union(*map(names_in, trees)) & frozenset(ROOTS),
            node_ids=frozenset().union(*map(node_ids_in, trees)),
            size=sum(map(size_of, trees)),
        )
    except ExpressionError as exc:
        return _Compiled(problem=exc.detail, size=_weight_of_unread(text))
    except (RecursionError, MemoryError, SyntaxError):
        return _Compiled(problem="It is nested too deeply", size=_weight_of_unread(text))


def _weight_of_unread(text: str) -> int:
    """Return about how many parts take as long as it took to find out that a text cannot be read."""
    return len(text) // 4 + 1


def _compile(expression: nodes.Expr) -> Template:
    """Compile one expression, as jinja2's compile_expression does."""
    body: list[nodes.Node] = [nodes.Assign(nodes.Name(_RESULT, "store"), expression, lineno=1)]
    return Template.from_code(_SANDBOX, _SANDBOX.compile(_template(body)), {})


def _template(body: list[nodes.Node]) -> nodes.Template:
    tree = nodes.Template(body, lineno=1)
    tree.set_environment(_SANDBOX)
    return tree


def _value(template: Template, variables: dict[str, Any]) -> Any:
    context = template.new_context(variables)
    deque(template.root_render_func(context), maxlen=0)
    return context.vars[_RESULT]


def _joined(parts: tuple[_Part, ...], variables: dict[str, Any], opened: Budget) -> str:
    texts: list[str] = []
    size = 0
    for part in parts:
        text = (
            part.text if part.template is None else _as_text(_value(part.template, variables), opened.limits)
        )
        size += len(text.encode())
        opened.fit(size)
        texts.append(text)
    return "".join(texts)


def _as_text(value: Any, limits: Limits) -> str:
    return value if isinstance(value, str) else to_text(_as_json(value, limits))


def _as_json(value: Any, limits: Limits) -> Any:
    plain = budget().weigh(value)
    encoded = msgspec.json.encode(value if plain else _plain(value))
    if len(encoded) > limits.result_bytes:
        raise Refusal(f"A value would be larger than {limits.result_bytes:,} bytes.")
    # A copy: what comes of an expression shares nothing with what it was made of.
    return msgspec.json.decode(encoded)


def _plain(value: Any) -> Any:
    match value:
        case Undefined():
            raise missing(value)
        case None | bool() | str() | int() | float():
            return value
        case datetime():
            return to_moment_text(value)
        case Mapping():
            return {key: _plain(inner) for key, inner in budget().each(budget().unfolded(value).items())}
        case list() | tuple():
            return [_plain(inner) for inner in budget().each(value)]
        case _:
            raise Refusal("The result is no value.")
