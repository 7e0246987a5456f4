"""Metadata filters: what they are, and the one jsonpath predicate that each becomes.

A filter is about the value that a document's metadata has under a key.

- Types count: ``eq 5`` does not match "5". gt, gte, lt and lte compare numbers with numbers and strings with
  strings (by code point); other pairs never match.
- A list matches when one of its items does.
- ``ne`` and ``nin`` are exactly the opposite of ``eq`` and ``in``. So a document without the key matches them,
  and no other operator.
"""

import json
from typing import TypeAlias

import msgspec

MAX_DEPTH = 8
MAX_CONDITIONS = 200

Scalar: TypeAlias = str | int | float | bool | None
Comparable: TypeAlias = str | int | float


class FilterUnusable(ValueError):
    """A well-formed filter that cannot be applied; the message says why."""


class _Condition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag=str.lower
):
    """The name of a class, in lower case, is its operator in JSON."""


class Eq(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Scalar


class Ne(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Scalar


class Gt(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Comparable


class Gte(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Comparable


class Lt(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Comparable


class Lte(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Comparable


class In(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: list[Scalar]


class Nin(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: list[Scalar]


class And(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


class Or(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


Filter: TypeAlias = Eq | Ne | Gt | Gte | Lt | Lte | In | Nin | And | Or

_ORDERINGS = {Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}


def compile_filter(condition: Filter) -> str:
    """Return a jsonpath predicate for ``metadata @@ $1::jsonpath``. Raises FilterUnusable.

    Keys and values are quoted as JSON strings, which is how jsonpath quotes; nothing of a filter is SQL.
    """
    if _count(condition, depth=1) > MAX_CONDITIONS:
        raise FilterUnusable(f"A filter may have {MAX_CONDITIONS} conditions at most.")
    return _compile(condition)


def _count(condition: Filter, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise FilterUnusable(f"A filter may be nested {MAX_DEPTH} deep at most.")
    match condition:
        case And(filters=filters) | Or(filters=filters):
            if not filters:
                raise FilterUnusable("and and or need at least one filter.")
            return sum(_count(inner, depth + 1) for inner in filters)
        case In(value=values) | Nin(value=values):
            return max(1, len(values))
        case _:
            return 1


def _compile(condition: Filter) -> str:
    match condition:
        case And(filters=filters):
            return "(" + " && ".join(_compile(inner) for inner in filters) + ")"
        case Or(filters=filters):
            return "(" + " || ".join(_compile(inner) for inner in filters) + ")"
        case Eq(key=key, value=value):
            return _equals_any(key, [value])
        case In(key=key, value=values):
            return _equals_any(key, values)
        case Ne(key=key, value=value):
            return _negate(_equals_any(key, [value]))
        case Nin(key=key, value=values):
            return _negate(_equals_any(key, values))
        case Gt() | Gte() | Lt() | Lte():
            return f"({_path(condition.key)} {_ORDERINGS[type(condition)]} {_literal(condition.value)})"


def _equals_any(key: str, values: list[Scalar]) -> str:
    # jsonpath has no constant: 1 == 0 is how it says "never".
    return "(" + (" || ".join(f"{_path(key)} == {_literal(value)}" for value in values) or "1 == 0") + ")"


def _negate(predicate: str) -> str:
    # A comparison of different types is unknown, and so is its negation: unknown is not a match either.
    return f"(!({predicate}) || ({predicate}) is unknown)"


def _path(key: str) -> str:
    return f"$.{_literal(key)}"


def _literal(value: Scalar) -> str:
    if isinstance(value, str) and ("\0" in value or not _is_encodable(value)):
        raise FilterUnusable("A filter may hold neither NUL characters nor lone surrogates.")
    return json.dumps(value, ensure_ascii=False)


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
