"""Metadata filters, against a reference written in Python and run by PostgreSQL."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.filters import (
    MAX_PART_CHARS,
    MAX_PATTERNS,
    And,
    Contains,
    Empty,
    EndsWith,
    Eq,
    Filter,
    FilterUnusable,
    Gt,
    Gte,
    In,
    Lt,
    Lte,
    Ne,
    Nin,
    Not,
    Or,
    StartsWith,
    compile_filter,
)
from db.pool import Conn

KEYS = st.sampled_from(["year", "lang", 'a"b', "a.b", "$", "é\\", ""])
# The second, so that parts of strings are found; with what is special in regular expressions.
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3) | st.text(
    "aA.\n\\^$*+?()[]{}|-é𝄞'\"", max_size=4
)
NUMBERS = st.integers(-3, 3) | st.sampled_from([-0.5, 1.5, 1e20])
SCALARS = NUMBERS | STRINGS | st.booleans() | st.none()
METADATA = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3) | st.just({"year": 1}), max_size=4)


def conditions(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.builds(And, filters=lists) | st.builds(Or, filters=lists) | st.builds(Not, filter=inner)


LEAVES: st.SearchStrategy[Filter] = st.one_of(
    *(st.builds(kind, key=KEYS, value=SCALARS) for kind in (Eq, Ne)),
    *(st.builds(kind, key=KEYS, value=NUMBERS | STRINGS) for kind in (Gt, Gte, Lt, Lte)),
    *(st.builds(kind, key=KEYS, value=st.lists(SCALARS, max_size=3)) for kind in (In, Nin)),
    *(st.builds(kind, key=KEYS, value=STRINGS) for kind in (Contains, StartsWith, EndsWith)),
    st.builds(Empty, key=KEYS),
)
FILTERS = st.recursive(LEAVES, conditions, max_leaves=5)


def matches(condition: Filter, metadata: dict[str, Any]) -> bool:
    """What db.filters says in words."""
    match condition:
        case And(filters=filters):
            return all(matches(inner, metadata) for inner in filters)
        case Or(filters=filters):
            return any(matches(inner, metadata) for inner in filters)
        case Not(filter=inner):
            return not matches(inner, metadata)
        case Empty(key=key):
            held = metadata.get(key)
            return all(item in (None, "") for item in (held if isinstance(held, list) else [held]))
        case Ne(key=key, value=value):
            return not matches(Eq(key=key, value=value), metadata)
        case Nin(key=key, value=value):
            return not matches(In(key=key, value=value), metadata)
        case In(key=key, value=values):
            return any(matches(Eq(key=key, value=value), metadata) for value in values)
    held = metadata.get(condition.key, [])
    return any(compare(condition, item) for item in (held if isinstance(held, list) else [held]))


def compare(condition: Eq | Gt | Gte | Lt | Lte | Contains | StartsWith | EndsWith, item: Any) -> bool:
    value: Any = condition.value
    if kind_of(item) != kind_of(value):
        return False
    match condition:
        case Contains():
            return bool(value in item)
        case StartsWith():
            return bool(item.startswith(value))
        case EndsWith():
            return bool(item.endswith(value))
        case Eq():
            return bool(item == value)
        case Gt():
            return bool(item > value)
        case Gte():
            return bool(item >= value)
        case Lt():
            return bool(item < value)
        case Lte():
            return bool(item <= value)


def kind_of(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


@pytest.mark.parametrize(
    "text", ["a.b", "$^", "***=a", "(?i)A", "[a]{2}", "\\", "a\\", "line\n", "\n", "'", "𝄞", ""]
)
@pytest.mark.parametrize("kind", [Contains, StartsWith, EndsWith])
async def test_nothing_in_a_part_of_a_string_is_special(conn: Conn, kind: Any, text: str) -> None:
    for held in (text, f"x{text}", f"{text}x", f"x{text}x", "A", "aa", "a\n", 1, None, ["no", f"x{text}"]):
        condition = kind(key="k", value=text)
        found = await conn.fetchval(
            "SELECT $1::jsonb @@ $2::text::jsonpath", {"k": held}, compile_filter(condition)
        )
        assert bool(found) is matches(condition, {"k": held}), held


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=FILTERS, metadata=METADATA)
async def test_a_filter_means_what_is_written(
    conn: Conn, condition: Filter, metadata: dict[str, Any]
) -> None:
    found = await conn.fetchval("SELECT $1::jsonb @@ $2::text::jsonpath", metadata, compile_filter(condition))
    assert bool(found) is matches(condition, metadata)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('{"type": "eq", "key": "lang", "value": "de"}', Eq(key="lang", value="de")),
        ('{"type": "nin", "key": "year", "value": [1, null]}', Nin(key="year", value=[1, None])),
        (
            '{"type": "or", "filters": [{"type": "lt", "key": "year", "value": 2.5}]}',
            Or(filters=[Lt(key="year", value=2.5)]),
        ),
        ('{"type": "startswith", "key": "lang", "value": "d"}', StartsWith(key="lang", value="d")),
        ('{"type": "not", "filter": {"type": "empty", "key": "lang"}}', Not(filter=Empty(key="lang"))),
    ],
)
def test_json_names_the_operator(text: str, condition: Filter) -> None:
    decoded: Any = msgspec.json.decode(text, type=Filter)
    assert decoded == condition


@pytest.mark.parametrize(
    "value",
    [
        {"type": "regex", "key": "lang", "value": "."},
        {"type": "gt", "key": "year", "value": True},
        {"type": "gt", "key": "year", "value": None},
        {"type": "in", "key": "year", "value": 1},
        {"type": "eq", "key": 1, "value": 1},
        {"type": "eq", "value": 1},
        {"type": "eq", "key": "year", "value": 1, "extra": 1},
        {"key": "year", "value": 1},
        {"type": "contains", "key": "lang", "value": 1},
        {"type": "contains", "key": "lang", "value": "x" * (MAX_PART_CHARS + 1)},
        {"type": "empty", "key": "lang", "value": "x"},
        {"type": "not", "filters": []},
    ],
)
def test_other_shapes_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(value), type=Filter)


def nested(depth: int) -> Filter:
    return Eq(key="k", value=1) if depth == 1 else And(filters=[nested(depth - 1)])


@pytest.mark.parametrize(
    "condition",
    [
        And(filters=[]),
        Or(filters=[]),
        nested(9),
        Not(filter=nested(8)),
        Contains(key="a", value="\0"),
        EndsWith(key="a", value="x" * (MAX_PART_CHARS + 1)),
        Or(filters=[Contains(key="a", value=str(i)) for i in range(MAX_PATTERNS + 1)]),
        Not(filter=Or(filters=[EndsWith(key="a", value=str(i)) for i in range(MAX_PATTERNS + 1)])),
        In(key="k", value=list(range(201))),
        Eq(key="a\0", value=1),
        Eq(key="a", value="\ud800"),
    ],
)
def test_what_cannot_be_applied_says_so(condition: Filter) -> None:
    with pytest.raises(FilterUnusable):
        compile_filter(condition)


def test_the_deepest_and_widest_are_accepted() -> None:
    compile_filter(nested(8))
    compile_filter(Contains(key="k", value="(" * MAX_PART_CHARS))
    compile_filter(In(key="k", value=list(range(200))))
    compile_filter(And(filters=[Contains(key="a", value=str(i)) for i in range(MAX_PATTERNS)]))
