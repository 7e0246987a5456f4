"""What is wrong with a definition, and where."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """An error stands against activating; a warning does not."""

    severity: Severity
    node: str | None
    """The node's id; None for what is no single node's."""
    field: str | None
    """As data.prompt, onError, connections[3].sourceHandle, settings.timezone."""
    code: str
    message: str


def error(code: str, message: str, *, node: str | None = None, field: str | None = None) -> Issue:
    return Issue(severity="error", node=node, field=field, code=code, message=message)


def warning(code: str, message: str, *, node: str | None = None, field: str | None = None) -> Issue:
    return Issue(severity="warning", node=node, field=field, code=code, message=message)


def meant(name: str, known: Iterable[str]) -> str:
    """Return a question that names what is spelled nearly so, else nothing; it goes behind a sentence."""
    folded = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(folded), n=1, cutoff=0.7)
    return f" Is {folded[near[0]]!r} meant?" if near else ""
