"""Dify's metadata conditions as filters.

Dify's values come as text where somebody typed them: a number in text is looked for as a number too, and the other way
round. Dates are compared as they are written, so those that are written alike, as 2024-05-01, and numbers.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from db.filters import (
    And,
    Contains,
    EndsWith,
    Exists,
    Filter,
    Gt,
    Gte,
    In,
    Lt,
    Lte,
    Not,
    Or,
    Scalar,
    StartsWith,
)
from service.dify.schemas import Condition, MetadataCondition, Value
from service.errors import Problem


def to_filter(condition: MetadataCondition | None) -> Filter | None:
    """Return one filter in which all or any of the conditions hold, None where there are none. Raises Problem 400."""
    if condition is None or not condition.conditions:
        return None
    filters = [_one(single) for single in condition.conditions]
    if len(filters) == 1:
        return filters[0]
    return Or(filters=filters) if condition.logical_operator == "or" else And(filters=filters)


def _one(condition: Condition) -> Filter:
    build, opposite = _OPERATORS[condition.comparison_operator]
    names = [condition.name] if isinstance(condition.name, str) else condition.name
    filters = [build(name, _values(condition)) for name in names]
    found = filters[0] if len(filters) == 1 else Or(filters=filters)
    return Not(filter=found) if opposite else found


def _values(condition: Condition) -> list[Value]:
    """Return the values, of which one is enough; none for what needs none."""
    operator, value = condition.comparison_operator, condition.value
    if operator in {"empty", "not empty"}:
        return []
    if value is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"metadata_condition: `{operator}` needs a value.")
    if operator in {"in", "not in"} and isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return value if isinstance(value, list) else [value]


def _equal(name: str, values: list[Value]) -> Filter:
    return In(key=name, value=[form for value in values for form in _forms(value)])


def _forms(value: Value) -> list[Scalar]:
    """Return a value as it is, and as it would be as text or as a number."""
    if not isinstance(value, str):
        return [value, str(value)]
    number = _number(value)
    return [value] if isinstance(number, str) else [value, number]


def _number(value: Value) -> Value:
    """Return the number that a text is, or what it is where it is none."""
    if not isinstance(value, str):
        return value
    for kind in (int, float):
        try:
            number = kind(value)
        except ValueError:
            continue
        # JSON has neither nan nor inf; int() would read any script's digits, and underscores.
        return number if value.isascii() and "_" not in value and abs(number) < 1e300 else value
    return value


def _text(kind: Callable[..., Filter]) -> Callable[[str, list[Value]], Filter]:
    return lambda name, values: _any([kind(key=name, value=str(value)) for value in values])


def _order(kind: Callable[..., Filter]) -> Callable[[str, list[Value]], Filter]:
    return lambda name, values: _any([kind(key=name, value=_number(value)) for value in values])


def _any(filters: list[Filter]) -> Filter:
    if not filters:
        raise Problem(HTTPStatus.BAD_REQUEST, "metadata_condition: an empty list is no value.")
    return filters[0] if len(filters) == 1 else Or(filters=filters)


def _exists(name: str, _: list[Value]) -> Filter:
    return Exists(key=name)


_OPERATORS: Mapping[str, tuple[Callable[[str, list[Value]], Filter], bool]] = {
    "contains": (_text(Contains), False),
    "not contains": (_text(Contains), True),
    "start with": (_text(StartsWith), False),
    "end with": (_text(EndsWith), False),
    "is": (_equal, False),
    "is not": (_equal, True),
    "in": (_equal, False),
    "not in": (_equal, True),
    "empty": (_exists, True),
    "not empty": (_exists, False),
    "=": (_equal, False),
    "≠": (_equal, True),
    ">": (_order(Gt), False),
    "<": (_order(Lt), False),
    "≥": (_order(Gte), False),
    "≤": (_order(Lte), False),
    "before": (_order(Lt), False),
    "after": (_order(Gt), False),
}
"""Dify's operator → how its filter is made, and whether the opposite of that is meant."""
