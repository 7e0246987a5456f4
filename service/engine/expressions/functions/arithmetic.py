"""Filters of numbers."""

from typing import Any

from service.engine.expressions.functions.reading import as_count, as_number
from service.engine.expressions.functions.registry import expression_filter
from service.engine.expressions.language import MAX_INTEGER


@expression_filter("round", "rounded to so many places", "input.price | round(2)", 3.14)
def _round(value: Any, places: Any = 0) -> int | float:
    number, digits = as_number(value), max(-15, min(as_count(places), 15))
    return round(number, digits) if digits else (number if isinstance(number, int) else _rounded(number))


def _rounded(number: float) -> int | float:
    return round(number) if abs(number) < MAX_INTEGER else number


@expression_filter("abs", "without its sign", "-3 | abs", 3)
def _abs(value: Any) -> int | float:
    return abs(as_number(value))


@expression_filter(
    "format_number", "with so many places, and commas", "1234.5 | format_number(2)", "1,234.50"
)
def _format_number(value: Any, places: Any = 0) -> str:
    return f"{as_number(value):,.{max(0, min(as_count(places), 15))}f}"
