"""The state of a document's way from bytes to chunks: claimed, reported on, finished or failed.

Every change tells the document's readers (db/events.py) in the same statement.
"""

from collections.abc import Sequence

import msgspec

from db.events import DOCUMENT
from db.pool import Conn


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to ingest one document."""

    space_id: str
    document_id: str
    user_id: str
    team_id: str | None
    title: str
    source_url: str | None
    storage_key: str | None
    """None for a document that is still to be fetched from source_url."""
    filename: str | None
    media_type: str | None
    attempts: int
    chunk_tokens: int | None
    """Of a chunk's text at most, and of them repeated at most; None for the default."""
    chunk_overlap: int | None

    @property
    def chunking(self) -> tuple[int | None, int | None]:
        return self.chunk_tokens, self.chunk_overlap


async def claim_ingestion(conn: Conn, document_id: str) -> Claim | None:
    """Mark the ingestion as processing; None where the document is gone or already finished.

    Claiming twice is allowed: a worker that died left its claim behind.
    """
    row = await conn.fetchrow(
        """
        UPDATE ingestion i
        SET status = 'processing', stage = 'fetch', progress = 0, attempts = attempts + 1,
            started_at = now(), finished_at = NULL, error_stage = NULL, error_code = NULL, error_detail = NULL
        FROM "Document" d LEFT JOIN original o ON o.space_id = d."spaceId" AND o.document_id = d."id"
        WHERE d."id" = $1
          AND i.space_id = d."spaceId" AND i.document_id = d."id"
          AND i.status IN ('queued', 'processing')
        RETURNING i.space_id, i.document_id, i.attempts, d."userId" AS user_id, d."teamId" AS team_id,
                  d."title" AS title, d."sourceUrl" AS source_url, i.chunk_tokens, i.chunk_overlap,
                  o.storage_key, o.filename, o.media_type,
                  pg_notify($2, i.document_id)
        """,
        document_id,
        DOCUMENT,
    )
    return None if row is None else msgspec.convert(dict(row), Claim)


async def report_progress(conn: Conn, space_id: str, document_id: str, stage: str, progress: float) -> None:
    await conn.execute(
        """
        UPDATE ingestion SET stage = $3, progress = $4
        WHERE space_id = $1 AND document_id = $2 AND status = 'processing'
        RETURNING pg_notify($5, document_id)
        """,
        space_id,
        document_id,
        stage,
        progress,
        DOCUMENT,
    )


async def mark_ready(
    conn: Conn,
    space_id: str,
    document_id: str,
    *,
    page_starts: Sequence[int],
    chunk_count: int,
    token_count: int,
    embedding_model: str,
) -> None:
    await conn.execute(
        """
        UPDATE ingestion
        SET status = 'ready', stage = NULL, progress = 1, finished_at = now(),
            page_starts = $3, page_count = NULLIF(cardinality($3::int[]), 0),
            chunk_count = $4, token_count = $5, embedding_model = $6
        WHERE space_id = $1 AND document_id = $2
        RETURNING pg_notify($7, document_id)
        """,
        space_id,
        document_id,
        list(page_starts),
        chunk_count,
        token_count,
        embedding_model,
        DOCUMENT,
    )


async def mark_failed(
    conn: Conn, space_id: str, document_id: str, *, stage: str, code: str, detail: str, retrying: bool
) -> bool:
    """Record the reason; retrying leaves the document queued for another attempt. False where it is gone, or ready."""
    tag: str = await conn.execute(
        """
        UPDATE ingestion
        SET status = CASE WHEN $6 THEN 'queued' ELSE 'failed' END, stage = NULL,
            error_stage = $3, error_code = $4, error_detail = $5,
            finished_at = CASE WHEN $6 THEN NULL ELSE now() END
        WHERE space_id = $1 AND document_id = $2 AND status <> 'ready'
        RETURNING pg_notify($7, document_id)
        """,
        space_id,
        document_id,
        stage,
        code,
        detail,
        retrying,
        DOCUMENT,
    )
    return tag == "UPDATE 1"


async def requeue(conn: Conn, spaces: Sequence[str], document_id: str) -> bool:
    """Put a failed ingestion back into the queue; False where there is none."""
    tag: str = await conn.execute(
        """
        UPDATE ingestion
        SET status = 'queued', stage = NULL, progress = 0, queued_at = now(), attempts = 0,
            error_stage = NULL, error_code = NULL, error_detail = NULL, finished_at = NULL
        WHERE space_id = ANY($1::text[]) AND document_id = $2 AND status = 'failed'
        RETURNING pg_notify($3, document_id)
        """,
        list(spaces),
        document_id,
        DOCUMENT,
    )
    return tag == "UPDATE 1"


async def page_starts(conn: Conn, spaces: Sequence[str], document_id: str) -> list[int]:
    starts: list[int] | None = await conn.fetchval(
        "SELECT page_starts FROM ingestion WHERE space_id = ANY($1::text[]) AND document_id = $2",
        list(spaces),
        document_id,
    )
    return starts or []


async def count_unfinished(conn: Conn) -> dict[str, int]:
    rows = await conn.fetch(
        "SELECT status, count(*) AS n FROM ingestion WHERE status IN ('queued', 'processing') GROUP BY status"
    )
    return {row["status"]: row["n"] for row in rows}


async def abandon(conn: Conn, document_id: str) -> str | None:
    """Give a document up after errors that nobody expected; the log has them. Return its space where it was in work."""
    space_id: str | None = await conn.fetchval(
        """
        UPDATE ingestion
        SET status = 'failed', error_stage = COALESCE(stage, 'fetch'), stage = NULL, error_code = 'internal',
            error_detail = 'Something went wrong on our side, several times. The log says what.', finished_at = now()
        WHERE document_id = $1 AND status IN ('queued', 'processing')
        RETURNING space_id, pg_notify($2, document_id)
        """,
        document_id,
        DOCUMENT,
    )
    return space_id
