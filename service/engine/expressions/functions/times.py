"""Filters of times."""

from datetime import datetime
from typing import Any

from service.engine.expressions.functions.reading import as_moment, as_text, moved
from service.engine.expressions.functions.registry import expression_filter
from service.engine.expressions.language import Refusal


@expression_filter(
    "format_date",
    "a time in a form of its own, as strftime writes it",
    "input.at | format_date('%d.%m.%Y')",
    "01.03.2026",
)
def _format_date(value: Any, form: Any = "%Y-%m-%d") -> str:
    wanted = as_text(form)
    if len(wanted) > 100:
        raise Refusal("The form is too long.")
    try:
        return as_moment(value).strftime(wanted)
    except ValueError as exc:
        raise Refusal(f"{wanted!r} is no form of a time: {exc}") from None


@expression_filter(
    "add_days", "so many days later", "input.at | add_days(1) | string", "2026-03-02T09:30:00Z"
)
def _add_days(value: Any, days: Any) -> datetime:
    return moved(value, days=days)


@expression_filter(
    "add_hours", "so many hours later", "input.at | add_hours(-1) | string", "2026-03-01T08:30:00Z"
)
def _add_hours(value: Any, hours: Any) -> datetime:
    return moved(value, hours=hours)


@expression_filter(
    "add_minutes", "so many minutes later", "input.at | add_minutes(5) | string", "2026-03-01T09:35:00Z"
)
def _add_minutes(value: Any, minutes: Any) -> datetime:
    return moved(value, minutes=minutes)


@expression_filter("timestamp", "seconds since 1970", "'1970-01-02' | timestamp", 86400)
def _timestamp(value: Any) -> int:
    return int(as_moment(value).timestamp())
