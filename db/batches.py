"""Batches: documents that were put into a collection together, and how far they are."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from db.collections import BATCH_PREFIX, new_id
from db.members import IN_BATCH
from db.pool import Conn


class BatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are of the documents that are still in the collection."""

    id: str
    collection_id: str
    cancelled_at: datetime | None
    created_at: datetime
    in_progress: int
    completed: int
    failed: int
    cancelled: int


async def insert_batch(conn: Conn, space_id: str, collection_id: str, document_ids: Sequence[str]) -> str:
    """Note documents, all of them in the collection, as put in together; return the batch's id."""
    batch_id = new_id(BATCH_PREFIX)
    await conn.execute(
        "INSERT INTO collection_batch (id, space_id, collection_id) VALUES ($1, $2, $3)",
        batch_id,
        space_id,
        collection_id,
    )
    await conn.execute(
        """
        INSERT INTO collection_batch_document (batch_id, space_id, collection_id, document_id)
        SELECT $1, $2, $3, document_id FROM unnest($4::text[]) AS document_id ORDER BY document_id
        """,
        batch_id,
        space_id,
        collection_id,
        list(document_ids),
    )
    return batch_id


async def find_batch(conn: Conn, space_id: str, collection_id: str, batch_id: str) -> BatchRow | None:
    row = await conn.fetchrow(
        f"""
        SELECT b.id, b.collection_id, b.cancelled_at, b.created_at, counted.*
        FROM collection_batch b
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
                   count(*) FILTER (WHERE status = 'completed') AS completed,
                   count(*) FILTER (WHERE status = 'failed') AS failed,
                   count(*) FILTER (WHERE status = 'cancelled') AS cancelled
            FROM ({IN_BATCH}) AS members
        ) AS counted
        WHERE b.space_id = $1 AND b.collection_id = $2 AND b.id = $3
        """,  # noqa: S608 - of constants
        space_id,
        collection_id,
        batch_id,
    )
    return None if row is None else BatchRow(**row)


async def cancel_batch(conn: Conn, space_id: str, collection_id: str, batch_id: str) -> int:
    """Cancel those of a batch's documents that are not finished, and return how many; none leaves it as it is."""
    count: int = await conn.fetchval(
        """
        WITH pending AS (
            SELECT m.document_id FROM collection_batch_document b
            JOIN collection_document m ON m.collection_id = b.collection_id AND m.document_id = b.document_id
            LEFT JOIN ingestion i ON i.space_id = m.space_id AND i.document_id = m.document_id
            WHERE b.space_id = $1 AND b.collection_id = $2 AND b.batch_id = $3 AND NOT b.cancelled
              AND m.cancelled_at IS NULL AND COALESCE(i.status, 'queued') IN ('queued', 'processing')
        ),
        members AS (
            UPDATE collection_document SET cancelled_at = now()
            WHERE space_id = $1 AND collection_id = $2 AND document_id IN (SELECT document_id FROM pending)
        ),
        of_batch AS (
            UPDATE collection_batch_document SET cancelled = true
            WHERE space_id = $1 AND batch_id = $3 AND document_id IN (SELECT document_id FROM pending)
        ),
        batch AS (
            UPDATE collection_batch SET cancelled_at = now()
            WHERE space_id = $1 AND collection_id = $2 AND id = $3 AND EXISTS (SELECT FROM pending)
        )
        SELECT count(*) FROM pending
        """,
        space_id,
        collection_id,
        batch_id,
    )
    return count
