"""Documents as files: what they were uploaded for, and when they go by themselves."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from db.documents import Status
from db.pool import Conn

DEFAULT_PURPOSE = "assistants"
"""Of documents that came some other way."""

_SELECT = f"""
    SELECT d."id" AS document_id, d."spaceId" AS space_id, d."teamId" AS team_id,
           d."createdAt" AT TIME ZONE 'UTC' AS created_at, COALESCE(o.filename, d."title") AS filename,
           COALESCE(o.size_bytes, 0) AS size_bytes, COALESCE(i.status, 'queued') AS status, i.error_detail,
           COALESCE(f.purpose, '{DEFAULT_PURPOSE}') AS purpose, f.expires_at
    FROM "Document" d
    LEFT JOIN original o ON o.space_id = d."spaceId" AND o.document_id = d."id"
    LEFT JOIN ingestion i ON i.space_id = d."spaceId" AND i.document_id = d."id"
    LEFT JOIN document_file f ON f.space_id = d."spaceId" AND f.document_id = d."id"
    WHERE d."spaceId" = ANY($1::text[])
    """  # noqa: S608 - a constant


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    document_id: str
    space_id: str
    team_id: str | None
    created_at: datetime
    filename: str
    size_bytes: int
    status: Status
    error_detail: str | None
    purpose: str
    expires_at: datetime | None


async def insert_file(
    conn: Conn, space_id: str, document_id: str, *, purpose: str, expires_after_s: int | None
) -> None:
    await conn.execute(
        """
        INSERT INTO document_file (space_id, document_id, purpose, expires_at)
        VALUES ($1, $2, $3, now() + make_interval(secs => $4))
        """,
        space_id,
        document_id,
        purpose,
        None if expires_after_s is None else float(expires_after_s),
    )


async def find_file(conn: Conn, spaces: Sequence[str], document_id: str) -> FileRow | None:
    row = await conn.fetchrow(_SELECT + ' AND d."id" = $2', list(spaces), document_id)
    return None if row is None else FileRow(**row)


async def list_files(
    conn: Conn,
    spaces: Sequence[str],
    *,
    limit: int,
    newest_first: bool,
    after: FileRow | None,
    purpose: str | None,
) -> list[FileRow]:
    """Return up to limit files in the order of their creation, those that follow after."""
    sign, direction = ("<", "DESC") if newest_first else (">", "ASC")
    rows = await conn.fetch(
        _SELECT
        + f"""
        AND ($2::timestamptz IS NULL
             OR (d."createdAt", d."id") {sign} ($2::timestamptz AT TIME ZONE 'UTC', $3::text))
        AND ($4::text IS NULL OR COALESCE(f.purpose, '{DEFAULT_PURPOSE}') = $4)
        ORDER BY d."createdAt" {direction}, d."id" {direction}
        LIMIT $5
        """,
        list(spaces),
        after.created_at if after else None,
        after.document_id if after else None,
        purpose,
        limit,
    )
    return [FileRow(**row) for row in rows]


class ExpiredFile(NamedTuple):
    document_id: str
    space_id: str
    user_id: str
    team_id: str | None
    size_bytes: int | None


async def lock_expired(conn: Conn, *, limit: int) -> list[ExpiredFile]:
    """Return documents whose time is over, held for whoever deletes them; those that another holds are left out."""
    rows = await conn.fetch(
        """
        SELECT f.document_id, f.space_id, d."userId" AS user_id, d."teamId" AS team_id, o.size_bytes
        FROM document_file f
        JOIN "Document" d ON d."spaceId" = f.space_id AND d."id" = f.document_id
        LEFT JOIN original o ON o.space_id = f.space_id AND o.document_id = f.document_id
        WHERE f.expires_at <= now()
        ORDER BY f.expires_at LIMIT $1
        FOR UPDATE OF f SKIP LOCKED
        """,
        limit,
    )
    return [ExpiredFile(**row) for row in rows]
