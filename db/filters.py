"""Metadata filters: what they are, and the one jsonpath predicate that each becomes.

A filter is about the value that a document's metadata has under a key.

- Types count: ``eq 5`` does not match "5". gt, gte, lt and lte compare numbers with numbers and strings with
  strings (by code point); other pairs never match.
- ``contains``, ``starts_with`` and ``ends_with`` compare strings with strings, by code point and letter by letter.
- ``exists`` matches what is there and not null.
- A list matches when one of its items does.
- ``ne`` and ``nin`` are exactly the opposite of ``eq`` and ``in``, and ``not`` is of whatever it holds. So a document
  without the key matches them, and no other operator.
"""

import json
import re
from typing import TypeAlias

import msgspec

MAX_DEPTH = 8
MAX_CONDITIONS = 200
MAX_PATTERNS = 16
"""Of contains and ends_with in one filter: they are regular expressions, of which PostgreSQL keeps 32 compiled."""
MAX_PATTERN_CHARS = 1000

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


class Contains(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: str


class StartsWith(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="starts_with"):
    key: str
    value: str


class EndsWith(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ends_with"):
    key: str
    value: str


class Exists(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str


class And(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


class Or(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


class Not(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filter: "Filter"


Filter: TypeAlias = (
    Eq | Ne | Gt | Gte | Lt | Lte | In | Nin | Contains | StartsWith | EndsWith | Exists | And | Or | Not
)

_ORDERINGS = {Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}


def compile_filter(condition: Filter) -> str:
    """Return a jsonpath predicate for ``metadata @@ $1::jsonpath``. Raises FilterUnusable.

    Keys and values are quoted as JSON strings, which is how jsonpath quotes; nothing of a filter is SQL.
    """
    if _count(condition, depth=1) > MAX_CONDITIONS:
        raise FilterUnusable(f"A filter may have {MAX_CONDITIONS} conditions at most.")
    if _count_patterns(condition) > MAX_PATTERNS:
        raise FilterUnusable(
            f"A filter may have {MAX_PATTERNS} conditions of contains and ends_with at most."
        )
    return _compile(condition, negated=False)


def _count(condition: Filter, depth: int) -> int:
    if depth > MAX_DEPTH:
        raise FilterUnusable(f"A filter may be nested {MAX_DEPTH} deep at most.")
    match condition:
        case And(filters=filters) | Or(filters=filters):
            if not filters:
                raise FilterUnusable("and and or need at least one filter.")
            return sum(_count(inner, depth + 1) for inner in filters)
        case Not(filter=inner):
            return _count(inner, depth + 1)
        case In(value=values) | Nin(value=values):
            return max(1, len(values))
        case _:
            return 1


def _count_patterns(condition: Filter) -> int:
    match condition:
        case And(filters=filters) | Or(filters=filters):
            return sum(map(_count_patterns, filters))
        case Not(filter=inner):
            return _count_patterns(inner)
        case _:
            return int(isinstance(condition, Contains | EndsWith))


def _compile(condition: Filter, negated: bool) -> str:
    """Return the predicate, or its opposite. Opposites are taken of single comparisons only (De Morgan).

    So the predicate grows no faster than the filter, and where comparisons are unknown, no more is true than is said.
    """
    match condition:
        case And(filters=filters) | Or(filters=filters):
            joint = " && " if isinstance(condition, And) is not negated else " || "
            return "(" + joint.join(_compile(inner, negated) for inner in filters) + ")"
        case Not(filter=inner):
            return _compile(inner, not negated)
        case Ne(key=key, value=value):
            return _compile(Eq(key=key, value=value), not negated)
        case Nin(key=key, value=values):
            return _compile(In(key=key, value=values), not negated)
        case _:
            predicate = _compare(condition)
            return _negate(predicate) if negated else predicate


def _compare(
    condition: Eq | In | Gt | Gte | Lt | Lte | Contains | StartsWith | EndsWith | Exists,
) -> str:
    match condition:
        case Eq(key=key, value=value):
            return _equals_any(key, [value])
        case In(key=key, value=values):
            return _equals_any(key, values)
        case Contains(key=key, value=value):
            return _matches(key, value, end="")
        case EndsWith(key=key, value=value):
            return _matches(key, value, end="$")
        case StartsWith(key=key, value=value):
            return f"({_path(key)} starts with {_literal(value)})"
        case Exists(key=key):
            return f"(exists({_path(key)} ? (@ != null)))"
        case Gt() | Gte() | Lt() | Lte():
            return f"({_path(condition.key)} {_ORDERINGS[type(condition)]} {_literal(condition.value)})"


# What means something in PostgreSQL's regular expressions; a backslash before it takes the meaning away.
_SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")


def _matches(key: str, value: str, end: str) -> str:
    if len(value) > MAX_PATTERN_CHARS:
        raise FilterUnusable(f"contains and ends_with take {MAX_PATTERN_CHARS:,} characters at most.")
    pattern = _SPECIAL.sub(r"\\\g<0>", value) + end
    return f"({_path(key)} like_regex {_literal(pattern)})"


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
