"""Conditions of if and switch: what each operator means, and which values are comparable.

- Values of the same type compare as one expects: texts by code point, so that ISO dates are in order; numbers by size.
- With loose types a text that spells a number counts as that number beside a number, for ordering also beside another
  such text; and "true" and "false" count as booleans beside a boolean.
- What is not comparable is not equal, and neither greater nor less: no error.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from service.engine.errors import NodeError
from service.engine.nodes.base import Config

Operator = Literal[
    "equals", "notEquals", "contains", "notContains", "startsWith", "endsWith", "greater", "greaterOrEqual", "less",
    "lessOrEqual", "isEmpty", "isNotEmpty", "isTrue", "isFalse", "exists", "notExists", "in", "notIn",
]  # fmt: skip
MAX_CONDITIONS = 100


class Condition(Config, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One comparison; right is not needed by isEmpty, isNotEmpty, isTrue, isFalse, exists and notExists."""

    left: Any = None
    operator: Operator = "equals"
    right: Any = None


Conditions = Annotated[tuple[Condition, ...], msgspec.Meta(max_length=MAX_CONDITIONS)]
Combinator = Literal["and", "or"]


def hold(conditions: Sequence[Condition], combinator: Combinator, *, loose: bool) -> bool:
    """Return whether all of them hold, or with "or" one of them; of none, all hold."""
    results = (holds(condition, loose=loose) for condition in conditions)
    return any(results) if combinator == "or" and conditions else all(results)


def holds(condition: Condition, *, loose: bool) -> bool:
    return _OPERATORS[condition.operator](condition.left, condition.right, loose)


def is_true(value: Any, *, loose: bool) -> bool:
    """Return what a condition that is one expression says. Raises NodeError for no boolean, unless types are loose.

    Loosely, null, 0, an empty text, list or object, and the text "false" are false; all else is true.
    """
    if isinstance(value, bool):
        return value
    if not loose:
        raise NodeError(
            f"The condition gives {_kind(value)}, and not true or false.",
            code="bad_config",
            field="data.condition",
        )
    return bool(value) and not (isinstance(value, str) and value.strip().lower() == "false")


def check_conditions(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with an entry that has `conditions` or `condition`: neither, or both."""
    has_many, has_one = bool(data.get("conditions")), "condition" in data
    if has_many and has_one:
        return [("condition", "stands beside conditions: give one of the two")]
    if not has_many and not has_one:
        return [("conditions", "is missing: give conditions, or one condition")]
    return []


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(value: Any) -> float | int | None:
    """Return a number, or the one that a text spells; None for what is neither."""
    if _is_number(value):
        return value  # type: ignore[no-any-return]
    if not isinstance(value, str):
        return None
    try:
        return int(value)
    except ValueError:
        pass
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _equal(left: Any, right: Any, loose: bool) -> bool:
    if loose and (_is_number(left) or _is_number(right)):
        return (one := _as_number(left)) is not None and one == _as_number(right)
    if loose and isinstance(left, bool) is not isinstance(right, bool):
        return _as_boolean(left) is not None and _as_boolean(left) is _as_boolean(right)
    if isinstance(left, bool) is not isinstance(right, bool):
        return False  # Python's True is 1
    return bool(left == right)


def _as_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any, bool], bool]:
    def ordered(left: Any, right: Any, loose: bool) -> bool:
        if loose and (one := _as_number(left)) is not None and (other := _as_number(right)) is not None:
            return compare(one, other)
        comparable = (_is_number(left) and _is_number(right)) or (
            isinstance(left, str) and isinstance(right, str)
        )
        return comparable and compare(left, right)

    return ordered


def _contains(left: Any, right: Any, loose: bool) -> bool:
    """A text contains a part of it, a list one of its items, an object a key."""
    match left:
        case str():
            part = str(right) if loose and _is_number(right) else right
            return isinstance(part, str) and part in left
        case list():
            return any(_equal(one, right, loose) for one in left)
        case dict():
            return isinstance(right, str) and right in left
        case _:
            return False


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


def _texts(check: Callable[[str, str], bool]) -> Callable[[Any, Any, bool], bool]:
    return lambda left, right, _: isinstance(left, str) and isinstance(right, str) and check(left, right)


_OPERATORS: Mapping[Operator, Callable[[Any, Any, bool], bool]] = {
    "equals": _equal,
    "notEquals": lambda left, right, loose: not _equal(left, right, loose),
    "contains": _contains,
    "notContains": lambda left, right, loose: not _contains(left, right, loose),
    "startsWith": _texts(str.startswith),
    "endsWith": _texts(str.endswith),
    "greater": _ordered(lambda left, right: bool(left > right)),
    "greaterOrEqual": _ordered(lambda left, right: bool(left >= right)),
    "less": _ordered(lambda left, right: bool(left < right)),
    "lessOrEqual": _ordered(lambda left, right: bool(left <= right)),
    "isEmpty": lambda left, _, __: _is_empty(left),
    "isNotEmpty": lambda left, _, __: not _is_empty(left),
    "isTrue": lambda left, _, loose: left is True or (loose and _as_boolean(left) is True),
    "isFalse": lambda left, _, loose: left is False or (loose and _as_boolean(left) is False),
    "exists": lambda left, _, __: left is not None,
    "notExists": lambda left, _, __: left is None,
    "in": lambda left, right, loose: _contains(right, left, loose),
    "notIn": lambda left, right, loose: not _contains(right, left, loose),
}
