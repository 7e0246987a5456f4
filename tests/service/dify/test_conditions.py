"""Each of Dify's operators, on documents whose metadata it holds for and on others, run by PostgreSQL."""

from typing import Any

import msgspec
import pytest

from db.filters import compile_filter
from db.pool import Conn
from service.dify.conditions import to_filter
from service.dify.schemas import MetadataCondition, Operator
from service.errors import Problem

DOCUMENTS: dict[str, dict[str, Any]] = {
    "report": {"kind": "annual report", "year": 2024, "day": "2024-05-01", "tags": ["tax", "law"]},
    "memo": {"kind": "memo", "year": 2023, "day": "2023-12-31", "tags": ["tax"]},
    "typed": {"kind": "Memo", "year": "2024", "day": None},
    "bare": {},
}
CASES: list[tuple[str, Operator, Any, set[str]]] = [
    ("kind", "contains", "repo", {"report"}),
    ("kind", "contains", ["repo", "emo"], {"report", "memo", "typed"}),
    ("tags", "contains", "la", {"report"}),
    ("kind", "not contains", "repo", {"memo", "typed", "bare"}),
    ("kind", "start with", "annual", {"report"}),
    ("kind", "end with", "emo", {"memo", "typed"}),
    ("kind", "is", "memo", {"memo"}),
    ("year", "is", "2024", {"report", "typed"}),
    ("kind", "is not", "memo", {"report", "typed", "bare"}),
    ("kind", "in", ["memo", "Memo"], {"memo", "typed"}),
    ("kind", "in", "memo, Memo", {"memo", "typed"}),
    ("year", "in", [2023], {"memo"}),
    ("kind", "not in", ["memo", "Memo"], {"report", "bare"}),
    ("day", "empty", None, {"typed", "bare"}),
    ("day", "not empty", None, {"report", "memo"}),
    ("year", "=", 2024, {"report", "typed"}),
    ("year", "=", "2024", {"report", "typed"}),
    ("year", "≠", 2024, {"memo", "bare"}),
    ("year", ">", 2023, {"report"}),
    ("year", ">", "2023", {"report"}),
    ("year", "<", 2024, {"memo"}),
    ("year", "≥", 2023, {"report", "memo"}),
    ("year", "≤", 2023.5, {"memo"}),
    ("day", "before", "2024-01-01", {"memo"}),
    ("day", "after", "2024-01-01", {"report"}),
    ("year", "after", 2023, {"report"}),
]


async def found(conn: Conn, condition: dict[str, Any]) -> set[str]:
    condition = {"conditions": condition["conditions"], **condition}
    chosen = to_filter(msgspec.convert(condition, MetadataCondition))
    assert chosen is not None
    sql = "SELECT COALESCE($1::jsonb @@ $2::text::jsonpath, false)"
    predicate = compile_filter(chosen)
    return {name for name, held in DOCUMENTS.items() if await conn.fetchval(sql, held, predicate)}


def test_every_operator_has_a_case() -> None:
    assert {operator for _, operator, _, _ in CASES} == set(Operator.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "operator", "value", "expected"), CASES)
async def test_an_operator_finds_what_it_says(
    conn: Conn, name: str, operator: str, value: Any, expected: set[str]
) -> None:
    single = {"name": name, "comparison_operator": operator}
    if value is not None:
        single["value"] = value
    assert await found(conn, {"conditions": [single]}) == expected
    # As earlier versions send it.
    assert await found(conn, {"conditions": [{**single, "name": [name]}]}) == expected


async def test_conditions_are_joined_as_is_said(conn: Conn) -> None:
    conditions = [
        {"name": "kind", "comparison_operator": "end with", "value": "emo"},
        {"name": "year", "comparison_operator": "=", "value": 2024},
    ]
    both, either = {"typed"}, {"report", "memo", "typed"}
    assert await found(conn, {"conditions": conditions}) == both
    assert await found(conn, {"conditions": conditions, "logical_operator": None}) == both
    assert await found(conn, {"conditions": conditions, "logical_operator": "and"}) == both
    assert await found(conn, {"conditions": conditions, "logical_operator": "or"}) == either


async def test_of_several_names_one_is_enough_and_none_may_match_the_opposite(conn: Conn) -> None:
    names = ["kind", "tags"]
    given = {"name": names, "comparison_operator": "contains", "value": "tax"}
    assert await found(conn, {"conditions": [given]}) == {"report", "memo"}
    opposite = {**given, "comparison_operator": "not contains"}
    assert await found(conn, {"conditions": [opposite]}) == {"typed", "bare"}


def test_no_condition_is_no_filter() -> None:
    assert to_filter(None) is None
    assert to_filter(MetadataCondition(conditions=[])) is None
    assert to_filter(MetadataCondition()) is None


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "١٢", "1e400", "9" * 400])
async def test_what_is_no_number_in_json_is_text(conn: Conn, text: str) -> None:
    single = {"name": "year", "comparison_operator": ">", "value": text}
    assert await found(conn, {"conditions": [single]}) <= {"typed"}


@pytest.mark.parametrize("value", [None, []])
def test_an_operator_without_its_value_is_refused(value: Any) -> None:
    single = {"name": "year", "comparison_operator": ">", "value": value}
    condition = msgspec.convert({"conditions": [single]}, MetadataCondition)
    with pytest.raises(Problem) as caught:
        to_filter(condition)
    assert caught.value.status_code == 400
