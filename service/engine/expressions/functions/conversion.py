"""Filters from one kind of value to another."""

from typing import Any

import msgspec
from jinja2 import Undefined

from service.engine.expressions.functions.reading import as_count, as_number, as_text, plain
from service.engine.expressions.functions.registry import expression_filter
from service.engine.expressions.language import Refusal, to_json


@expression_filter(
    "default", "something else where there is nothing", "input.missing | default('none')", "none"
)
def _default(value: Any, other: Any = "", blank: Any = False) -> Any:
    if isinstance(value, Undefined) or value is None or (blank and not value):
        return other
    return value


@expression_filter("string", "as a text", "7 | string", "7")
def _string(value: Any) -> str:
    return as_text(value)


@expression_filter("int", "as a whole number", "'42' | int", 42)
def _int(value: Any, default: Any = None) -> int:
    try:
        return as_count(value)
    except Refusal:
        if default is None:
            raise
        return as_count(default)


@expression_filter("float", "as a number", "'4.5' | float", 4.5)
def _float(value: Any, default: Any = None) -> float:
    try:
        return float(as_number(value))
    except (Refusal, OverflowError):
        if default is None:
            raise Refusal("This is no number.") from None
        return float(as_number(default))


@expression_filter("bool", "as a boolean: false, 0, no, off and nothing are false", "'no' | bool", False)
def _bool(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "0", "no", "off", "none", "null"}
    return bool(value)


@expression_filter("json", "as JSON", "input.tags | json", '["b","a","b"]')
def _json(value: Any) -> str:
    return to_json(plain(value)).decode()


@expression_filter("parse_json", "what a JSON text says", "'[1, 2]' | parse_json", [1, 2])
def _parse_json(value: Any) -> Any:
    try:
        return msgspec.json.decode(as_text(value))
    except msgspec.DecodeError as exc:
        raise Refusal(f"This is no JSON: {exc}") from None
    except RecursionError:
        raise Refusal("The value is nested too deeply") from None
