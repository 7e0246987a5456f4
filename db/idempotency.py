"""Idempotency-Key: the first request with a key makes the document, a repeat gets it again."""

from db.pool import Conn


async def claim_key(
    conn: Conn, user_id: str, key: str, request_hash: bytes, document_id: str
) -> tuple[str, bytes]:
    """Claim key for document_id, or find who has it; return the holder's document id and request hash.

    A concurrent request with the same key waits here for the first to commit.
    """
    await conn.execute(
        """
        INSERT INTO idempotency_key (user_id, key, request_hash, document_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id, key) DO UPDATE
        SET request_hash = EXCLUDED.request_hash, document_id = EXCLUDED.document_id, created_at = now()
        -- A key is kept a day, as clients expect. The row is locked either way.
        WHERE idempotency_key.created_at < now() - interval '24 hours'
        """,
        user_id,
        key,
        request_hash,
        document_id,
    )
    # Nor is it kept longer than its document. A statement of its own: the document of the request we may have
    # waited for is seen only by a new snapshot.
    await conn.execute(
        """
        UPDATE idempotency_key SET request_hash = $3, document_id = $4, created_at = now()
        WHERE user_id = $1 AND key = $2 AND document_id <> $4
          AND NOT EXISTS (SELECT 1 FROM "Document" d WHERE d."id" = idempotency_key.document_id)
        """,
        user_id,
        key,
        request_hash,
        document_id,
    )
    row = await conn.fetchrow(
        "SELECT document_id, request_hash FROM idempotency_key WHERE user_id = $1 AND key = $2", user_id, key
    )
    if row is None:
        raise LookupError("the idempotency key vanished inside its own transaction")
    return row["document_id"], row["request_hash"]


async def prune_keys(conn: Conn) -> int:
    """Delete keys past their day; return how many."""
    tag: str = await conn.execute(
        "DELETE FROM idempotency_key WHERE created_at < now() - interval '24 hours'"
    )
    return int(tag.rpartition(" ")[2])
