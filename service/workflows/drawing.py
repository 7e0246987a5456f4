"""What people send as nodes, connections and settings: read, measured, and looked at."""

from http import HTTPStatus
from typing import Any

import msgspec

from service.engine.definition import Definition, check_names, read_definition
from service.engine.errors import DefinitionError
from service.engine.validation import Issue, has_errors, validate
from service.errors import Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 60


def checked_drawing(nodes: Any, connections: Any, settings: Any, *, stored: bool = False) -> Definition:
    """Return what is drawn. Raises Problem 422 for what cannot be stored; an incomplete draft can be.

    stored: the nodes are already, and may have longer names than new ones.
    """
    check_json([nodes, connections, settings], "The workflow")
    try:
        if not stored:
            check_names(nodes)
        return read_definition(nodes, connections, settings)
    except DefinitionError as exc:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{exc.path}: {exc.detail}.",
            code="bad_definition",
            path=exc.path,
        ) from exc


def check_json(value: Any, what: str) -> None:
    """Raise Problem 422 for a JSON value that PostgreSQL cannot hold, that is too large, or nested too deeply."""
    if _depth_exceeds(value, MAX_DEPTH):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what} is nested more than {MAX_DEPTH} deep.")
    try:
        encoded = msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError) as exc:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{what} holds what no JSON can: half a surrogate pair, or a number beyond all bounds.",
        ) from exc
    if len(encoded) > MAX_BYTES:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{what} has {len(encoded):,} bytes of JSON; {MAX_BYTES:,} are the most.",
            max_bytes=MAX_BYTES,
        )
    if b"\\u0000" in encoded and _holds_nul(value):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what} holds a NUL character.")


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any("\x00" in key or _holds_nul(inner) for key, inner in value.items())
        case list():
            return any(_holds_nul(inner) for inner in value)
        case _:
            return False


def _depth_exceeds(value: Any, most: int) -> bool:
    level: list[Any] = [value]
    for _ in range(most + 2):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def look_at(nodes: Any, connections: Any, settings: Any) -> list[Issue]:
    """Return what stands against running what is stored, by whomever it was."""
    try:
        return validate(read_definition(nodes, connections, settings))
    except DefinitionError as exc:
        return [
            Issue(
                severity="error", node=None, field=exc.path, code="bad_definition", message=f"{exc.detail}."
            )
        ]


def require_runnable(definition: Definition) -> None:
    """Raise Problem 422 with all that stands against activating."""
    issues = validate(definition)
    if not has_errors(issues):
        return
    errors = [issue for issue in issues if issue.severity == "error"]
    first = errors[0]
    where = " ".join(part for part in (first.node, first.field) if part)
    more = f" There {'are' if len(errors) > 2 else 'is'} {len(errors) - 1} more." if len(errors) > 1 else ""
    raise Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"The workflow cannot be active as it is: {where + ': ' if where else ''}{first.message}{more}",
        code="invalid_workflow",
        issues=msgspec.to_builtins(issues),
    )
