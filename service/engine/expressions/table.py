"""The functions, filters and tests that there are.

Each bounds its result before it makes it, and takes JSON values only.
"""

import base64
import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import quote

import msgspec
from jinja2 import Undefined

from service.engine.expressions.language import (
    MAX_INTEGER,
    Refusal,
    budget,
    counted,
    missing,
    to_json,
    to_moment_text,
    to_text,
)

MAX_RANGE = 1_000
MAX_PATH = 20
Run = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the documents and the builder say of one."""

    name: str
    means: str
    example: str
    """An expression, and what it gives for {"input": EXAMPLE}."""
    gives: Any
    run: Run
    signature: inspect.Signature


FILTERS: dict[str, Entry] = {}
FUNCTIONS: dict[str, Entry] = {}
TESTS: dict[str, Entry] = {}

EXAMPLE: Mapping[str, Any] = {
    "name": "Ada",
    "text": "one two",
    "price": 3.14159,
    "tags": ["b", "a", "b"],
    "people": [{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}],
    "at": "2026-03-01T09:30:00Z",
    "blank": "",
}


def _entry(table: dict[str, Entry], name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        @wraps(run)
        def guarded(*args: Any, **named: Any) -> Any:
            budget().spend()
            if not (table is TESTS or name in {"default", "coalesce"}):
                for arg in (*args, *named.values()):
                    if isinstance(arg, Undefined):
                        raise missing(arg)
            return run(*args, **named)

        table[name] = Entry(name, means, example, gives, guarded, inspect.signature(run))
        return run

    return register


def _filter(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(FILTERS, name, means, example, gives)


def _function(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(FUNCTIONS, name, means, example, gives)


def _test(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(TESTS, name, means, example, gives)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    text = to_text(value)
    budget().allow(len(text))
    return text


def _as_list(value: Any) -> list[Any]:
    match value:
        case list():
            return value
        case tuple():
            return list(value)
        case None:
            return []
        case _:
            raise Refusal(f"A list is wanted here, not {kind_of(value)}.")


def _as_object(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise Refusal(f"An object is wanted here, not {kind_of(value)}.")


def _as_number(value: Any) -> int | float:
    match value:
        case bool():
            return int(value)
        case int() | float():
            return value
        case str():
            return _read_number(value)
        case _:
            raise Refusal(f"A number is wanted here, not {kind_of(value)}.")


def _read_number(text: str) -> int | float:
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


def _as_count(value: Any) -> int:
    number = _as_number(value)
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


def _moved(value: Any, **by: Any) -> datetime:
    try:
        return as_moment(value) + timedelta(**{unit: _as_number(amount) for unit, amount in by.items()})
    except OverflowError:
        raise Refusal("The time is out of range.") from None


def _sort_key(value: Any) -> tuple[int, Any]:
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


def _fields(value: Any, path: Any) -> list[Any]:
    """Return what is at a dotted path in each entry, none where it leads nowhere; the entries without a path."""
    entries = _as_list(value)
    if path is None:
        return entries
    parts = _as_text(path).split(".", MAX_PATH)
    if len(parts) > MAX_PATH:
        raise Refusal(f"A path has {MAX_PATH} parts at most")
    return [_at(entry, parts) for entry in budget().each(entries)]


def _at(value: Any, parts: list[str]) -> Any:
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
        if isinstance(left, tuple):
            left = list(left)
        if isinstance(right, tuple):
            right = list(right)
    return bool(left == right)


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


# --- texts


@_filter("upper", "in capitals", "input.name | upper", "ADA")
def _upper(value: Any) -> str:
    return _as_text(value).upper()


@_filter("lower", "in small letters", "input.name | lower", "ada")
def _lower(value: Any) -> str:
    return _as_text(value).lower()


@_filter("title", "each word with a capital", "input.text | title", "One Two")
def _title(value: Any) -> str:
    return _as_text(value).title()


@_filter("capitalize", "the first letter a capital, the others small", "input.text | capitalize", "One two")
def _capitalize(value: Any) -> str:
    return _as_text(value).capitalize()


@_filter("trim", "without white space around it", "'  a ' | trim", "a")
def _trim(value: Any) -> str:
    return _as_text(value).strip()


@_filter("replace", "every occurrence of a text replaced", "input.text | replace('one', '1')", "1 two")
def _replace(value: Any, old: Any, new: Any) -> str:
    text, wanted, other = _as_text(value), _as_text(old), _as_text(new)
    if not wanted:
        raise Refusal("Nothing cannot be replaced.")
    budget().allow(len(text) + text.count(wanted) * (len(other) - len(wanted)))
    return text.replace(wanted, other)


@_filter("split", "cut at a separator, at white space without one", "input.text | split(' ')", ["one", "two"])
def _split(value: Any, separator: Any = None) -> list[str]:
    text = _as_text(value)
    if separator is None:
        return text.split()
    wanted = _as_text(separator)
    if not wanted:
        raise Refusal("A separator has a character at least.")
    return text.split(wanted)


@_filter("lines", "cut at line ends", "'a\\nb' | lines", ["a", "b"])
def _lines(value: Any) -> list[str]:
    return _as_text(value).splitlines()


@_filter("join", "a list as one text", "input.tags | join(', ')", "b, a, b")
def _join(value: Any, separator: Any = "") -> str:
    parts, glue = [_as_text(part) for part in budget().each(_as_list(value))], _as_text(separator)
    budget().allow(sum(map(len, parts)) + len(glue) * len(parts))
    return glue.join(parts)


@_filter("truncate", "cut after so many characters, with … at the end", "input.text | truncate(4)", "one…")
def _truncate(value: Any, length: Any, end: Any = "…") -> str:
    text, most = _as_text(value), max(_as_count(length), 0)
    return text if len(text) <= most else text[: max(most - len(_as_text(end)), 0)] + _as_text(end)


@_filter("slice_text", "the characters from a place up to another", "input.text | slice_text(0, 3)", "one")
def _slice_text(value: Any, start: Any, stop: Any = None) -> str:
    return _as_text(value)[_as_count(start) : None if stop is None else _as_count(stop)]


@_filter("starts_with", "whether a text begins with another", "input.text | starts_with('one')", True)
def _starts_with(value: Any, prefix: Any) -> bool:
    return _as_text(value).startswith(_as_text(prefix))


@_filter("ends_with", "whether a text ends with another", "input.text | ends_with('two')", True)
def _ends_with(value: Any, suffix: Any) -> bool:
    return _as_text(value).endswith(_as_text(suffix))


@_filter("contains", "whether a text, list or object has something in it", "input.tags | contains('a')", True)
def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, list | tuple | Mapping):
        return contained(value, wanted)
    return _as_text(wanted) in _as_text(value)


@_filter("urlencode", "as part of a URL", "'a b&c' | urlencode", "a%20b%26c")
def _urlencode(value: Any) -> str:
    text = _as_text(value)
    budget().allow(len(text.encode()) * 3)
    return quote(text, safe="")


@_filter("base64", "in base 64", "input.name | base64", "QWRh")
def _base64(value: Any) -> str:
    text = _as_text(value).encode()
    budget().allow(len(text) * 4 // 3 + 4)
    return base64.b64encode(text).decode()


@_filter("sha256", "its SHA-256, in hexadecimal", "input.blank | sha256", hashlib.sha256(b"").hexdigest())
def _sha256(value: Any) -> str:
    return hashlib.sha256(_as_text(value).encode()).hexdigest()


# --- types


@_filter("default", "something else where there is nothing", "input.missing | default('none')", "none")
def _default(value: Any, other: Any = "", blank: Any = False) -> Any:
    if isinstance(value, Undefined) or value is None or (blank and not value):
        return other
    return value


@_filter("string", "as a text", "7 | string", "7")
def _string(value: Any) -> str:
    return _as_text(value)


@_filter("int", "as a whole number", "'42' | int", 42)
def _int(value: Any, default: Any = None) -> int:
    try:
        return _as_count(value)
    except Refusal:
        if default is None:
            raise
        return _as_count(default)


@_filter("float", "as a number", "'4.5' | float", 4.5)
def _float(value: Any, default: Any = None) -> float:
    try:
        return float(_as_number(value))
    except (Refusal, OverflowError):
        if default is None:
            raise Refusal("This is no number.") from None
        return float(_as_number(default))


@_filter("bool", "as a boolean: false, 0, no, off and nothing are false", "'no' | bool", False)
def _bool(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "0", "no", "off", "none", "null"}
    return bool(value)


@_filter("json", "as JSON", "input.tags | json", '["b","a","b"]')
def _json(value: Any) -> str:
    return to_json(_plain(value)).decode()


@_filter("parse_json", "what a JSON text says", "'[1, 2]' | parse_json", [1, 2])
def _parse_json(value: Any) -> Any:
    try:
        return msgspec.json.decode(_as_text(value))
    except msgspec.DecodeError as exc:
        raise Refusal(f"This is no JSON: {exc}") from None
    except RecursionError:
        raise Refusal("The value is nested too deeply") from None


def _plain(value: Any) -> Any:
    return to_moment_text(value) if isinstance(value, datetime) else value


# --- numbers


@_filter("round", "rounded to so many places", "input.price | round(2)", 3.14)
def _round(value: Any, places: Any = 0) -> int | float:
    number, digits = _as_number(value), max(-15, min(_as_count(places), 15))
    return round(number, digits) if digits else (number if isinstance(number, int) else _rounded(number))


def _rounded(number: float) -> int | float:
    return round(number) if abs(number) < MAX_INTEGER else number


@_filter("abs", "without its sign", "-3 | abs", 3)
def _abs(value: Any) -> int | float:
    return abs(_as_number(value))


@_filter("format_number", "with so many places, and commas", "1234.5 | format_number(2)", "1,234.50")
def _format_number(value: Any, places: Any = 0) -> str:
    return f"{_as_number(value):,.{max(0, min(_as_count(places), 15))}f}"


# --- lists and objects


@_filter("length", "how many characters, entries or keys", "input.tags | length", 3)
def _length(value: Any) -> int:
    match value:
        case None:
            return 0
        case str() | list() | tuple() | Mapping():
            return len(value)
        case _:
            raise Refusal(f"{kind_of(value).capitalize()} has no length.")


@_filter("first", "the first entry, none of an empty list", "input.tags | first", "b")
def _first(value: Any) -> Any:
    entries = value if isinstance(value, str) else _as_list(value)
    return entries[0] if entries else None


@_filter("last", "the last entry, none of an empty list", "input.tags | last", "b")
def _last(value: Any) -> Any:
    entries = value if isinstance(value, str) else _as_list(value)
    return entries[-1] if entries else None


@_filter("reverse", "the other way round", "input.tags | reverse", ["b", "a", "b"])
def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else _as_list(value)[::-1]


@_filter(
    "sort", "in order, of objects by a field", "input.people | sort('age') | pluck('name')", ["Bo", "Ada"]
)
def _sort(value: Any, field: Any = None, descending: Any = False) -> list[Any]:
    entries = _as_list(value)
    keys = [_sort_key(one) for one in budget().each(_fields(entries, field))]
    order = sorted(range(len(entries)), key=keys.__getitem__, reverse=bool(descending))
    return [entries[place] for place in order]


@_filter("unique", "each entry once", "input.tags | unique", ["b", "a"])
def _unique(value: Any) -> list[Any]:
    found: dict[bytes, Any] = {}
    for entry in budget().each(_as_list(value)):
        found.setdefault(to_json(_plain(entry), ordered=True), entry)
    return list(found.values())


@_filter("sum", "their sum, of objects that of a field", "input.people | sum('age')", 43)
def _sum(value: Any, field: Any = None) -> int | float:
    return counted(sum(_as_number(one) for one in budget().each(_fields(value, field))))


@_filter("min", "the least", "[3, 1, 2] | min", 1)
def _min(value: Any, field: Any = None) -> Any:
    return min(budget().each(_fields(value, field)), key=_sort_key, default=None)


@_filter("max", "the greatest", "[3, 1, 2] | max", 3)
def _max(value: Any, field: Any = None) -> Any:
    return max(budget().each(_fields(value, field)), key=_sort_key, default=None)


@_filter(
    "pluck",
    "a field of each entry; a dotted path leads deeper",
    "input.people | pluck('name')",
    ["Ada", "Bo"],
)
def _pluck(value: Any, field: Any) -> list[Any]:
    return _fields(value, _as_text(field))


@_filter(
    "where", "the entries whose field has a value", "input.people | where('age', 7) | pluck('name')", ["Bo"]
)
def _where(value: Any, field: Any, wanted: Any) -> list[Any]:
    entries = _as_list(value)
    found = _fields(entries, _as_text(field))
    return [entry for entry, one in zip(budget().each(entries), found, strict=True) if same(one, wanted)]


@_filter("keys", "the keys of an object", "input.people | first | keys", ["name", "age"])
def _keys(value: Any) -> list[str]:
    return list(_as_object(value))


@_filter("values", "the values of an object", "input.people | first | values", ["Ada", 36])
def _values(value: Any) -> list[Any]:
    return list(_as_object(value).values())


@_filter("entries", "an object as a list", "{'a': 1} | entries", [{"key": "a", "value": 1}])
def _entries(value: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": inner} for key, inner in _as_object(value).items()]


# --- times


@_filter(
    "format_date",
    "a time in a form of its own, as strftime writes it",
    "input.at | format_date('%d.%m.%Y')",
    "01.03.2026",
)
def _format_date(value: Any, form: Any = "%Y-%m-%d") -> str:
    wanted = _as_text(form)
    if len(wanted) > 100:
        raise Refusal("The form is too long.")
    try:
        return as_moment(value).strftime(wanted)
    except ValueError as exc:
        raise Refusal(f"{wanted!r} is no form of a time: {exc}") from None


@_filter("add_days", "so many days later", "input.at | add_days(1) | string", "2026-03-02T09:30:00Z")
def _add_days(value: Any, days: Any) -> datetime:
    return _moved(value, days=days)


@_filter("add_hours", "so many hours later", "input.at | add_hours(-1) | string", "2026-03-01T08:30:00Z")
def _add_hours(value: Any, hours: Any) -> datetime:
    return _moved(value, hours=hours)


@_filter("add_minutes", "so many minutes later", "input.at | add_minutes(5) | string", "2026-03-01T09:35:00Z")
def _add_minutes(value: Any, minutes: Any) -> datetime:
    return _moved(value, minutes=minutes)


@_filter("timestamp", "seconds since 1970", "'1970-01-02' | timestamp", 86400)
def _timestamp(value: Any) -> int:
    return int(as_moment(value).timestamp())


# --- functions


@_function("coalesce", "the first that is there, and not none", "coalesce(input.missing, none, 'c')", "c")
def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None and not isinstance(value, Undefined)), None)


@_function(
    "merge", "objects as one; what comes later holds", "merge({'a': 1, 'b': 1}, {'b': 2})", {"a": 1, "b": 2}
)
def _merge(*objects: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in objects:
        merged |= _as_object(one)
    return merged


@_function(
    "range", f"whole numbers up to one, or from one to another; at most {MAX_RANGE:,}", "range(3)", [0, 1, 2]
)
def _range(start: Any, stop: Any = None) -> list[int]:
    first, end = (0, _as_count(start)) if stop is None else (_as_count(start), _as_count(stop))
    if end - first > MAX_RANGE:
        raise Refusal(f"A range has {MAX_RANGE:,} numbers at most.")
    return list(range(first, end))


def _bound_by_the_run(node_id: Any) -> Any:
    raise Refusal("'items_of' is there in a running workflow only.")


_function("items_of", "all items of a node that has run", "items_of('node-1')", None)(_bound_by_the_run)


# --- tests


@_test("defined", "is there", "input.name is defined", True)
def _is_defined(value: Any) -> bool:
    return not isinstance(value, Undefined)


@_test("none", "is none", "input.name is none", False)
def _is_none(value: Any) -> bool:
    return value is None


@_test("empty", "is nothing, or has nothing in it", "input.blank is empty", True)
def _is_empty(value: Any) -> bool:
    return (
        isinstance(value, Undefined)
        or value is None
        or (isinstance(value, str | list | tuple | Mapping) and not value)
    )


@_test("string", "is a text", "input.name is string", True)
def _is_string(value: Any) -> bool:
    return isinstance(value, str)


@_test("number", "is a number", "input.price is number", True)
def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@_test("list", "is a list", "input.tags is list", True)
def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


@_test("object", "is an object", "input.people is object", False)
def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)
