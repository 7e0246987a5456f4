"""Notifications on the wire."""

from datetime import datetime
from typing import Any

import msgspec

from db.notifications import Kind, NotificationRow


class Notification(msgspec.Struct, kw_only=True, frozen=True):
    """Something a person should hear of."""

    id: str
    type: Kind
    title: str
    message: str
    data: dict[str, Any]
    is_read: bool
    read_at: datetime | None
    created_at: datetime

    @classmethod
    def from_row(cls, row: NotificationRow) -> "Notification":
        return cls(
            id=row.id,
            type=row.kind,
            title=row.title,
            message=row.message,
            data=row.data or {},
            is_read=row.is_read,
            read_at=row.read_at,
            created_at=row.created_at,
        )


class UnreadCount(msgspec.Struct, kw_only=True, frozen=True):
    """How many have not been read."""

    unread: int


class MarkedRead(msgspec.Struct, kw_only=True, frozen=True):
    """How many were marked."""

    marked: int
