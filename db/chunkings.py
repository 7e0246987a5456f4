"""How documents are cut into chunks, where a collection asks for it. A document is cut in one way at a time."""

from collections.abc import Sequence
from typing import NamedTuple

from db.pool import Conn


class Chunking(NamedTuple):
    """Tokens of a chunk at most, and of them that repeat the end of the chunk before at most."""

    tokens: int
    overlap: int


async def lock_ingestions(
    conn: Conn, space_id: str, document_ids: Sequence[str]
) -> dict[str, tuple[str, Chunking | None]]:
    """Keep others from cutting these documents otherwise meanwhile; return the status and chunking of each.

    None is the default chunking.
    """
    rows = await conn.fetch(
        """
        SELECT document_id, status, chunk_tokens, chunk_overlap FROM ingestion
        WHERE space_id = $1 AND document_id = ANY($2::text[]) ORDER BY document_id FOR UPDATE
        """,
        space_id,
        list(document_ids),
    )
    return {
        row["document_id"]: (
            row["status"],
            None if row["chunk_tokens"] is None else Chunking(row["chunk_tokens"], row["chunk_overlap"]),
        )
        for row in rows
    }


async def wanted_elsewhere(
    conn: Conn, space_id: str, collection_id: str, document_ids: Sequence[str]
) -> dict[str, list[Chunking]]:
    """Return what other collections have asked for, of each document of which one has; after lock_ingestions."""
    rows = await conn.fetch(
        """
        SELECT document_id, chunk_tokens, chunk_overlap FROM collection_document
        WHERE space_id = $1 AND document_id = ANY($3::text[]) AND collection_id <> $2
          AND chunk_tokens IS NOT NULL AND cancelled_at IS NULL
        """,
        space_id,
        collection_id,
        list(document_ids),
    )
    wanted: dict[str, list[Chunking]] = {}
    for row in rows:
        wanted.setdefault(row["document_id"], []).append(Chunking(row["chunk_tokens"], row["chunk_overlap"]))
    return wanted


async def set_chunking(conn: Conn, space_id: str, document_id: str, chunking: Chunking) -> bool:
    """Have a document cut so from now on; True where it has to be queued for it.

    One that waits has its job; one that has failed stays as it is until somebody tries it again.
    """
    queued: bool | None = await conn.fetchval(
        """
        WITH before AS (SELECT status FROM ingestion WHERE space_id = $1 AND document_id = $2)
        UPDATE ingestion i SET chunk_tokens = $3, chunk_overlap = $4,
            status = CASE WHEN i.status IN ('ready', 'processing') THEN 'queued' ELSE i.status END,
            stage = NULL, progress = CASE WHEN i.status = 'failed' THEN i.progress ELSE 0 END,
            attempts = CASE WHEN i.status IN ('ready', 'processing') THEN 0 ELSE i.attempts END,
            queued_at = CASE WHEN i.status IN ('ready', 'processing') THEN now() ELSE i.queued_at END,
            finished_at = CASE WHEN i.status = 'failed' THEN i.finished_at END
        FROM before
        WHERE i.space_id = $1 AND i.document_id = $2
        RETURNING before.status IN ('ready', 'processing')
        """,
        space_id,
        document_id,
        chunking.tokens,
        chunking.overlap,
    )
    return bool(queued)
