"""Signed events from outside, remembered by the id that their sender gave them: a repeat changes nothing."""

from datetime import datetime

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


async def prune_events(conn: Conn) -> int:
    """Delete events of over a month ago, which no sender repeats any more; return how many."""
    tag: str = await conn.execute("DELETE FROM received_event WHERE received_at < now() - interval '31 days'")
    return int(tag.rpartition(" ")[2])
