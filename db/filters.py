"""Metadata filters: what they are, and the one jsonpath predicate that each becomes.

A filter is about the value that a document's metadata has under a key.

- Types count: ``eq 5`` does not match "5". gt, gte, lt and lte compare numbers with numbers and strings with
  strings (by code point); other pairs never match.
- A list matches when one of its items does.
- ``contains``, ``startswith`` and ``endswith`` are about strings, compared as they are; nothing in them is a pattern.
- ``empty`` is about what is not there: no such key, null, "", or a list with nothing else in it.
- ``ne`` and ``nin`` are exactly the opposite of ``eq`` and ``in``, and ``not`` of whatever stands in it. So a document
  without the key matches them and ``empty``, and no other operator.
"""

import json
import re
from typing import Annotated, TypeAlias

import msgspec

MAX_DEPTH = 8
MAX_CONDITIONS = 200
MAX_PART_CHARS = 1000
"""Of a part of a string that is looked for: PostgreSQL compiles it like a regular expression."""
MAX_PATTERNS = 16
"""Of contains and endswith in one filter. PostgreSQL keeps 32 regular expressions compiled; with more, it compiles each
anew for each document: 40 of 20 characters take 4.5 s on 10,000 documents, 31 take 0.4 s."""

Scalar: TypeAlias = str | int | float | bool | None
Comparable: TypeAlias = str | int | float
Part: TypeAlias = Annotated[str, msgspec.Meta(max_length=MAX_PART_CHARS)]


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
    value: Part


class StartsWith(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Part


class EndsWith(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str
    value: Part


class Empty(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    key: str


class Not(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filter: "Filter"


class And(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


class Or(_Condition, frozen=True, kw_only=True, forbid_unknown_fields=True):
    filters: list["Filter"]


Filter: TypeAlias = (
    Eq | Ne | Gt | Gte | Lt | Lte | In | Nin | Contains | StartsWith | EndsWith | Empty | Not | And | Or
)

# Of PostgreSQL's regular expressions; its $ is the end of the string, also after a line end.
_SPECIAL = re.compile(r"[\\^$.|?*+()\[\]{}]")
_ESCAPED = r"\\\g<0>"

_ORDERINGS = {Gt: ">", Gte: ">=", Lt: "<", Lte: "<="}


def compile_filter(condition: Filter) -> str:
    """Return a jsonpath predicate for ``metadata @@ $1::jsonpath``. Raises FilterUnusable.

    Keys and values are quoted as JSON strings, which is how jsonpath quotes; nothing of a filter is SQL.
    """
    if _count(condition, depth=1) > MAX_CONDITIONS:
        raise FilterUnusable(f"A filter may have {MAX_CONDITIONS} conditions at most.")
    if _count_patterns(condition) > MAX_PATTERNS:
        raise FilterUnusable(f"A filter may have {MAX_PATTERNS} conditions of contains and endswith at most.")
    return _compile(condition)


def _count_patterns(condition: Filter) -> int:
    match condition:
        case And(filters=filters) | Or(filters=filters):
            return sum(map(_count_patterns, filters))
        case Not(filter=inner):
            return _count_patterns(inner)
        case _:
            return int(isinstance(condition, Contains | EndsWith))


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
        case Contains(value=part) | StartsWith(value=part) | EndsWith(value=part):
            if len(part) > MAX_PART_CHARS:
                raise FilterUnusable(f"A part of a text has {MAX_PART_CHARS:,} characters at most.")
            return 1
        case _:
            return 1


def _compile(condition: Filter) -> str:
    match condition:
        case And(filters=filters):
            return "(" + " && ".join(_compile(inner) for inner in filters) + ")"
        case Or(filters=filters):
            return "(" + " || ".join(_compile(inner) for inner in filters) + ")"
        case Not(filter=inner):
            # Not _negate, which names what it negates twice: nested, that would grow without measure.
            return f"(!exists($ ? ({_compile(inner)})))"
        case Eq(key=key, value=value):
            return _equals_any(key, [value])
        case In(key=key, value=values):
            return _equals_any(key, values)
        case Ne(key=key, value=value):
            return _negate(_equals_any(key, [value]))
        case Nin(key=key, value=values):
            return _negate(_equals_any(key, values))
        case Contains(key=key, value=value):
            return (
                f'({_path(key)} like_regex {_literal(value)} flag "q")'  # q: quoted, no character is special
            )
        case StartsWith(key=key, value=value):
            return f"({_path(key)} starts with {_literal(value)})"
        case EndsWith(key=key, value=value):
            return f"({_path(key)} like_regex {_literal(_SPECIAL.sub(_ESCAPED, value) + '$')})"
        case Empty(key=key):
            # What is no string is not comparable with "": unknown, and so something.
            something = f'{_path(key)}[*] ? (!(@ == null) && (@ != "" || (@ == "") is unknown))'
            return f"(!exists({something}))"
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
