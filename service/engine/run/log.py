"""The log of a run: an entry for each thing that happens to a node, with bounded data and no secrets."""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from db.workflow_steps import LogEntry
from service.engine.secret_text import is_secret_name, replace_keys
from service.text import storable

MAX_ENTRIES = 1_000
MAX_DATA_BYTES = 2_000
_MAX_DETAIL_CHARS = 1_000

Happening = Literal[
    "run.started", "run.resumed", "run.succeeded", "run.failed", "run.timed_out", "run.canceled",
    "node.started", "node.finished", "node.failed", "node.retried", "node.waiting", "node.skipped", "log.truncated",
]  # fmt: skip

_LAST = frozenset({"run.succeeded", "run.failed", "run.timed_out", "run.canceled"})
"""Of a run with however long a log, these are told."""
HIDDEN = "[hidden]"
MIN_SECRET_CHARS = 4
"""A shorter one would hide half of everything."""
_SECRETS: ContextVar[set[str] | None] = ContextVar("workflow_secrets", default=None)


def begin_hiding() -> None:
    """Hide what note_secret is told of from now on, in this task and those that it starts."""
    _SECRETS.set(set())


def note_secret(value: str) -> None:
    """Keep a secret that a node uses out of the log, should it come back in what it gets."""
    secrets = _SECRETS.get()
    if secrets is not None and len(value) >= MIN_SECRET_CHARS:
        secrets.add(value)


class RunLog:
    """Collects entries until they are taken to be written down; places are counted on from where the log stands."""

    def __init__(self, place: int = 0) -> None:
        self._place = place
        self._waiting: list[LogEntry] = []

    def add(self, event: Happening, **fields: Any) -> None:
        """Note what happened now. Data goes through preview(); None is left out."""
        if event not in _LAST and self._place > MAX_ENTRIES:
            return
        if event not in _LAST and self._place == MAX_ENTRIES:
            event, fields = (
                "log.truncated",
                {"detail": f"{MAX_ENTRIES} entries are kept; what follows is not."},
            )
        entry = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": event,
        }
        entry |= {name: value for name, value in fields.items() if value is not None}
        self._waiting.append(LogEntry(self._place, entry))
        self._place += 1

    def take(self) -> list[LogEntry]:
        taken, self._waiting = self._waiting, []
        return taken

    def give_back(self, entries: list[LogEntry]) -> None:
        """Take entries again that could not be written down."""
        self._waiting = entries + self._waiting

    @property
    def is_empty(self) -> bool:
        return not self._waiting


def preview(value: Any) -> Any:
    """Return a value as the log shows it: without what looks like a secret, and cut where it is long."""
    shown = _hide(value, 0)
    encoded = msgspec.json.encode(shown)
    if len(encoded) <= MAX_DATA_BYTES:
        return shown
    return {"cut": encoded[:MAX_DATA_BYTES].decode(errors="ignore"), "size_bytes": len(encoded)}


def shown_error(error: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _hide(value, 0, name) for name, value in error.items()}


def shorten(detail: str) -> str:
    """Return what went wrong as one bounded text without secrets."""
    text = _without_secrets(detail)
    return text if len(text) <= _MAX_DETAIL_CHARS else text[:_MAX_DETAIL_CHARS] + "…"


def _hide(value: Any, depth: int, name: str = "") -> Any:
    if depth > 20:
        return "…"
    if name and not isinstance(value, bool | int | float) and is_secret_name(name):
        return HIDDEN if value else value
    match value:
        case dict():
            return {
                storable(str(key)): _hide(inner, depth + 1, str(key))
                for key, inner in list(value.items())[:100]
            }
        case list() | tuple():
            return [_hide(inner, depth + 1) for inner in value[:20]]
        case str():
            return _without_secrets(value[: 4 * MAX_DATA_BYTES])
        case _:
            return value


def _without_secrets(text: str) -> str:
    text = storable(text)
    for secret in _SECRETS.get() or ():
        text = text.replace(secret, HIDDEN)
    return replace_keys(text, HIDDEN)
