"""The sandbox that expressions are compiled in: jinja2's, narrowed to JSON.

jinja2 looks attributes up in Python and refuses the dangerous ones. Here nothing is looked up in Python: an attribute
is a key of an object. Operators that can make much out of little are refused before they do.
"""

import difflib
import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from jinja2 import Undefined
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.engine.expressions.functions import FILTERS, TESTS, contained, kind_of, same
from service.engine.expressions.language import Refusal, budget, counted, missing, shortened, to_text

CONCAT = "concat of the operator ~"
CUT = "cut of x[a:b]"
COMPARE = "compare of a < b == c"
"""Filters that nobody can write the names of: what jinja2 leaves to Python, done by us."""

# Text is text: what begins a statement or a comment in jinja2 begins nothing here. A text that holds these all the same
# is refused by syntax.py.
INERT = "\ue000\ue001"


class Missing(Undefined):
    """What is not there: may be asked for more, tested and replaced by default, and nothing else."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        """Say what is not there; only once it is asked for, since to look for similar keys takes time."""
        if self._undefined_hint:
            return self._undefined_hint
        obj, wanted = self._undefined_obj, self._undefined_name
        if isinstance(obj, Mapping) and isinstance(wanted, str):
            return _no_such_key(obj, wanted)
        if _is_row(obj) and _is_place(wanted):
            return f"there is no entry {wanted}; there are {len(obj)}"
        return f"{kind_of(obj)} has no {_shown(wanted)}"

    def __bool__(self) -> bool:
        return False

    __iter__ = __str__ = __len__ = __eq__ = __ne__ = __hash__ = Undefined._fail_with_undefined_error  # noqa: SLF001
    __contains__ = Undefined._fail_with_undefined_error  # noqa: SLF001


class Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self) -> None:
        super().__init__(
            block_start_string=f"{INERT}{{%",
            block_end_string=f"%}}{INERT}",
            comment_start_string=f"{INERT}{{#",
            comment_end_string=f"#}}{INERT}",
            keep_trailing_newline=True,
            optimized=False,
            undefined=Missing,
            cache_size=0,
        )
        self.globals.clear()
        self.filters = {entry.name: entry.run for entry in FILTERS.values()} | {
            CONCAT: _concat,
            CUT: _cut,
            COMPARE: _compare,
        }
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
                return Missing(obj=obj, name=argument)
        if _is_row(obj) and _is_place(argument):
            try:
                return obj[argument]
            except IndexError:
                pass
        return Missing(obj=obj, name=argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget().spend()
        for side in (left, right):
            if isinstance(side, Missing):
                raise missing(side)
        if operator == "+" and isinstance(left, str | list) and type(left) is type(right):
            budget().allow(len(left) + len(right))
            return left + right  # type: ignore[operator]
        if operator == "*" and isinstance(left, str) and _is_place(right):
            budget().allow(len(left) * max(right, 0))
            return left * right
        if not (_is_number(left) and _is_number(right)):
            raise Refusal(f"{kind_of(left)} {operator} {kind_of(right)} has no meaning; ~ joins texts")
        return counted(self.binop_table[operator](left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        if isinstance(arg, Missing):
            raise missing(arg)
        if not _is_number(arg):
            raise Refusal(f"{operator} {kind_of(arg)} has no meaning")
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


def _cut(value: Any, start: Any, stop: Any, step: Any) -> Any:
    """Return value[start:stop:step]."""
    budget().spend()
    for one in (value, start, stop, step):
        if isinstance(one, Missing):
            raise missing(one)
    if not _is_row(value):
        raise Refusal(f"{kind_of(value)} has no parts from one place to another")
    if not all(one is None or _is_place(one) for one in (start, stop, step)) or step == 0:
        raise Refusal("A part is from one whole number to another")
    return value[start:stop:step]


def _compare(values: list[Any], operators: tuple[str, ...]) -> bool:
    """Return whether each value stands to the next one as its operator says."""
    budget().spend()
    for value in values:
        if isinstance(value, Missing):
            raise missing(value)
    return all(
        _COMPARISONS[name](left, right)
        for name, left, right in zip(operators, values, values[1:], strict=False)
    )


def _ordered(run: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        kinds = (_is_number(left), isinstance(left, str), isinstance(left, datetime))
        if kinds != (_is_number(right), isinstance(right, str), isinstance(right, datetime)) or not any(
            kinds
        ):
            raise Refusal(f"{kind_of(left)} and {kind_of(right)} have no order")
        return run(left, right)

    return compare


_COMPARISONS = {
    "eq": same,
    "ne": lambda left, right: not same(left, right),
    "in": lambda left, right: contained(right, left),
    "notin": lambda left, right: not contained(right, left),
    "lt": _ordered(operator.lt),
    "lteq": _ordered(operator.le),
    "gt": _ordered(operator.gt),
    "gteq": _ordered(operator.ge),
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple | str)


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    return repr(shortened(value)) if isinstance(value, str) else shortened(to_text(value)) or "none"


def _no_such_key(obj: Mapping[str, Any], key: str) -> str:
    keys = [str(one) for one in islice(obj, 50)]
    near = (
        difflib.get_close_matches(key, [one for one in keys if len(one) <= 60], n=1) if len(key) <= 60 else []
    )
    if near:
        return f"there is no {key!r}; is {near[0]!r} meant?"
    listed = ", ".join(repr(shortened(one)) for one in keys[:8])
    return f"there is no {shortened(key)!r}" + (f"; there are {listed}" if listed else "")
