"""Opaque cursors of lists: what the last row was, so that a page is found by index and never by counting."""

import base64
import binascii
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
        return msgspec.json.decode(raw, type=kind)
    except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.") from exc
