"""n8n's Edit Fields, in the forms that it has had."""

from collections.abc import Iterator
from typing import Any

from service.workflows.n8n.flow import read_json
from service.workflows.n8n.node import Source, Target, listed

_TYPED = ("stringValue", "numberValue", "booleanValue", "arrayValue", "objectValue")


def set_fields(source: Source) -> Target:
    if source.get("mode") in {"raw", "json"}:
        fields = read_json(source, source.get("jsonOutput"))
        if not isinstance(fields, dict):
            source.note("sets what its JSON says, which cannot be read: give fields")
            fields = {}
    else:
        fields = dict(_fields(source))
    keeps = _keeps(source)
    if keeps and not fields:
        return Target("set", disabled=True)  # it passes on what comes in
    return Target("set", {"fields": fields} | ({} if keeps else {"mode": "replace"}))


def _keeps(source: Source) -> bool:
    """Return whether the item's other fields stay."""
    if source.version < 3:
        return not source.get("keepOnlySet")
    # Exports leave defaults out: until 3.2 all fields are kept, from 3.3 on none.
    by_flag = source.version >= 3.3 or "includeOtherFields" in source.parameters
    included = source.get("include") or "all"
    keeps = bool(source.get("includeOtherFields")) if by_flag else included != "none"
    if keeps and included not in {"all", "none"}:
        source.note(f"keeps fields by {included!r}: here all are kept, or none")
    return keeps


def _fields(source: Source) -> Iterator[tuple[str, Any]]:
    for one in listed(source.get("assignments", "assignments")):
        yield _name(source, one), _typed(source, one.get("value"), str(one.get("type") or "string"))
    for one in listed(source.get("fields", "values")):
        chosen = one.get("type")
        key = chosen if chosen in _TYPED else next((key for key in _TYPED if key in one), "value")
        yield _name(source, one), _typed(source, one.get(key, ""), key.removesuffix("Value"))
    values = source.get("values")
    for kind in values if isinstance(values, dict) else ():
        for one in listed(values[kind]):
            yield _name(source, one), source.translator.value(one.get("value", ""))


def _name(source: Source, one: Any) -> str:
    return source.translator.text(str(one.get("name", "")))


def _typed(source: Source, value: Any, kind: str) -> Any:
    if kind in {"array", "object"} and isinstance(value, str):
        return read_json(source, value)
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    if kind == "number" and isinstance(value, str) and not value.startswith("="):
        try:
            return int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            return value
    return source.translator.value(value)
