"""What each operator means, and which values are comparable."""

from typing import Any

import pytest

from service.engine.nodes.conditions import Condition, Operator, holds

LOOSE = [
    ("equals", 3, 3, True),
    ("equals", "3", 3, True),
    ("equals", 3.0, "3", True),
    ("equals", "3", "3.0", False),
    ("equals", "abc", 3, False),
    ("equals", True, 1, False),
    ("equals", "true", True, True),
    ("equals", "TRUE", True, True),
    ("equals", None, "", False),
    ("equals", [1, {"a": 2}], [1, {"a": 2}], True),
    ("notEquals", "3", 3, False),
    ("notEquals", None, 0, True),
    ("contains", "invoice 42", "42", True),
    ("contains", "invoice 42", 42, True),
    ("contains", ["a", 3], "3", True),
    ("contains", {"key": 1}, "key", True),
    ("contains", None, "a", False),
    ("notContains", None, "a", True),
    ("startsWith", "invoice", "in", True),
    ("startsWith", 3, "3", False),
    ("endsWith", "file.pdf", ".pdf", True),
    ("greater", 10, 9, True),
    ("greater", "10", "9", True),
    ("greater", "10", 9, True),
    ("greater", "b", "a", True),
    ("greater", "2026-05-02", "2026-05-01T10:00", True),
    ("greater", None, 1, False),
    ("less", None, 1, False),
    ("greater", "abc", 1, False),
    ("greater", True, 0, False),
    ("greater", "nan", 1, False),
    ("greaterOrEqual", 3, "3", True),
    ("less", 3, "20", True),
    ("lessOrEqual", 3, 3, True),
    ("isEmpty", "", None, True),
    ("isEmpty", None, None, True),
    ("isEmpty", [], None, True),
    ("isEmpty", {}, None, True),
    ("isEmpty", 0, None, False),
    ("isNotEmpty", 0, None, True),
    ("isNotEmpty", "", None, False),
    ("isTrue", True, None, True),
    ("isTrue", "true", None, True),
    ("isTrue", 1, None, False),
    ("isFalse", False, None, True),
    ("isFalse", "false", None, True),
    ("isFalse", None, None, False),
    ("exists", 0, None, True),
    ("exists", None, None, False),
    ("notExists", None, None, True),
    ("in", "b", ["a", "b"], True),
    ("in", "3", [1, 3], True),
    ("in", "oic", "invoice", True),
    ("notIn", "z", ["a"], True),
]


@pytest.mark.parametrize(("operator", "left", "right", "expected"), LOOSE)
def test_operators_with_loose_types(operator: Operator, left: Any, right: Any, expected: bool) -> None:
    assert holds(Condition(left=left, operator=operator, right=right), loose=True) is expected


STRICT = [
    ("equals", "3", 3, False),
    ("equals", 3, 3.0, True),
    ("equals", "true", True, False),
    ("equals", 1, True, False),
    ("contains", ["a", 3], "3", False),
    ("contains", "invoice 42", 42, False),
    ("greater", "10", 9, False),
    ("greater", "10", "9", False),
    ("greater", 10, 9, True),
    ("isTrue", "true", None, False),
    ("in", "3", [1, 3], False),
]


@pytest.mark.parametrize(("operator", "left", "right", "expected"), STRICT)
def test_operators_with_strict_types(operator: Operator, left: Any, right: Any, expected: bool) -> None:
    assert holds(Condition(left=left, operator=operator, right=right), loose=False) is expected
