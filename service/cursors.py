"""Opaque cursors of lists: what the last row was, so that a page is found by index and never by counting."""

import base64
import binascii
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TypeVar

import msgspec

from service.errors import Problem

T = TypeVar("T")


def encode_cursor(position: object) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str | None, kind: type[T]) -> T | None:
    """Raises Problem 400 for a cursor that no list gave."""
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        position = msgspec.json.decode(raw, type=kind)
        _check(position)
    except (binascii.Error, ValueError, OverflowError, msgspec.DecodeError) as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.") from exc
    return position


def _check(position: object) -> None:
    """Raise for what PostgreSQL cannot compare with: a NUL, and a moment that is beyond the calendar in UTC."""
    for part in position if isinstance(position, tuple) else (position,):
        if isinstance(part, str) and "\x00" in part:
            raise ValueError("holds a NUL character")
        if isinstance(part, datetime):
            part.astimezone(UTC)
