"""The sandbox that expressions are compiled in: jinja2's, narrowed to JSON.

jinja2 looks attributes up in Python and refuses the dangerous ones. Here nothing is looked up in Python: an attribute
is a key of an object. Operators that can make much out of little are refused before they do.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from jinja2 import Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.engine.expressions.language import MAX_INTEGER, Refusal, budget, missing, to_text
from service.engine.expressions.table import FILTERS, TESTS

CONCAT = "concat of the operator ~"
"""A filter that nobody can write the name of."""

# Text is text: what begins a statement or a comment in jinja2 begins nothing here. A text that holds these all the same
# is refused by syntax.py, which knows no statements.
_INERT = "\ue000\ue001"


class Missing(Undefined):
    """What is not there: may be asked for more, tested and replaced by default, and nothing else."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    __iter__ = __str__ = __len__ = __eq__ = __ne__ = __hash__ = Undefined._fail_with_undefined_error  # noqa: SLF001
    __contains__ = Undefined._fail_with_undefined_error  # noqa: SLF001


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self) -> None:
        super().__init__(
            block_start_string=f"{_INERT}{{%",
            block_end_string=f"%}}{_INERT}",
            comment_start_string=f"{_INERT}{{#",
            comment_end_string=f"#}}{_INERT}",
            keep_trailing_newline=True,
            optimized=False,
            undefined=Missing,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = {entry.name: entry.run for entry in FILTERS.values()} | {CONCAT: _concat}
        self.tests = {entry.name: entry.run for entry in TESTS.values()}

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        budget().spend()
        if isinstance(obj, Missing):
            return obj
        if isinstance(argument, Missing):
            raise missing(argument)
        if isinstance(obj, Mapping) and isinstance(argument, str):
            try:
                return obj[argument]
            except KeyError:
                return Missing(_no_such_key(obj, argument))
        if (
            isinstance(obj, list | tuple | str)
            and isinstance(argument, int)
            and not isinstance(argument, bool)
        ):
            try:
                return obj[argument]
            except IndexError:
                return Missing(f"there is no entry {argument}; there are {len(obj)}")
        return Missing(f"{_named(obj)} has no {argument!r}")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget().spend()
        for side in (left, right):
            if isinstance(side, Missing):
                raise missing(side)
        if operator == "+" and isinstance(left, str | list) and type(left) is type(right):
            budget().allow(len(left) + len(right))
            return left + right  # type: ignore[operator]
        if operator == "*" and isinstance(left, str | list) and isinstance(right, int):
            budget().allow(len(left) * max(right, 0))
            return left * right
        if not (_is_number(left) and _is_number(right)):
            raise Refusal(f"{_named(left)} {operator} {_named(right)} has no meaning; ~ joins texts")
        return _counted(self.binop_table[operator](left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        if not _is_number(arg):
            raise Refusal(f"{operator} {_named(arg)} has no meaning")
        return super().call_unop(context, operator, arg)

    def is_safe_callable(self, obj: Any) -> bool:
        """Only functions of the table are called at all: syntax.py lets no other name stand there."""
        return callable(obj) and not isinstance(obj, type)


def _concat(parts: list[Any]) -> str:
    budget().spend()
    texts = []
    for part in parts:
        if isinstance(part, Missing):
            raise missing(part)
        texts.append(to_text(part))
    budget().allow(sum(map(len, texts)))
    return "".join(texts)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _counted(number: Any) -> Any:
    if isinstance(number, int) and abs(number) > MAX_INTEGER:
        raise Refusal("A number is too large.")
    return number


def _no_such_key(obj: Mapping[str, Any], key: str) -> str:
    keys = [str(one) for one in list(obj)[:200]]
    near = difflib.get_close_matches(key, keys, n=1) if len(key) < 100 else []
    if near:
        return f"there is no {key!r}; is {near[0]!r} meant?"
    listed = ", ".join(repr(one) for one in keys[:8])
    return f"there is no {key!r}" + (f"; there are {listed}" if listed else "")


def _named(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case Mapping():
            return "an object"
        case _:
            return "a time"
