"""Webhooks: where a person or a team wants to be told of events. Secrets are sealed before they come here.

A webhook without a team gets its user's own events and is the user's; one with a team is for those who manage the
team's webhooks. Callers pass both: the user, and the teams in which that user may.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from db.pool import Conn

# One definition of what a webhook is made of and of who may see and change it; every read below uses it, and what is
# written is what a read has found in the same transaction.
_SELECT = """
SELECT w."id" AS id, w."userId" AS user_id, w."teamId" AS team_id, w."url" AS url, w."description" AS description,
       COALESCE(w."events", '{}') AS events, w."isActive" AS is_active, w."totalCalls" AS total_calls,
       w."lastCalledAt" AS last_called_at, w."failingSince" AS failing_since, w."pausedAt" AS paused_at,
       w."pauseReason" AS pause_reason, w."createdAt" AS created_at, w."updatedAt" AS updated_at
FROM "Webhook" w
WHERE (w."teamId" = ANY($2::text[]) OR w."teamId" IS NULL AND w."userId" = $1)
"""


class WebhookRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    team_id: str | None
    url: str
    description: str | None
    events: list[str]
    """Empty: every event."""
    is_active: bool
    total_calls: int
    last_called_at: datetime | None
    failing_since: datetime | None
    paused_at: datetime | None
    pause_reason: str | None
    created_at: datetime
    updated_at: datetime


class Cursor(NamedTuple):
    """The last webhook of a page: lists are newest first."""

    created_at: datetime
    id: str


async def insert_webhook(
    conn: Conn,
    *,
    user_id: str,
    team_id: str | None,
    url: str,
    sealed_secret: str,
    events: Sequence[str],
    description: str | None,
    limit: int,
) -> str | None:
    """Return the new webhook's id, None where its owner, the team or else the user, has as many as limit already."""
    # Two statements: the second sees what those who held the lock before have committed.
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('webhooks of ' || $1::text, 0))", team_id or user_id
    )
    webhook_id: str | None = await conn.fetchval(
        """
        INSERT INTO "Webhook" ("userId", "teamId", "url", "secret", "events", "description")
        SELECT $1, $2, $3, $4, $5, $6
        WHERE $7 > (SELECT count(*) FROM "Webhook" o
                    WHERE o."teamId" = $2 OR $2::text IS NULL AND o."teamId" IS NULL AND o."userId" = $1)
        RETURNING "id"
        """,
        user_id,
        team_id,
        url,
        sealed_secret,
        list(events),
        description,
        limit,
    )
    return webhook_id


async def find_webhook(
    conn: Conn, user_id: str, team_ids: Sequence[str], webhook_id: str
) -> WebhookRow | None:
    row = await conn.fetchrow(_SELECT + ' AND w."id" = $3', user_id, list(team_ids), webhook_id)
    return None if row is None else WebhookRow(**row)


async def list_webhooks(
    conn: Conn,
    user_id: str,
    team_ids: Sequence[str],
    *,
    limit: int,
    after: Cursor | None,
    team_id: str | None,
) -> list[WebhookRow]:
    """Return up to limit of them, newest first; team_id narrows it to one team's."""
    rows = await conn.fetch(
        _SELECT
        + """
        AND ($3::text IS NULL OR w."teamId" = $3)
        AND ($4::timestamptz IS NULL OR (w."createdAt", w."id") < ($4::timestamptz AT TIME ZONE 'UTC', $5::text))
        ORDER BY w."createdAt" DESC, w."id" DESC
        LIMIT $6
        """,
        user_id,
        list(team_ids),
        team_id,
        after and after.created_at,
        after and after.id,
        limit,
    )
    return [WebhookRow(**row) for row in rows]


async def update_webhook(
    conn: Conn,
    webhook_id: str,
    *,
    url: str | None,
    events: Sequence[str] | None,
    set_description: bool,
    description: str | None,
    is_active: bool | None,
) -> None:
    """Change what is given of a webhook that was found. Activating one begins with a clean slate."""
    await conn.execute(
        """
        UPDATE "Webhook"
        SET "url" = COALESCE($2, "url"),
            "events" = COALESCE($3, "events"),
            "description" = CASE WHEN $4 THEN $5 ELSE "description" END,
            "isActive" = COALESCE($6, "isActive"),
            "failingSince" = CASE WHEN $6 THEN NULL ELSE "failingSince" END,
            "pausedAt" = CASE WHEN $6 THEN NULL WHEN NOT $6 THEN COALESCE("pausedAt", now()) ELSE "pausedAt" END,
            "pauseReason" = CASE WHEN $6 THEN NULL WHEN NOT $6 THEN COALESCE("pauseReason", 'by_hand')
                                 ELSE "pauseReason" END,
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = $1
        """,
        webhook_id,
        url,
        None if events is None else list(events),
        set_description,
        description,
        is_active,
    )


async def rotate_secret(conn: Conn, webhook_id: str, *, sealed_secret: str, grace_hours: int) -> None:
    """Put a new secret in the place of the old one, which goes on signing as well for grace_hours."""
    await conn.execute(
        """
        UPDATE "Webhook"
        SET "secret" = $2, "previousSecret" = "secret", "previousSecretUntil" = now() + make_interval(hours => $3),
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = $1
        """,
        webhook_id,
        sealed_secret,
        grace_hours,
    )


async def delete_webhook(conn: Conn, webhook_id: str) -> None:
    """Delete a webhook that was found, and with it its deliveries."""
    await conn.execute('DELETE FROM "Webhook" WHERE "id" = $1', webhook_id)


class Called(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook is after one more call."""

    user_id: str
    team_id: str | None
    url: str
    is_active: bool
    given_up: bool
    """Everything has failed for as long as we have patience."""


async def count_call(conn: Conn, webhook_id: str, *, delivered: bool, patience_hours: int) -> Called | None:
    """Count a call and how it went; None where the webhook is gone. Locks the row: do this before its delivery's."""
    row = await conn.fetchrow(
        """
        UPDATE "Webhook"
        SET "totalCalls" = "totalCalls" + 1, "lastCalledAt" = now() AT TIME ZONE 'UTC',
            "failingSince" = CASE WHEN $2 THEN NULL ELSE COALESCE("failingSince", now()) END
        WHERE "id" = $1
        RETURNING "userId" AS user_id, "teamId" AS team_id, "url" AS url, "isActive" AS is_active,
                  COALESCE("failingSince" <= now() - make_interval(hours => $3), false) AS given_up
        """,
        webhook_id,
        delivered,
        patience_hours,
    )
    return None if row is None else Called(**row)


async def pause_webhook(conn: Conn, webhook_id: str, reason: str) -> bool:
    """Stop delivering to a webhook until somebody activates it again; False where it is not active."""
    tag: str = await conn.execute(
        """
        UPDATE "Webhook" SET "isActive" = false, "pausedAt" = now(), "pauseReason" = $2
        WHERE "id" = $1 AND "isActive"
        """,
        webhook_id,
        reason,
    )
    return tag == "UPDATE 1"


async def webhook_managers(conn: Conn, user_id: str, team_id: str | None) -> list[str]:
    """Return who is to hear of what becomes of a webhook: its user, or the owners and admins of its team."""
    rows = await conn.fetch(
        """
        SELECT $1 AS user_id WHERE $2::text IS NULL
        UNION ALL
        SELECT "userId" FROM "TeamMember" WHERE "teamId" = $2 AND "role" IN ('OWNER', 'ADMIN')
        """,
        user_id,
        team_id,
    )
    return [row["user_id"] for row in rows]
