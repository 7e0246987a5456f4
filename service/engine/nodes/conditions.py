"""What if and switch ask: comparisons, together or one of them, or an expression.

Numbers written as text compare as numbers, unless strict. What is not there is empty and exists not; it is in no order.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from service.engine.errors import NodeError

Operator = Literal[
    "equals", "notEquals", "contains", "notContains", "startsWith", "endsWith", "greater", "greaterOrEqual", "less",
    "lessOrEqual", "isEmpty", "isNotEmpty", "isTrue", "isFalse", "exists", "notExists", "in", "notIn",
]  # fmt: skip


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    left: Annotated[Any, Meta(description="What is looked at, most often an expression.")] = None
    operator: Annotated[Operator, Meta(description="How it is compared.")] = "equals"
    right: Annotated[Any, Meta(description="What it is compared with.")] = None


Combinator = Literal["and", "or"]

_OPPOSITES: dict[str, Operator] = {
    "notEquals": "equals",
    "notContains": "contains",
    "isNotEmpty": "isEmpty",
    "isFalse": "isTrue",
    "notExists": "exists",
    "notIn": "in",
}


def hold(
    conditions: Sequence[Condition] | None, combinator: Combinator, condition: Any, *, strict: bool
) -> bool:
    """Return whether conditions are true, or else the value of an expression is. Raises NodeError."""
    if not conditions:
        return is_true(condition)
    found = (holds(one, strict=strict) for one in conditions)
    return all(found) if combinator == "and" else any(found)


def holds(condition: Condition, *, strict: bool) -> bool:
    opposite = _OPPOSITES.get(condition.operator)
    if opposite is not None:
        return not _holds(opposite, condition.left, condition.right, strict)
    return _holds(condition.operator, condition.left, condition.right, strict)


def _holds(operator: Operator, left: Any, right: Any, strict: bool) -> bool:
    match operator:
        case "equals":
            return bool(_equal(left, right, strict))
        case "contains":
            if isinstance(left, list):
                return any(_equal(entry, right, strict) for entry in left)
            return (
                right in left if isinstance(left, dict) else str(right) in str("" if left is None else left)
            )
        case "in":
            if not isinstance(right, list):
                raise NodeError("in: the right side is no list.", code="bad_config")
            return any(_equal(left, entry, strict) for entry in right)
        case "startsWith":
            return isinstance(left, str) and left.startswith(str(right))
        case "endsWith":
            return isinstance(left, str) and left.endswith(str(right))
        case "isEmpty":
            return left is None or (isinstance(left, str | list | dict) and not left)
        case "isTrue":
            return is_true(left)
        case "exists":
            return left is not None
        case _:
            return _in_order(operator, left, right, strict)


def _equal(left: Any, right: Any, strict: bool) -> bool:
    if not strict:
        numbers = _number(left), _number(right)
        if None not in numbers:
            return numbers[0] == numbers[1]
        if isinstance(left, bool) or isinstance(right, bool):
            return is_true(left) == is_true(right)
    return (type(left) is type(right) and bool(left == right)) or (
        isinstance(left, int | float) and isinstance(right, int | float) and left == right
    )


def _in_order(operator: str, left: Any, right: Any, strict: bool) -> bool:
    if left is None or right is None:
        return False
    first, second = left, right
    numbers = (None, None) if strict else (_number(left), _number(right))
    if numbers[0] is not None and numbers[1] is not None:
        first, second = numbers
    if not (isinstance(first, str) and isinstance(second, str)) and not (
        _is_number(first) and _is_number(second)
    ):
        raise NodeError(f"{operator}: {left!r} and {right!r} are in no order.", code="bad_config")
    match operator:
        case "greater":
            return bool(first > second)
        case "greaterOrEqual":
            return bool(first >= second)
        case "less":
            return bool(first < second)
        case _:
            return bool(first <= second)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> int | float | None:
    if _is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, str) and 0 < len(value) < 40:
        try:
            number = float(value)
        except ValueError:
            return None
        return number if math.isfinite(number) else None
    return None


def is_true(value: Any) -> bool:
    """Return whether a value counts as yes; texts that say no are no."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "0", "no", "off", "null", "none"}
    return bool(value)
