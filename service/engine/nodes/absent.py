"""Conditions that ask whether something is there: what is missing is their answer, and no mistake of an expression."""

from collections.abc import Mapping
from typing import Any

from service.engine.expressions import ExpressionError, is_one_expression

_ASK = frozenset({"exists", "notExists", "isEmpty", "isNotEmpty"})


def allow_absent(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an if or a switch, in whose conditions `left` is null where it is one expression that leads to
    nothing.
    """
    prepared = _with_conditions(dict(data))
    if isinstance(rules := prepared.get("rules"), list):
        prepared["rules"] = [_with_conditions(rule) if isinstance(rule, dict) else rule for rule in rules]
    return prepared


def _with_conditions(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of what has `conditions`: an if, or a rule of a switch."""
    conditions = entry.get("conditions")
    return entry | (
        {"conditions": [_asked(one) for one in conditions]} if isinstance(conditions, list) else {}
    )


def _asked(condition: Any) -> Any:
    if not isinstance(condition, dict) or condition.get("operator") not in _ASK:
        return condition
    return condition | {"left": _or_null(condition.get("left"))}


def _or_null(left: Any) -> Any:
    if not isinstance(left, str):
        return left
    inner = left.strip().removeprefix("{{").removesuffix("}}")
    wanted = "{{ (" + inner + ") | default(none) }}"
    try:
        return wanted if is_one_expression(left) and is_one_expression(wanted) else left
    except ExpressionError:
        return left  # for validation, and for the node's turn, to say
