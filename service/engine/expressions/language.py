"""What the parts of the language share: its error, its limits, and values as text."""

import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from jinja2 import Undefined

from service.engine.errors import EngineError

MAX_INTEGER = 2**63 - 1
"""Larger ones are no JSON that others could read."""


class ExpressionError(EngineError):
    """An expression cannot be read, or has no value; detail can be shown to whoever wrote it."""

    def __init__(self, expression: str, detail: str) -> None:
        shown = expression if len(expression) <= 200 else expression[:200] + "…"
        super().__init__(f"{detail} (in {shown})")
        self.expression = shown
        self.detail = detail


class Refusal(Exception):
    """Something that an expression may not do, or cannot; becomes an ExpressionError where the expression is known."""


def missing(value: Undefined) -> Refusal:
    """Return what using something that is not there is refused with."""
    return Refusal(value._undefined_message)  # noqa: SLF001 - jinja2 has no other way to say it


@dataclass(frozen=True, slots=True)
class Limits:
    source_chars: int = 10_000
    syntax_nodes: int = 400
    result_bytes: int = 1024 * 1024
    seconds: float = 0.25
    """Looked at before each operation, each of which is bounded by the size of its result."""


@dataclass(slots=True)
class Budget:
    limits: Limits
    deadline: float

    def spend(self) -> None:
        """Raise Refusal when the time is up."""
        if time.monotonic() > self.deadline:
            raise Refusal(f"It takes longer than {self.limits.seconds:g} s.")

    def allow(self, size: int) -> None:
        """Raise Refusal for a text, or a list, that would be too long; call it before it is made."""
        if size > self.limits.result_bytes:
            raise Refusal(f"A value would be larger than {self.limits.result_bytes:,} bytes.")


_BUDGET: ContextVar[Budget | None] = ContextVar("expression_budget", default=None)


def open_budget(limits: Limits) -> Budget:
    budget = Budget(limits, time.monotonic() + limits.seconds)
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
            return _digits(value)
        case float():
            return repr(value)
        case datetime():
            return to_moment_text(value)
        case _:
            return msgspec.json.encode(value).decode()


def _digits(value: int) -> str:
    if abs(value) > MAX_INTEGER:
        raise Refusal("A number is too large.")
    return str(value)


def to_moment_text(moment: datetime) -> str:
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
