"""Notifications: what a person should hear of. A trigger tells their open pages (migration 0005, db/events.py)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
