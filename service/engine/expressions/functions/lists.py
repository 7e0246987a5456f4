"""Filters of lists and objects."""

from collections.abc import Mapping
from typing import Any

from service.engine.expressions.functions.reading import (
    as_list,
    as_number,
    as_object,
    as_text,
    fields_at,
    kind_of,
    plain,
    same,
    sort_key,
)
from service.engine.expressions.functions.registry import expression_filter
from service.engine.expressions.language import Refusal, budget, counted, to_json


@expression_filter("length", "how many characters, entries or keys", "input.tags | length", 3)
def _length(value: Any) -> int:
    match value:
        case None:
            return 0
        case str() | list() | tuple() | Mapping():
            return len(value)
        case _:
            raise Refusal(f"{kind_of(value).capitalize()} has no length.")


@expression_filter("first", "the first entry, none of an empty list", "input.tags | first", "b")
def _first(value: Any) -> Any:
    entries = value if isinstance(value, str) else as_list(value)
    return entries[0] if entries else None


@expression_filter("last", "the last entry, none of an empty list", "input.tags | last", "b")
def _last(value: Any) -> Any:
    entries = value if isinstance(value, str) else as_list(value)
    return entries[-1] if entries else None


@expression_filter("reverse", "the other way round", "input.tags | reverse", ["b", "a", "b"])
def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else as_list(value)[::-1]


@expression_filter(
    "sort", "in order, of objects by a field", "input.people | sort('age') | pluck('name')", ["Bo", "Ada"]
)
def _sort(value: Any, field: Any = None, descending: Any = False) -> list[Any]:
    entries = as_list(value)
    keys = [sort_key(one) for one in budget().each(fields_at(entries, field))]
    order = sorted(range(len(entries)), key=keys.__getitem__, reverse=bool(descending))
    return [entries[place] for place in order]


@expression_filter("unique", "each entry once", "input.tags | unique", ["b", "a"])
def _unique(value: Any) -> list[Any]:
    found: dict[bytes, Any] = {}
    for entry in budget().each(as_list(value)):
        found.setdefault(to_json(plain(entry), ordered=True), entry)
    return list(found.values())


@expression_filter("sum", "their sum, of objects that of a field", "input.people | sum('age')", 43)
def _sum(value: Any, field: Any = None) -> int | float:
    return counted(sum(as_number(one) for one in budget().each(fields_at(value, field))))


@expression_filter("min", "the least", "[3, 1, 2] | min", 1)
def _min(value: Any, field: Any = None) -> Any:
    return min(budget().each(fields_at(value, field)), key=sort_key, default=None)


@expression_filter("max", "the greatest", "[3, 1, 2] | max", 3)
def _max(value: Any, field: Any = None) -> Any:
    return max(budget().each(fields_at(value, field)), key=sort_key, default=None)


@expression_filter(
    "pluck",
    "a field of each entry; a dotted path leads deeper",
    "input.people | pluck('name')",
    ["Ada", "Bo"],
)
def _pluck(value: Any, field: Any) -> list[Any]:
    return fields_at(value, as_text(field))


@expression_filter(
    "where", "the entries whose field has a value", "input.people | where('age', 7) | pluck('name')", ["Bo"]
)
def _where(value: Any, field: Any, wanted: Any) -> list[Any]:
    entries = as_list(value)
    found = fields_at(entries, as_text(field))
    return [entry for entry, one in zip(budget().each(entries), found, strict=True) if same(one, wanted)]


@expression_filter("keys", "the keys of an object", "input.people | first | keys", ["name", "age"])
def _keys(value: Any) -> list[str]:
    return list(as_object(value))


@expression_filter("values", "the values of an object", "input.people | first | values", ["Ada", 36])
def _values(value: Any) -> list[Any]:
    return list(as_object(value).values())


@expression_filter("entries", "an object as a list", "{'a': 1} | entries", [{"key": "a", "value": 1}])
def _entries(value: Any) -> list[dict[str, Any]]:
    return [{"key": key, "value": inner} for key, inner in as_object(value).items()]
