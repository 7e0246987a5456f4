"""Documents as people see them: the row, its original and where its ingestion stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from db.pool import Conn

Status = Literal["queued", "processing", "ready", "failed"]

# One definition of what a document is made of and of who may see it; every read below uses it.
_SELECT = """
SELECT d."id" AS id, d."spaceId" AS space_id, d."userId" AS user_id, d."teamId" AS team_id, d."title" AS title,
       d."metadata" AS metadata, d."sourceType" AS source_type, d."sourceUrl" AS source_url,
       d."createdAt" AS created_at, d."updatedAt" AS updated_at,
       o.filename, o.media_type, o.size_bytes, o.sha256,
       -- A row the web app wrote by itself has no ingestion: its text is there, but is not searchable yet.
       COALESCE(i.status, 'queued') AS status, i.stage, COALESCE(i.progress, 0) AS progress,
       i.error_stage, i.error_code, i.error_detail,
       i.page_count, i.chunk_count, i.token_count, i.embedding_model
FROM "Document" d
LEFT JOIN original o ON o.space_id = d."spaceId" AND o.document_id = d."id"
LEFT JOIN ingestion i ON i.space_id = d."spaceId" AND i.document_id = d."id"
WHERE d."spaceId" = ANY($1::text[])
"""


class DocumentRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    space_id: str
    user_id: str
    team_id: str | None
    title: str
    metadata: dict[str, Any] | None
    source_type: str | None
    source_url: str | None
    created_at: datetime
    updated_at: datetime
    filename: str | None
    media_type: str | None
    size_bytes: int | None
    sha256: bytes | None
    status: Status
    stage: str | None
    progress: float
    error_stage: str | None
    error_code: str | None
    error_detail: str | None
    page_count: int | None
    chunk_count: int | None
    token_count: int | None
    embedding_model: str | None


class Cursor(NamedTuple):
    """The last row of a page: lists go by creation, newest first, ties by id."""

    created_at: datetime
    id: str


class Original(msgspec.Struct, frozen=True, kw_only=True):
    storage_key: str
    filename: str | None
    media_type: str
    size_bytes: int
    sha256: bytes


async def insert_document(
    conn: Conn,
    *,
    document_id: str,
    user_id: str,
    team_id: str | None,
    title: str,
    metadata: Mapping[str, Any] | None,
    source_type: str,
    source_url: str | None,
) -> str:
    """Insert the row and a queued ingestion; return its space."""
    space_id: str = await conn.fetchval(
        """
        INSERT INTO "Document" ("id", "userId", "teamId", "title", "content", "metadata", "sourceType", "sourceUrl")
        VALUES ($1, $2, $3, $4, '', $5, $6, $7)
        RETURNING "spaceId"
        """,
        document_id,
        user_id,
        team_id,
        title,
        None if metadata is None else dict(metadata),
        source_type,
        source_url,
    )
    await conn.execute("INSERT INTO ingestion (space_id, document_id) VALUES ($1, $2)", space_id, document_id)
    return space_id


async def insert_original(conn: Conn, space_id: str, document_id: str, original: Original) -> bool:
    """Record where the document's bytes lie; False where it was deleted meanwhile.

    A repeat after an interrupted fetch replaces the first.
    """
    tag: str = await conn.execute(
        """
        INSERT INTO original (space_id, document_id, storage_key, filename, media_type, size_bytes, sha256)
        SELECT "spaceId", "id", $3, $4, $5, $6, $7 FROM "Document"
        WHERE "spaceId" = $1 AND "id" = $2 FOR KEY SHARE
        ON CONFLICT (space_id, document_id) DO UPDATE
        SET filename = EXCLUDED.filename, media_type = EXCLUDED.media_type,
            size_bytes = EXCLUDED.size_bytes, sha256 = EXCLUDED.sha256
        """,
        space_id,
        document_id,
        original.storage_key,
        original.filename,
        original.media_type,
        original.size_bytes,
        original.sha256,
    )
    return tag == "INSERT 0 1"


async def find_document(conn: Conn, spaces: Sequence[str], document_id: str) -> DocumentRow | None:
    row = await conn.fetchrow(_SELECT + ' AND d."id" = $2', list(spaces), document_id)
    return None if row is None else DocumentRow(**row)


async def list_documents(
    conn: Conn,
    spaces: Sequence[str],
    *,
    limit: int,
    after: Cursor | None = None,
    status: Status | None = None,
    source_url: str | None = None,
) -> list[DocumentRow]:
    """Return up to limit documents, newest first."""
    rows = await conn.fetch(
        _SELECT
        + """
        AND ($2::timestamptz IS NULL
             OR (d."createdAt", d."id") < ($2::timestamptz AT TIME ZONE 'UTC', $3::text))
        AND ($4::text IS NULL OR COALESCE(i.status, 'queued') = $4)
        AND ($5::text IS NULL OR d."sourceUrl" = $5)
        ORDER BY d."createdAt" DESC, d."id" DESC
        LIMIT $6
        """,
        list(spaces),
        after.created_at if after else None,
        after.id if after else None,
        status,
        source_url,
        limit,
    )
    return [DocumentRow(**row) for row in rows]


async def update_document(
    conn: Conn,
    spaces: Sequence[str],
    document_id: str,
    *,
    title: str | None,
    set_metadata: bool,
    metadata: Mapping[str, Any] | None,
    set_team: bool = False,
    team_id: str | None = None,
) -> bool:
    """Change what is given, metadata as a whole; return False where the document is not there.

    Another team (None: its user's own space) takes along whatever hangs on the document, by its foreign keys.
    """
    tag: str = await conn.execute(
        """
        UPDATE "Document"
        SET "title" = COALESCE($3, "title"),
            "metadata" = CASE WHEN $4 THEN $5::jsonb ELSE "metadata" END,
            "teamId" = CASE WHEN $6 THEN $7 ELSE "teamId" END,
            "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "spaceId" = ANY($1::text[]) AND "id" = $2
        """,
        list(spaces),
        document_id,
        title,
        set_metadata,
        None if metadata is None else dict(metadata),
        set_team,
        team_id,
    )
    return tag == "UPDATE 1"


async def delete_document(conn: Conn, spaces: Sequence[str], document_id: str) -> str | None:
    """Delete the document and, by cascade, every trace of it in search; return its original's storage key.

    Returns None where the document is not there, "" where it never had an original.
    """
    key: str | None = await conn.fetchval(
        """
        WITH kept AS (
            SELECT storage_key FROM original WHERE space_id = ANY($1::text[]) AND document_id = $2
        ), gone AS (
            DELETE FROM "Document" WHERE "spaceId" = ANY($1::text[]) AND "id" = $2 RETURNING "id"
        )
        SELECT COALESCE((SELECT storage_key FROM kept), '') FROM gone
        """,
        list(spaces),
        document_id,
    )
    return key


async def find_original(conn: Conn, spaces: Sequence[str], document_id: str) -> Original | None:
    row = await conn.fetchrow(
        """
        SELECT storage_key, filename, media_type, size_bytes, sha256
        FROM original WHERE space_id = ANY($1::text[]) AND document_id = $2
        """,
        list(spaces),
        document_id,
    )
    return None if row is None else Original(**row)


async def find_text(conn: Conn, spaces: Sequence[str], document_id: str) -> str | None:
    """Return the extracted text that character spans count in."""
    text: str | None = await conn.fetchval(
        'SELECT "content" FROM "Document" WHERE "spaceId" = ANY($1::text[]) AND "id" = $2',
        list(spaces),
        document_id,
    )
    return text
