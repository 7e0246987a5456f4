"""Notifications: what a person should hear of. A trigger tells their open pages (migration 0005, db/events.py)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import msgspec

from db.pool import Conn

Kind = Literal[
    "WORKFLOW_SUCCESS", "WORKFLOW_FAILED", "SUBSCRIPTION_UPDATED", "PAYMENT_FAILED", "TEAM_INVITE", "SYSTEM"
]


async def notify(
    conn: Conn, user_ids: Sequence[str], kind: Kind, title: str, message: str, data: Mapping[str, Any]
) -> None:
    """Tell people something; as the service, for it may be somebody else than the caller."""
    await conn.execute(
        """
        INSERT INTO "Notification" ("userId", "type", "title", "message", "data")
        SELECT "id", $2::"NotificationType", $3, $4, $5 FROM "User" WHERE "id" = ANY($1::text[])
        """,
        list(user_ids),
        kind,
        title,
        message,
        dict(data),
    )


class NotificationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: Kind
    title: str
    message: str
    data: dict[str, Any] | None
    is_read: bool
    read_at: datetime | None
    created_at: datetime


class Cursor(NamedTuple):
    """A place in the list, which goes by creation, ties by id."""

    created_at: datetime
    id: str


_COLUMNS = """
"id" AS id, "type"::text AS kind, "title" AS title, "message" AS message, "data" AS data, "isRead" AS is_read,
"readAt" AS read_at, "createdAt" AS created_at
"""


async def list_notifications(
    conn: Conn, user_id: str, *, limit: int, before: Cursor | None, unread: bool
) -> list[NotificationRow]:
    """Return up to limit of a person's notifications, newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM "Notification"
        WHERE "userId" = $1 AND (NOT $2 OR NOT "isRead")
          AND ($3::timestamptz IS NULL OR ("createdAt", "id") < ($3::timestamptz AT TIME ZONE 'UTC', $4::text))
        ORDER BY "createdAt" DESC, "id" DESC LIMIT $5
        """,  # noqa: S608 - the columns are the constant above
        user_id,
        unread,
        before.created_at if before else None,
        before.id if before else None,
        limit,
    )
    return [NotificationRow(**row) for row in rows]


async def list_since(conn: Conn, user_id: str, after: Cursor, *, limit: int) -> list[NotificationRow]:
    """Return up to limit of what came after a place in the list, oldest first."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM "Notification"
        WHERE "userId" = $1 AND ("createdAt", "id") > ($2::timestamptz AT TIME ZONE 'UTC', $3::text)
        ORDER BY "createdAt", "id" LIMIT $4
        """,  # noqa: S608
        user_id,
        after.created_at,
        after.id,
        limit,
    )
    return [NotificationRow(**row) for row in rows]


async def newest(conn: Conn, user_id: str) -> Cursor:
    """Return the place of the newest notification; the beginning of time where there is none."""
    row = await conn.fetchrow(
        """
        SELECT "createdAt" AS created_at, "id" AS id FROM "Notification" WHERE "userId" = $1
        ORDER BY "createdAt" DESC, "id" DESC LIMIT 1
        """,
        user_id,
    )
    return Cursor(datetime(1970, 1, 1, tzinfo=UTC), "") if row is None else Cursor(**row)


async def count_unread(conn: Conn, user_id: str) -> int:
    count: int = await conn.fetchval(
        'SELECT count(*) FROM "Notification" WHERE "userId" = $1 AND NOT "isRead"', user_id
    )
    return count


async def mark_read(conn: Conn, user_id: str, notification_id: str) -> NotificationRow | None:
    """Mark one as read, and keep when it first was; None where there is none."""
    row = await conn.fetchrow(
        f"""
        UPDATE "Notification" SET "isRead" = true, "readAt" = COALESCE("readAt", now() AT TIME ZONE 'UTC')
        WHERE "userId" = $1 AND "id" = $2 RETURNING {_COLUMNS}
        """,  # noqa: S608
        user_id,
        notification_id,
    )
    return None if row is None else NotificationRow(**row)


async def mark_all_read(conn: Conn, user_id: str) -> int:
    """Mark all as read; return how many were not."""
    tag: str = await conn.execute(
        """
        UPDATE "Notification" SET "isRead" = true, "readAt" = now() AT TIME ZONE 'UTC'
        WHERE "userId" = $1 AND NOT "isRead"
        """,
        user_id,
    )
    return int(tag.rpartition(" ")[2])


async def delete_notification(conn: Conn, user_id: str, notification_id: str) -> bool:
    tag: str = await conn.execute(
        'DELETE FROM "Notification" WHERE "userId" = $1 AND "id" = $2', user_id, notification_id
    )
    return tag == "DELETE 1"
