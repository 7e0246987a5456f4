"""Dify's conditions on metadata as our filters.

Dify's forms give values as text, whatever the metadata hold. So a text that spells a number or a truth value stands for
that as well, and a date for the second of the Unix epoch at which it begins, in UTC.

An operator that negates is the exact opposite of the one that does not: documents without the name match it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from db.filters import (
    And,
    Contains,
    Empty,
    EndsWith,
    Filter,
    Gt,
    Gte,
    In,
    Lt,
    Lte,
    Not,
    Or,
    StartsWith,
)
from service.dify.schemas import Condition, MetadataCondition, Operator, Scalar

_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?")
_BOOLEANS = {"true": True, "false": False}

Value = Scalar | list[Scalar] | None
Ordering = type[Gt] | type[Gte] | type[Lt] | type[Lte]


class ValueUnusable(ValueError):
    """An operator cannot do anything with its value; the message says why."""


def to_filter(given: MetadataCondition | None) -> Filter | None:
    """Return conditions as one filter, None where there are none. Raises ValueUnusable."""
    if given is None or not given.conditions:
        return None
    filters = [_condition(condition) for condition in given.conditions]
    return Or(filters=filters) if given.logical_operator == "or" else And(filters=filters)


def _condition(condition: Condition) -> Filter:
    names = [condition.name] if isinstance(condition.name, str) else condition.name
    operator, negated = condition.comparison_operator, False
    if operator in _OPPOSITES:
        operator, negated = _OPPOSITES[operator], True
    matches: Filter = Or(filters=[_FILTERS[operator](name, condition.value) for name in names])
    return Not(filter=matches) if negated else matches


def _equals(name: str, value: Value) -> Filter:
    return In(key=name, value=[*_spellings(_single(value))])


def _is_one_of(name: str, value: Value) -> Filter:
    """A text is a list with commas between, as Dify's own knowledge bases have it."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not value:
        raise ValueUnusable("in and not in need a value: a list, or a text with commas.")
    return In(key=name, value=[spelling for item in value for spelling in _spellings(item)])


def _part(kind: type[Contains] | type[StartsWith] | type[EndsWith]) -> Callable[[str, Value], Filter]:
    def make(name: str, value: Value) -> Filter:
        return kind(key=name, value=_text(_single(value)))

    return make


def _order(kind: Ordering) -> Callable[[str, Value], Filter]:
    def make(name: str, value: Value) -> Filter:
        given = _single(value)
        number = _number(given)
        return kind(key=name, value=_text(given) if number is None else number)

    return make


def _moment(kind: Ordering) -> Callable[[str, Value], Filter]:
    """A moment is a number of seconds or a date in ISO 8601: either is compared with what it is in the metadata."""

    def make(name: str, value: Value) -> Filter:
        given = _single(value)
        number = _number(given)
        try:
            if number is not None:
                text = datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            else:
                text = _text(given)
                moment = datetime.fromisoformat(text)
                number = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError, OSError) as exc:
            raise ValueUnusable(
                "before and after need a moment: seconds, or a date such as 2026-01-31T12:00:00Z."
            ) from exc
        return Or(filters=[kind(key=name, value=number), kind(key=name, value=text)])

    return make


def _something(name: str, _: Value) -> Filter:
    return Not(filter=Empty(key=name))


def _single(value: Value) -> Scalar:
    if isinstance(value, list):
        value = value[0] if len(value) == 1 else None
    if value is None:
        raise ValueUnusable("The operator needs one value.")
    return value


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else f"{value:.15g}"


def _number(value: Scalar) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return value
    if _NUMBER.fullmatch(value.strip()) is None:
        return None
    return float(value) if "." in value else int(value)


def _spellings(value: Scalar) -> list[str | int | float | bool | None]:
    """Return what a value is equal to: itself, and the same as text, number or truth value."""
    found: list[str | int | float | bool | None] = [value]
    if not isinstance(value, str):
        found.append(_text(value))
    elif (number := _number(value)) is not None:
        found.append(number)
    elif value.lower() in _BOOLEANS:
        found.append(_BOOLEANS[value.lower()])
    return found


_OPPOSITES: Mapping[Operator, Operator] = {
    "not contains": "contains",
    "is not": "is",
    "≠": "=",
    "not in": "in",
    "empty": "not empty",
}

_FILTERS: Mapping[Operator, Callable[[str, Value], Filter]] = {
    "contains": _part(Contains),
    "start with": _part(StartsWith),
    "end with": _part(EndsWith),
    "is": _equals,
    "=": _equals,
    "in": _is_one_of,
    "not empty": _something,
    ">": _order(Gt),
    "<": _order(Lt),
    "≥": _order(Gte),
    "≤": _order(Lte),
    "before": _moment(Lt),
    "after": _moment(Gt),
}
