"""Conditions that ask whether something is there: what is missing is their answer, and no mistake of an expression."""

from typing import Any

import msgspec

from service.engine.definition import NodeDef
from service.engine.expressions import ExpressionError, is_one_expression

_ASK = frozenset({"exists", "notExists", "isEmpty", "isNotEmpty"})
_TYPES = frozenset({"if", "switch"})


def allow_absent(node: NodeDef) -> NodeDef:
    """Return a node in whose conditions `left` is null where it is one expression that leads to nothing."""
    if node.type not in _TYPES:
        return node
    data = _with_conditions(node.data)
    if isinstance(rules := data.get("rules"), list):
        data["rules"] = [_with_conditions(rule) if isinstance(rule, dict) else rule for rule in rules]
    return msgspec.structs.replace(node, data=data)


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
