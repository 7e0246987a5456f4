"""Deliveries: an event on its way to a webhook. Written by db/outbox.py, sent by a job, kept as a log for a month."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

import msgspec

from db.pool import Conn

DeliveryStatus = Literal["pending", "delivered", "failed"]

# Of a webhook that the caller was found to see.
_SELECT = """
SELECT d.id::text AS id, d.webhook_id, d.event_id, d.event_type, d.body, d.status, d.attempts, d.response_status,
       d.response_body, d.error, d.duration_ms, d.created_at, d.next_attempt_at, d.last_attempt_at, d.finished_at
FROM webhook_delivery d
WHERE d.webhook_id = $1
"""


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    webhook_id: str
    event_id: str
    event_type: str
    body: str
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    response_body: str | None
    error: str | None
    duration_ms: int | None
    created_at: datetime
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    finished_at: datetime | None


class Cursor(NamedTuple):
    """The last delivery of a page: lists are newest first."""

    created_at: datetime
    id: str


async def list_deliveries(
    conn: Conn, webhook_id: str, *, limit: int, after: Cursor | None, status: DeliveryStatus | None
) -> list[DeliveryRow]:
    """Return up to limit deliveries, newest first."""
    rows = await conn.fetch(
        _SELECT
        + """
        AND ($2::text IS NULL OR d.status = $2)
        AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3, $4::uuid))
        ORDER BY d.created_at DESC, d.id DESC
        LIMIT $5
        """,
        webhook_id,
        status,
        after and after.created_at,
        after and after.id,
        limit,
    )
    return [DeliveryRow(**row) for row in rows]


async def find_delivery(conn: Conn, webhook_id: str, delivery_id: str) -> DeliveryRow | None:
    """delivery_id is a UUID."""
    row = await conn.fetchrow(_SELECT + " AND d.id = $2::uuid", webhook_id, delivery_id)
    return None if row is None else DeliveryRow(**row)


async def replay_delivery(conn: Conn, delivery_id: str) -> None:
    """Begin a delivery anew, whatever became of it: the same event under the same id, all attempts ahead of it."""
    await conn.execute(
        """
        UPDATE webhook_delivery
        SET status = 'pending', attempts = 0, next_attempt_at = now(), finished_at = NULL, error = NULL,
            response_status = NULL, response_body = NULL, duration_ms = NULL
        WHERE id = $1::uuid
        """,
        delivery_id,
    )


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt needs."""

    id: str
    webhook_id: str
    event_id: str
    event_type: str
    body: str
    attempts: int
    url: str
    sealed_secrets: list[str]
    """The current one, and the one before it for as long as it is still to sign."""
    is_active: bool


async def find_due(conn: Conn, delivery_id: str) -> Due | None:
    """Return a delivery that is to be attempted now; None where it is finished, gone, or due later."""
    row = await conn.fetchrow(
        """
        SELECT d.id::text AS id, d.webhook_id, d.event_id, d.event_type, d.body, d.attempts, w."url" AS url,
               array_remove(ARRAY[w."secret", CASE WHEN w."previousSecretUntil" > now() THEN w."previousSecret" END],
                            NULL) AS sealed_secrets,
               w."isActive" AS is_active
        FROM webhook_delivery d JOIN "Webhook" w ON w."id" = d.webhook_id
        WHERE d.id = $1::uuid AND d.status = 'pending' AND d.next_attempt_at <= now()
        """,
        delivery_id,
    )
    return None if row is None else Due(**row)


async def record_attempt(
    conn: Conn,
    delivery_id: str,
    *,
    delivered: bool,
    response_status: int | None,
    response_body: str | None,
    error: str | None,
    duration_ms: int,
    next_delay: timedelta | None,
) -> None:
    """Write down how an attempt went; without next_delay it was the last.

    What has been delivered stays so: of two runs at once, the one that fails does not undo the other.
    """
    await conn.execute(
        """
        UPDATE webhook_delivery
        SET attempts = attempts + 1, last_attempt_at = now(), response_status = $3, response_body = $4, error = $5,
            duration_ms = $6, next_attempt_at = now() + $7::interval,
            status = CASE WHEN $2 THEN 'delivered' WHEN $7::interval IS NULL THEN 'failed' ELSE 'pending' END,
            finished_at = CASE WHEN $2 OR $7::interval IS NULL THEN now() END
        WHERE id = $1::uuid AND status <> 'delivered'
        """,
        delivery_id,
        delivered,
        response_status,
        response_body,
        error,
        duration_ms,
        next_delay,
    )


async def give_up_delivery(conn: Conn, delivery_id: str, error: str) -> None:
    """End a delivery without an attempt."""
    await conn.execute(
        """
        UPDATE webhook_delivery
        SET status = 'failed', error = $2, finished_at = now(), next_attempt_at = NULL
        WHERE id = $1::uuid AND status = 'pending'
        """,
        delivery_id,
        error,
    )


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What is on its way to all webhooks."""

    due: int
    later: int
    oldest_s: float
    """Seconds since the oldest of them was written; 0 where there is none."""


async def measure_pending(conn: Conn) -> Pending:
    row = await conn.fetchrow("""
        SELECT count(*) FILTER (WHERE next_attempt_at <= now()) AS due,
               count(*) FILTER (WHERE next_attempt_at > now()) AS later,
               COALESCE(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s
        FROM webhook_delivery WHERE status = 'pending'
    """)
    if row is None:  # pragma: no cover - an aggregate without groups has a row
        raise LookupError("a count has no row")
    return Pending(**row)


async def list_orphans(conn: Conn, entrypoint: str) -> Sequence[str]:
    """Return deliveries that have been due for a minute and have no job, as a killed worker may leave them."""
    rows = await conn.fetch(
        """
        SELECT d.id::text AS id FROM webhook_delivery d
        WHERE d.status = 'pending' AND d.next_attempt_at < now() - interval '1 minute'
          AND NOT EXISTS (
              SELECT 1 FROM pgqueuer q
              WHERE q.entrypoint = $1 AND q.payload = convert_to(d.id::text, 'UTF8')
                AND q.status IN ('queued', 'picked')
          )
        ORDER BY d.next_attempt_at
        FOR UPDATE OF d SKIP LOCKED
        """,
        entrypoint,
    )
    return [row["id"] for row in rows]


async def prune_deliveries(conn: Conn, *, days: int) -> int:
    """Delete what was written more than days ago; return how many."""
    tag: str = await conn.execute(
        "DELETE FROM webhook_delivery WHERE created_at < now() - make_interval(days => $1)", days
    )
    return int(tag.rpartition(" ")[2])
