"""What the parts of the language share: its error, its limits, and values as text."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from jinja2 import Undefined

from service.engine.errors import EngineError

MAX_DEPTH = 100
MAX_INTEGER = 2**63 - 1
"""Larger ones are no JSON that others could read."""


_Entry = TypeVar("_Entry")
_Number = TypeVar("_Number", int, float)
_CHECKED_EVERY = 256
"""Steps of a loop between two looks at the clock."""


def shortened(text: str, most: int = 60) -> str:
    """Return a text as messages show it."""
    return text if len(text) <= most else text[:most] + "…"


class ExpressionError(EngineError):
    """An expression cannot be read, or has no value; detail can be shown to whoever wrote it."""

    def __init__(self, expression: str, detail: str) -> None:
        shown = shortened(expression, 200)
        self.expression = shown
        self.detail = (detail[:1].upper() + detail[1:]).removesuffix(".")
        super().__init__(f"{self.detail} (in {shown})")


class Refusal(Exception):
    """Something that an expression may not do, or cannot; becomes an ExpressionError where the expression is known."""


def missing(value: Undefined) -> Refusal:
    """Return what using something that is not there is refused with."""
    return Refusal(value._undefined_message)  # noqa: SLF001 - jinja2 has no other way to say it


@dataclass(frozen=True, slots=True)
class Limits:
    source_chars: int = 10_000
    syntax_nodes: int = 400
    syntax_depth: int = 100
    result_bytes: int = 1024 * 1024
    made_bytes: int = 32 * 1024 * 1024
    """Of all that is made on the way to a result."""
    seconds: float = 0.25
    """Looked at before each operation, each of which is bounded by the size of its result."""


def took_too_long(limits: Limits) -> str:
    return f"It takes longer than {limits.seconds:g} s."


@dataclass(slots=True)
class Budget:
    limits: Limits
    deadline: float
    made: int = 0

    def spend(self) -> None:
        """Raise Refusal when the time is up."""
        if time.monotonic() > self.deadline:
            raise Refusal(took_too_long(self.limits))

    def fit(self, size: int) -> None:
        """Raise Refusal for a text, or a list, that is too long."""
        if size > self.limits.result_bytes:
            raise Refusal(f"A value would be larger than {self.limits.result_bytes:,} bytes.")

    def allow(self, size: int) -> None:
        """Do as fit does, and count what is made; call it before it is made."""
        self.fit(size)
        self.made += size
        if self.made > self.limits.made_bytes:
            raise Refusal(f"It makes more than {self.limits.made_bytes:,} bytes on the way.")

    def each(self, entries: Iterable[_Entry]) -> Iterator[_Entry]:
        """Yield entries as long as there is time."""
        for number, entry in enumerate(entries):
            if number % _CHECKED_EVERY == 0:
                self.spend()
            yield entry

    def unfolded(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return an object as a dict; what finds its values only when it is asked has to do so in time."""
        if isinstance(value, dict):
            return value
        found: dict[str, Any] = {}
        for key in value:
            self.spend()
            found[key] = value[key]
        return found

    def weigh(self, value: Any) -> bool:
        """Return whether a value is nothing but JSON. Raises Refusal for one that would be too long or too deep.

        Looks at no more of it than that takes: one value may be in another many times over, so what is small in memory
        need not be small as JSON.
        """
        size = steps = depth = 0
        plain = True
        level = [value]
        while level:
            if depth > MAX_DEPTH:
                raise Refusal("The value is nested too deeply")
            depth += 1
            deeper: list[Any] = []
            for one in level:
                steps += 1
                if steps % _CHECKED_EVERY == 0:
                    self.spend()
                kind = type(one)
                if kind is str:
                    size += len(one)
                elif kind is int:
                    counted(one)
                    size += 1
                elif kind in _SCALARS:
                    size += 1
                elif kind is list or kind is tuple:
                    size += len(one)
                    self.fit(size)
                    deeper += one
                    plain &= kind is list
                elif isinstance(one, Mapping):
                    plain &= kind is dict
                    unfolded = self.unfolded(one)
                    size += _key_sizes(unfolded)
                    self.fit(size)
                    deeper += unfolded.values()
                else:
                    size += 1
                    plain = False
            self.fit(size)
            level = deeper
        return plain


_SCALARS = frozenset({float, bool, type(None)})
_KEYS = frozenset({str})


def _key_sizes(value: Mapping[str, Any]) -> int:
    if not _KEYS.issuperset(map(type, value)):
        raise Refusal("A key of an object is a text")
    return len(value) + sum(map(len, value))


_BUDGET: ContextVar[Budget | None] = ContextVar("expression_budget", default=None)


def open_budget(limits: Limits, deadline: float | None = None) -> Budget:
    """Begin an expression, whose time ends at deadline at the latest, by time.monotonic()."""
    ends = time.monotonic() + limits.seconds
    budget = Budget(limits, ends if deadline is None else min(ends, deadline))
    _BUDGET.set(budget)
    return budget


def budget() -> Budget:
    """Return what is left for the expression at hand."""
    return _BUDGET.get() or open_budget(Limits())


def to_text(value: Any) -> str:
    """Return a value as it stands in a text: nothing for none, JSON for lists and objects."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(counted(value))
        case float():
            return repr(counted(value))
        case datetime():
            return to_moment_text(value)
        case _:
            return to_json(value).decode()


def to_json(value: Any, *, ordered: bool = False) -> bytes:
    """Return the JSON of a value, of equal ones the same if ordered."""
    budget().weigh(value)
    encoded = msgspec.json.encode(value, enc_hook=_other, order="sorted" if ordered else None)
    budget().allow(len(encoded))
    return encoded


def _other(value: Any) -> Any:
    if isinstance(value, Undefined):
        raise missing(value)
    if isinstance(value, Mapping):
        return budget().unfolded(value)
    raise Refusal("This is no value.")


def counted(number: _Number) -> _Number:
    """Return a number that JSON has. Raises Refusal."""
    if isinstance(number, int) and abs(number) > MAX_INTEGER:
        raise Refusal("A number is too large.")
    if not math.isfinite(number):
        raise Refusal("The result is no number.")
    return number


def to_moment_text(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
