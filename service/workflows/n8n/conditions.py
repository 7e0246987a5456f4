"""n8n's comparisons, of both forms, as ours."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.workflows.n8n.node import Source, Target, dig, listed, without_none

_OPERATORS: Mapping[str, str] = {
    "equal": "equals", "equals": "equals", "notEqual": "notEquals", "notEquals": "notEquals",
    "contains": "contains", "notContains": "notContains", "startsWith": "startsWith", "endsWith": "endsWith",
    "larger": "greater", "gt": "greater", "largerEqual": "greaterOrEqual", "gte": "greaterOrEqual",
    "smaller": "less", "lt": "less", "smallerEqual": "lessOrEqual", "lte": "lessOrEqual",
    "after": "greater", "afterOrEquals": "greaterOrEqual", "before": "less", "beforeOrEquals": "lessOrEqual",
    "isEmpty": "isEmpty", "empty": "isEmpty", "isNotEmpty": "isNotEmpty", "notEmpty": "isNotEmpty",
    "exists": "exists", "notExists": "notExists", "true": "isTrue", "false": "isFalse",
}  # fmt: skip
_ALONE = frozenset({"isEmpty", "isNotEmpty", "exists", "notExists", "isTrue", "isFalse"})
# What n8n compares by where nothing is chosen.
_DEFAULTS = {"number": "smaller", "dateTime": "after"}


def conditions_of(source: Source, value: Any) -> dict[str, Any]:
    """Return conditions and combinator; both forms of n8n's are read."""
    if dig(value, "options", "caseSensitive") is False or source.get("options", "ignoreCase") is True:
        source.note(
            "compares texts whatever their case: here put '| lower' into the expressions of both sides"
        )
    if isinstance(dig(value, "conditions"), list):
        found = [_new(source, one) for one in listed(dig(value, "conditions"))]
        together = dig(value, "combinator")
    else:
        found = list(_old(source, value))
        together = "or" if source.get("combineOperation") == "any" else "and"
    return {
        "conditions": [one for one in found if one is not None],
        "combinator": "or" if together == "or" else "and",
    }


def _new(source: Source, one: Mapping[str, Any]) -> dict[str, Any] | None:
    return compared(
        source, one.get("leftValue"), str(dig(one, "operator", "operation")), one.get("rightValue")
    )


def _old(source: Source, value: Any) -> Iterator[dict[str, Any] | None]:
    for kind in ("boolean", "dateTime", "number", "string"):
        for one in listed(dig(value, kind)):
            operation = str(one.get("operation") or _DEFAULTS.get(kind, "equal"))
            yield compared(source, one.get("value1"), operation, one.get("value2"))


def compared(source: Source, left: Any, operation: str, right: Any) -> dict[str, Any] | None:
    operator = _OPERATORS.get(operation)
    if operator is None:
        source.note(f"compares by {operation!r}, which there is not: the condition is left out")
        return None
    translate = source.translator.value
    return {"left": translate(left), "operator": operator} | (
        {} if operator in _ALONE else {"right": translate(right)}
    )


def if_node(source: Source) -> Target:
    return Target("if", conditions_of(source, source.get("conditions")), outputs=("true", "false"))


def filter_node(source: Source) -> Target:
    return Target("if", conditions_of(source, source.get("conditions")), outputs=("true",))


def switch_node(source: Source) -> Target:
    if source.get("mode") == "expression":
        source.note("chooses its output by an expression: give it rules")
        return Target("switch", {"rules": []}, outputs=tuple(f"output-{number}" for number in range(10)))
    new = listed(source.get("rules", "values"))
    old = listed(source.get("rules", "rules"))
    rules = [_new_rule(source, rule, place) for place, rule in enumerate(new)]
    rules += [_old_rule(source, rule, place) for place, rule in enumerate(old)]
    names = [str(rule["output"]) for rule in rules]
    if old and not all(rule.get("outputKey") for rule in old):
        # The first form names its outputs by numbers, several rules to one.
        names = list(dict.fromkeys(f"output-{number}" for number in range(4)))
    fallback = source.get("options", "fallbackOutput") if new else source.get("fallbackOutput")
    outputs: list[str | None] = [*names]
    if fallback == "extra":
        outputs.append("default")
    elif isinstance(fallback, int) and fallback >= 0:
        source.note(f"sends what meets no rule to output {fallback}: connect 'default' to where that leads")
    mode = "all" if source.get("options", "allMatchingOutputs") is True else None
    return Target("switch", without_none({"rules": rules, "mode": mode}), outputs=tuple(outputs))


def _new_rule(source: Source, rule: Mapping[str, Any], place: int) -> dict[str, Any]:
    name = rule.get("outputKey") if rule.get("renameOutput") else None
    return {"output": str(name or f"output-{place}")} | conditions_of(source, rule.get("conditions"))


def _old_rule(source: Source, rule: Mapping[str, Any], place: int) -> dict[str, Any]:
    number = rule.get("output", place if rule.get("outputKey") else 0)
    operation = str(rule.get("operation") or ("smaller" if source.get("dataType") == "number" else "equal"))
    found = compared(source, source.get("value1"), operation, rule.get("value2"))
    return {
        "output": str(rule.get("outputKey") or f"output-{number}"),
        "conditions": [found] if found is not None else [],
    }
