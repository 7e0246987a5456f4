"""Tests: what comes behind `is`."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Undefined

from service.engine.expressions.functions.registry import expression_test


@expression_test("defined", "is there", "input.name is defined", True)
def _is_defined(value: Any) -> bool:
    return not isinstance(value, Undefined)


@expression_test("none", "is none", "input.name is none", False)
def _is_none(value: Any) -> bool:
    return value is None


@expression_test("empty", "is nothing, or has nothing in it", "input.blank is empty", True)
def _is_empty(value: Any) -> bool:
    return (
        isinstance(value, Undefined)
        or value is None
        or (isinstance(value, str | list | tuple | Mapping) and not value)
    )


@expression_test("string", "is a text", "input.name is string", True)
def _is_string(value: Any) -> bool:
    return isinstance(value, str)


@expression_test("number", "is a number", "input.price is number", True)
def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@expression_test("list", "is a list", "input.tags is list", True)
def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


@expression_test("object", "is an object", "input.people is object", False)
def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)
