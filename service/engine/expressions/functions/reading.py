"""Values as functions want them, or a refusal that says what came instead."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from service.engine.expressions.language import MAX_INTEGER, Refusal, budget, to_json, to_moment_text, to_text

MAX_PATH = 20


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = to_text(value)
    budget().allow(len(text))
    return text


def as_list(value: Any) -> list[Any]:
    match value:
        case list():
            return value
        case tuple():
            return list(value)
        case None:
            return []
        case _:
            raise Refusal(f"A list is wanted here, not {kind_of(value)}.")


def as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(budget().unfolded(value))
    raise Refusal(f"An object is wanted here, not {kind_of(value)}.")


def as_number(value: Any) -> int | float:
    match value:
        case bool():
            return int(value)
        case int() | float():
            return value
        case str():
            return read_number(value)
        case _:
            raise Refusal(f"A number is wanted here, not {kind_of(value)}.")


def read_number(text: str) -> int | float:
    stripped = text.strip()
    if len(stripped) > 40:
        raise Refusal("This is no number.")
    try:
        return int(stripped)
    except ValueError:
        pass
    try:
        number = float(stripped)
    except ValueError:
        raise Refusal(f"{stripped!r} is no number.") from None
    if not math.isfinite(number):
        raise Refusal(f"{stripped!r} is no number.")
    return number


def as_count(value: Any) -> int:
    number = as_number(value)
    if abs(number) > MAX_INTEGER:
        raise Refusal("A number is too large.")
    return int(number)


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "a boolean"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case datetime():
            return "a time"
        case _:
            return "an object"


def as_moment(value: Any) -> datetime:
    """Return a time: one, ISO 8601, or seconds since 1970."""
    match value:
        case datetime():
            return value
        case bool():
            raise Refusal("A time is wanted here, not a boolean.")
        case int() | float():
            try:
                return datetime.fromtimestamp(value, UTC)
            except (ValueError, OverflowError, OSError):
                raise Refusal(f"{value} is no time.") from None
        case str() if len(value) <= 64:
            try:
                moment = datetime.fromisoformat(value.strip())
            except ValueError:
                raise Refusal(f"{value!r} is no time; write it as 2026-03-01T09:30:00Z.") from None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        case _:
            raise Refusal(f"A time is wanted here, not {kind_of(value)}.")


def moved(value: Any, **by: Any) -> datetime:
    try:
        return as_moment(value) + timedelta(**{unit: as_number(amount) for unit, amount in by.items()})
    except OverflowError:
        raise Refusal("The time is out of range.") from None


def sort_key(value: Any) -> tuple[int, Any]:
    """Order nothing first, then booleans, numbers, texts and times, then all else by its JSON."""
    match value:
        case None:
            return 0, 0
        case bool():
            return 1, value
        case int() | float():
            return 2, value
        case str():
            return 3, value
        case datetime():
            return 3, to_moment_text(value)
        case _:
            return 4, to_json(value, ordered=True)


def fields_at(value: Any, path: Any) -> list[Any]:
    """Return what is at a dotted path in each entry, none where it leads nowhere; the entries without a path."""
    entries = as_list(value)
    if path is None:
        return entries
    parts = as_text(path).split(".", MAX_PATH)
    if len(parts) > MAX_PATH:
        raise Refusal(f"A path has {MAX_PATH} parts at most")
    return [value_at(entry, parts) for entry in budget().each(entries)]


def value_at(value: Any, parts: list[str]) -> Any:
    for part in parts:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal; true is not 1."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, list | tuple | Mapping) and isinstance(right, list | tuple | Mapping):
        if len(left) != len(right):
            return False
        budget().weigh(left)
        left, right = _comparable(left), _comparable(right)
    return bool(left == right)


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return budget().unfolded(value)
    return list(value) if isinstance(value, tuple) else value


def contained(whole: Any, wanted: Any) -> bool:
    match whole:
        case list() | tuple():
            return any(same(entry, wanted) for entry in budget().each(whole))
        case Mapping():
            return isinstance(wanted, str) and wanted in whole
        case str() if isinstance(wanted, str):
            return wanted in whole
        case str():
            raise Refusal(f"A text has texts in it, not {kind_of(wanted)}")
        case _:
            raise Refusal(f"{kind_of(whole)} has nothing in it")


def plain(value: Any) -> Any:
    return to_moment_text(value) if isinstance(value, datetime) else value
