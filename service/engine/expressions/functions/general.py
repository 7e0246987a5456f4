"""Functions."""

from typing import Any

from jinja2 import Undefined

from service.engine.expressions.functions.reading import as_count, as_object
from service.engine.expressions.functions.registry import expression_function
from service.engine.expressions.language import Refusal

MAX_RANGE = 1_000


@expression_function(
    "coalesce", "the first that is there, and not none", "coalesce(input.missing, none, 'c')", "c"
)
def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None and not isinstance(value, Undefined)), None)


@expression_function(
    "merge", "objects as one; what comes later holds", "merge({'a': 1, 'b': 1}, {'b': 2})", {"a": 1, "b": 2}
)
def _merge(*objects: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for one in objects:
        merged |= as_object(one)
    return merged


@expression_function(
    "range", f"whole numbers up to one, or from one to another; at most {MAX_RANGE:,}", "range(3)", [0, 1, 2]
)
def _range(start: Any, stop: Any = None) -> list[int]:
    first, end = (0, as_count(start)) if stop is None else (as_count(start), as_count(stop))
    if end - first > MAX_RANGE:
        raise Refusal(f"A range has {MAX_RANGE:,} numbers at most.")
    return list(range(first, end))


def _bound_by_the_run(node_id: Any) -> Any:
    raise Refusal("'items_of' is there in a running workflow only.")


expression_function("items_of", "all items of a node that has run", "items_of('node-1')", None)(
    _bound_by_the_run
)
