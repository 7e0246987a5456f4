"""What Dify's operators mean, on PostgreSQL: each on documents with metadata of several kinds."""

from typing import Any

import msgspec
import pytest

from db.filters import compile_filter
from db.pool import Conn
from service.dify.conditions import ValueUnusable, to_filter
from service.dify.schemas import Condition, MetadataCondition

DOCUMENTS: dict[str, dict[str, Any]] = {
    "lease": {
        "kind": "lease",
        "year": 2023,
        "signed": "2023-05-01",
        "tags": ["hall", "B 50%"],
        "final": True,
    },
    "minutes": {"kind": "minutes", "year": "2024", "signed": 1_704_067_200, "tags": [], "final": False},
    "bare": {"kind": "", "year": None},
}


@pytest.mark.parametrize(
    ("name", "operator", "value", "expected"),
    [
        ("kind", "contains", "eas", "lease"),
        ("tags", "contains", "50%", "lease"),
        ("kind", "contains", ".", ""),
        ("kind", "not contains", "eas", "minutes bare"),
        ("kind", "start with", "min", "minutes"),
        ("kind", "end with", "e", "lease"),
        ("kind", "is", "lease", "lease"),
        ("kind", "is not", "lease", "minutes bare"),
        ("tags", "is", "hall", "lease"),
        ("year", "is", "2023", "lease"),
        ("final", "is", "true", "lease"),
        ("year", "in", "2023, 2024", "lease minutes"),
        ("year", "in", [2024, "2025"], "minutes"),
        ("kind", "not in", ["lease", "letter"], "minutes bare"),
        ("kind", "empty", None, "bare"),
        ("tags", "empty", None, "minutes bare"),
        ("year", "empty", "", "bare"),
        ("tags", "not empty", None, "lease"),
        ("year", "=", 2023, "lease"),
        ("year", "=", "2023", "lease"),
        ("year", "=", 2024, "minutes"),
        ("year", "≠", 2023, "minutes bare"),
        ("year", ">", "2022", "lease"),
        ("year", "<", 2023, ""),
        ("year", "≥", 2023, "lease"),
        ("year", "≤", 2023.0, "lease"),
        ("kind", ">", "letter", "minutes"),
        ("signed", "before", "2024-01-01", "lease"),
        ("signed", "before", "2024-01-01T00:00:01Z", "lease minutes"),
        ("signed", "after", "2023-12-31T23:59:59+00:00", "minutes"),
        ("signed", "before", 1_704_067_200, "lease"),
        ("signed", "after", "1000", "lease minutes"),
        (["subject", "kind"], "is", "lease", "lease"),
        (["subject", "kind"], "is not", "lease", "minutes bare"),
        (["subject", "kind"], "empty", None, "bare"),
    ],
)
async def test_each_operator(conn: Conn, name: Any, operator: str, value: Any, expected: str) -> None:
    condition = msgspec.convert(
        {"name": name, "comparison_operator": operator, "value": value}, Condition, strict=True
    )
    assert await found(conn, MetadataCondition(conditions=[condition])) == expected


@pytest.mark.parametrize(
    ("operator", "expected"), [("and", ""), (None, ""), ("or", "lease minutes")], ids=str
)
async def test_conditions_are_joined(conn: Conn, operator: Any, expected: str) -> None:
    conditions = [
        Condition(name="kind", comparison_operator="is", value=kind) for kind in ("lease", "minutes")
    ]
    assert await found(conn, MetadataCondition(logical_operator=operator, conditions=conditions)) == expected


@pytest.mark.parametrize("given", [None, MetadataCondition(), MetadataCondition(conditions=[])])
def test_no_conditions_are_no_filter(given: MetadataCondition | None) -> None:
    assert to_filter(given) is None


@pytest.mark.parametrize(
    ("operator", "value"),
    [
        ("contains", None),
        ("is", None),
        ("is", ["a", "b"]),
        ("in", None),
        ("in", []),
        ("in", 5),
        (">", None),
        ("before", "yesterday"),
        ("after", 1e30),
        ("before", True),
    ],
)
def test_a_value_that_does_not_go_with_the_operator_is_refused(operator: Any, value: Any) -> None:
    with pytest.raises(ValueUnusable):
        to_filter(
            MetadataCondition(conditions=[Condition(name="kind", comparison_operator=operator, value=value)])
        )


async def found(conn: Conn, given: MetadataCondition) -> str:
    condition = to_filter(given)
    assert condition is not None
    predicate = compile_filter(condition)
    names = [
        name
        for name, metadata in DOCUMENTS.items()
        if await conn.fetchval("SELECT $1::jsonb @@ $2::text::jsonpath", metadata, predicate)
    ]
    return " ".join(names)
