"""Signed events from outside, remembered by the id that their sender gave them: a repeat changes nothing."""

from datetime import datetime
from typing import Any

import msgspec

from db.pool import Conn


async def claim_event(
    conn: Conn,
    provider: str,
    event_id: str,
    *,
    event_type: str,
    subject: str | None,
    occurred_at: datetime,
) -> bool:
    """Return True for the first to bring this event, in whose transaction it is to be applied; False for a repeat.

    A repeat that arrives at the same moment waits for the first to commit; if that fails, it is the first.
    """
    tag: str = await conn.execute(
        """
        INSERT INTO received_event (provider, event_id, event_type, subject, occurred_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING
        """,
        provider,
        event_id,
        event_type,
        subject,
        occurred_at,
    )
    return tag == "INSERT 0 1"


async def keep_payload(conn: Conn, provider: str, event_id: str, payload: dict[str, Any]) -> None:
    """Keep what an event says until its subject is known."""
    await conn.execute(
        "UPDATE received_event SET payload = $3 WHERE provider = $1 AND event_id = $2",
        provider,
        event_id,
        payload,
    )


class KeptEvent(msgspec.Struct, frozen=True, kw_only=True):
    event_id: str
    event_type: str
    occurred_at: datetime
    payload: dict[str, Any]


async def take_kept_events(conn: Conn, provider: str, subject: str) -> list[KeptEvent]:
    """Return the events that waited for this subject, oldest first, and let go of what they say."""
    rows = await conn.fetch(
        """
        WITH kept AS (
            SELECT provider, event_id, payload FROM received_event
            WHERE provider = $1 AND subject = $2 AND payload IS NOT NULL FOR UPDATE
        ), let_go AS (
            UPDATE received_event e SET payload = NULL FROM kept
            WHERE e.provider = kept.provider AND e.event_id = kept.event_id
            RETURNING e.event_id, e.event_type, e.occurred_at, kept.payload
        )
        SELECT * FROM let_go ORDER BY occurred_at, event_id
        """,
        provider,
        subject,
    )
    return [KeptEvent(**row) for row in rows]


async def prune_events(conn: Conn) -> int:
    """Delete events of over a month ago, which no sender repeats any more; return how many."""
    tag: str = await conn.execute("DELETE FROM received_event WHERE received_at < now() - interval '31 days'")
    return int(tag.rpartition(" ")[2])
