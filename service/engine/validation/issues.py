"""What is wrong with a definition, and where."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Literal

import msgspec

MAX_ISSUES = 500
_COMPARED_CHARS = 200

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
    if len(name) > _COMPARED_CHARS:
        return ""
    folded = {one.lower(): one for one in known}
    near = get_close_matches(name.lower(), list(folded), n=1, cutoff=0.7)
    return f" Is {folded[near[0]]!r} meant?" if near else ""


def first_issues(found: Iterable[Issue]) -> list[Issue]:
    """Return errors, then warnings, MAX_ISSUES at most; one more then says what is left out.

    Nothing more is looked for once there are so many errors: of a large workflow each may take its time.
    """
    errors: list[Issue] = []
    warnings: list[Issue] = []
    left_out = 0
    for issue in found:
        if issue.severity == "warning":
            if len(warnings) < MAX_ISSUES:
                warnings.append(issue)
            else:
                left_out += 1
        elif len(errors) == MAX_ISSUES:
            message = (
                f"And more: these are the first {MAX_ISSUES} errors. Others show once they are set right."
            )
            return [*errors, error("more_issues", message)]
        else:
            errors.append(issue)
    room = MAX_ISSUES - len(errors)
    left_out += max(0, len(warnings) - room)
    listed = [*errors, *warnings[:room]]
    if left_out:
        listed.append(warning("more_issues", f"And {left_out:,} more warnings."))
    return listed
