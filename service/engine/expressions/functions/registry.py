"""What there is: each registers itself with its meaning and an example, which documents and builder show."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from jinja2 import Undefined

from service.engine.expressions.language import budget, missing

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


def expression_filter(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(FILTERS, name, means, example, gives)


def expression_function(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(FUNCTIONS, name, means, example, gives)


def expression_test(name: str, means: str, example: str, gives: Any) -> Callable[[Run], Run]:
    return _entry(TESTS, name, means, example, gives)
