"""Notifications: what a person should hear of. A trigger tells their open pages (migration 0005, db/events.py)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
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


class Place(NamedTuple):
    """Where a reader of the stream stands: when it last looked, and which transactions it could see then."""

    at: datetime
    snapshot: str
    """As pg_snapshot is written: xmin:xmax:xip,xip."""

    def check(self) -> None:
        """Raise ValueError for what PostgreSQL would not read as a snapshot."""
        xmin, xmax, running = self.snapshot.split(":")
        numbers = [int(number) for number in running.split(",")] if running else []
        ordered = [int(xmin), *numbers, int(xmax)]
        if ordered != sorted(ordered) or len(set(numbers)) < len(numbers) or not ordered[0] > 0:
            raise ValueError("not a snapshot")
        if ordered[-1] >= 2**63 or (numbers and numbers[-1] == ordered[-1]) or not self.snapshot.isascii():
            raise ValueError("not a snapshot")


async def list_unseen(conn: Conn, user_id: str, place: Place | None) -> tuple[list[NotificationRow], Place]:
    """Return what a reader could not see when it stood there, oldest first, and where it stands now.

    Without a place there is nothing to show yet. By transactions and not by time: createdAt is when a transaction
    began, and one that commits late would be passed over. The hour before bounds what is looked at, for longer than
    a transaction may last, and keeps a database restored elsewhere, whose transactions count anew, from showing all.
    """
    rows = await conn.fetch(
        f"""
        SELECT s.at, s.snapshot, n.*
        FROM (SELECT now() AS at, pg_current_snapshot()::text AS snapshot) AS s
        LEFT JOIN LATERAL (
            SELECT {_COLUMNS} FROM "Notification"
            WHERE "userId" = $1 AND NOT pg_visible_in_snapshot("txid", $2::text::pg_snapshot)
              AND "createdAt" > $3::timestamptz AT TIME ZONE 'UTC' - interval '1 hour'
        ) AS n ON true
        ORDER BY n.created_at, n.id
        """,  # noqa: S608 - the columns are the constant above
        user_id,
        None if place is None else place.snapshot,
        None if place is None else place.at,
    )
    here = Place(rows[0]["at"], rows[0]["snapshot"])
    fields = NotificationRow.__struct_fields__
    return [
        NotificationRow(**{name: row[name] for name in fields}) for row in rows if row["id"] is not None
    ], here


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
