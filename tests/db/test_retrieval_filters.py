"""Metadata filters, against a reference written in Python and run by PostgreSQL."""

import json
from typing import Any, TypeAlias

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.filters import (
    And,
    Contains,
    EndsWith,
    Eq,
    Exists,
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
STRINGS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
# Few letters, so that parts are found; and all that means something in a regular expression or in jsonpath.
PARTS = STRINGS | st.text("ab\n\\.^$*+?()[]{}|\"'#-:=é", max_size=3)
NUMBERS = st.integers(-3, 3) | st.sampled_from([-0.5, 1.5, 1e20])
SCALARS = NUMBERS | STRINGS | PARTS | st.booleans() | st.none()
METADATA = st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3) | st.just({"year": 1}), max_size=4)


def conditions(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.builds(And, filters=lists) | st.builds(Or, filters=lists) | st.builds(Not, filter=inner)


LEAVES: st.SearchStrategy[Filter] = st.one_of(
    *(st.builds(kind, key=KEYS, value=SCALARS) for kind in (Eq, Ne)),
    *(st.builds(kind, key=KEYS, value=NUMBERS | STRINGS) for kind in (Gt, Gte, Lt, Lte)),
    *(st.builds(kind, key=KEYS, value=st.lists(SCALARS, max_size=3)) for kind in (In, Nin)),
    *(st.builds(kind, key=KEYS, value=PARTS) for kind in (Contains, StartsWith, EndsWith)),
    st.builds(Exists, key=KEYS),
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
        case Ne(key=key, value=value):
            return not matches(Eq(key=key, value=value), metadata)
        case Nin(key=key, value=value):
            return not matches(In(key=key, value=value), metadata)
        case In(key=key, value=values):
            return any(matches(Eq(key=key, value=value), metadata) for value in values)
    held = metadata.get(condition.key, [])
    return any(compare(condition, item) for item in (held if isinstance(held, list) else [held]))


Comparison: TypeAlias = Eq | Gt | Gte | Lt | Lte | Contains | StartsWith | EndsWith | Exists


def compare(condition: Comparison, item: Any) -> bool:
    if isinstance(condition, Exists):
        return item is not None
    value: Any = condition.value
    if kind_of(item) != kind_of(value):
        return False
    match condition:
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
        case Contains():
            return value in item
        case StartsWith():
            return bool(item.startswith(value))
        case EndsWith():
            return bool(item.endswith(value))


def kind_of(value: Any) -> type:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
        ('{"type": "starts_with", "key": "lang", "value": "d"}', StartsWith(key="lang", value="d")),
        ('{"type": "not", "filter": {"type": "exists", "key": "k"}}', Not(filter=Exists(key="k"))),
        (
            '{"type": "or", "filters": [{"type": "lt", "key": "year", "value": 2.5}]}',
            Or(filters=[Lt(key="year", value=2.5)]),
        ),
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
        {"type": "contains", "key": "year", "value": 1},
        {"type": "exists", "key": "year", "value": 1},
        {"type": "not", "filters": []},
        {"type": "eq", "key": 1, "value": 1},
        {"type": "eq", "value": 1},
        {"type": "eq", "key": "year", "value": 1, "extra": 1},
        {"key": "year", "value": 1},
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
        In(key="k", value=list(range(201))),
        Not(filter=And(filters=[])),
        Eq(key="a\0", value=1),
        Contains(key="a", value="a\0"),
        Exists(key="\ud800"),
        EndsWith(key="a", value="x" * 1001),
        Or(filters=[Contains(key="a", value=str(i)) for i in range(17)]),
        Eq(key="a", value="\ud800"),
    ],
)
def test_what_cannot_be_applied_says_so(condition: Filter) -> None:
    with pytest.raises(FilterUnusable):
        compile_filter(condition)


def test_the_deepest_and_widest_are_accepted() -> None:
    compile_filter(nested(8))
    compile_filter(In(key="k", value=list(range(200))))


async def test_the_longest_and_most_patterns_are_run(conn: Conn) -> None:
    condition = Or(filters=[Contains(key="k", value=chr(97 + i) * 1000) for i in range(16)])
    value = {"k": "x" + "p" * 1000}
    found = await conn.fetchval("SELECT $1::jsonb @@ $2::text::jsonpath", value, compile_filter(condition))
    assert found is True


def test_opposites_do_not_pile_up() -> None:
    condition: Filter = Eq(key="k", value="v" * 100)
    for _ in range(7):
        condition = Not(filter=condition)
    assert len(compile_filter(condition)) < 300


@pytest.mark.parametrize(
    "text", ["a.b", "***=a", "(?i)A", r"\d", "a\nb", "$", "^", "[[:alpha:]]", "a{2}", "|"]
)
async def test_nothing_in_a_pattern_means_anything(conn: Conn, text: str) -> None:
    for condition in (Contains(key="k", value=text), EndsWith(key="k", value=text)):
        sql = "SELECT $1::jsonb @@ $2::text::jsonpath"
        assert await conn.fetchval(sql, {"k": f"aab1{text}"}, compile_filter(condition)) is True
        assert await conn.fetchval(sql, {"k": "aab1 a.\nb"}, compile_filter(condition)) is False
