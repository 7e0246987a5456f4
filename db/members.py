"""The documents of collections: put in, described, taken out. Batches of them: db/batches.py."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from db.collections import STATUS
from db.pool import Conn

MemberStatus = Literal["in_progress", "completed", "failed", "cancelled"]

# <status> and <source> differ between a collection's documents and a batch's.
_SELECT = """
    SELECT * FROM (
        SELECT m.collection_id, m.document_id, m.attributes, m.created_at, <status> AS status, i.error_code,
               i.error_detail, COALESCE(o.size_bytes, 0) AS size_bytes, i.chunk_tokens, i.chunk_overlap,
               COALESCE(o.filename, d."title") AS filename
        FROM <source>
        JOIN "Document" d ON d."spaceId" = m.space_id AND d."id" = m.document_id
        LEFT JOIN ingestion i ON i.space_id = m.space_id AND i.document_id = m.document_id
        LEFT JOIN original o ON o.space_id = m.space_id AND o.document_id = m.document_id
        WHERE m.space_id = $1 AND m.collection_id = $2
    ) AS member
    """
IN_COLLECTION = _SELECT.replace("<status>", STATUS).replace("<source>", "collection_document m")
# $3 is the batch. What was cancelled in it counts so, though it was put into the collection again since.
IN_BATCH = _SELECT.replace("<status>", f"CASE WHEN b.cancelled THEN 'cancelled' ELSE {STATUS} END").replace(
    "<source>",
    """collection_batch_document b
        JOIN collection_document m ON m.collection_id = b.collection_id AND m.document_id = b.document_id
             AND b.space_id = $1 AND b.batch_id = $3""",
)


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """chunk_tokens and chunk_overlap are how the document is cut; None: by default."""

    collection_id: str
    document_id: str
    attributes: dict[str, Any] | None
    created_at: datetime
    status: MemberStatus
    error_code: str | None
    error_detail: str | None
    size_bytes: int
    chunk_tokens: int | None
    chunk_overlap: int | None
    filename: str


class NewMember(msgspec.Struct, frozen=True, kw_only=True):
    """A document to be put into a collection; chunk_tokens of None: however it is cut."""

    document_id: str
    attributes: Mapping[str, Any] | None
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None


class Place(NamedTuple):
    """Where a member stands in its list."""

    created_at: datetime
    document_id: str


async def find_document_spaces(
    conn: Conn, spaces: Sequence[str], document_ids: Sequence[str]
) -> dict[str, str]:
    """Return the space of each of the documents that is in one of these."""
    rows = await conn.fetch(
        """
        SELECT "id" AS id, "spaceId" AS space_id FROM "Document"
        WHERE "spaceId" = ANY($1::text[]) AND "id" = ANY($2::text[])
        """,
        list(spaces),
        list(document_ids),
    )
    return {row["id"]: row["space_id"] for row in rows}


async def insert_members(
    conn: Conn, space_id: str, collection_id: str, members: Sequence[NewMember]
) -> set[str]:
    """Put documents into a collection, and return the ids of those that are in it now: others are gone.

    One that is in it already gets the attributes that are given, and is not cancelled any more. No two members may be
    of the same document.
    """
    rows = await conn.fetch(
        """
        INSERT INTO collection_document AS m
            (collection_id, space_id, document_id, attributes, chunk_tokens, chunk_overlap)
        SELECT $2, d."spaceId", d."id", new.attributes, new.chunk_tokens, new.chunk_overlap
        FROM unnest($3::text[], $4::jsonb[], $5::integer[], $6::integer[])
             AS new (document_id, attributes, chunk_tokens, chunk_overlap)
        JOIN "Document" d ON d."spaceId" = $1 AND d."id" = new.document_id
        -- In an order, so that two who put in the same ones wait for each other and not each for the other.
        ORDER BY d."id"
        FOR KEY SHARE OF d
        ON CONFLICT (collection_id, document_id) DO UPDATE
        SET attributes = COALESCE(EXCLUDED.attributes, m.attributes), cancelled_at = NULL,
            chunk_tokens = COALESCE(EXCLUDED.chunk_tokens, m.chunk_tokens),
            chunk_overlap = CASE WHEN EXCLUDED.chunk_tokens IS NULL THEN m.chunk_overlap ELSE EXCLUDED.chunk_overlap END
        RETURNING document_id
        """,
        space_id,
        collection_id,
        [member.document_id for member in members],
        [None if member.attributes is None else dict(member.attributes) for member in members],
        [member.chunk_tokens for member in members],
        [member.chunk_overlap for member in members],
    )
    return {row["document_id"] for row in rows}


async def find_member(conn: Conn, space_id: str, collection_id: str, document_id: str) -> MemberRow | None:
    row = await conn.fetchrow(IN_COLLECTION + " WHERE document_id = $3", space_id, collection_id, document_id)
    return None if row is None else MemberRow(**row)


async def find_place(conn: Conn, space_id: str, collection_id: str, document_id: str) -> Place | None:
    row = await conn.fetchrow(
        """
        SELECT created_at, document_id FROM collection_document
        WHERE space_id = $1 AND collection_id = $2 AND document_id = $3
        """,
        space_id,
        collection_id,
        document_id,
    )
    return None if row is None else Place(**row)


async def list_members(
    conn: Conn,
    space_id: str,
    collection_id: str,
    *,
    batch_id: str | None,
    limit: int,
    newest_first: bool,
    after: Place | None,
    before: Place | None,
    status: MemberStatus | None,
) -> list[MemberRow]:
    """Return up to limit documents of a collection, or of one batch, next to `after`, else next to `before`."""
    backwards = before is not None and after is None
    direction = "DESC" if newest_first is not backwards else "ASC"
    below, above = (after, before) if newest_first else (before, after)
    rows = await conn.fetch(
        (IN_COLLECTION if batch_id is None else IN_BATCH)
        + f"""
        WHERE $3::text IS NOT DISTINCT FROM $3
          AND ($4::timestamptz IS NULL OR (created_at, document_id) < ($4, $5::text))
          AND ($6::timestamptz IS NULL OR (created_at, document_id) > ($6, $7::text))
          AND ($8::text IS NULL OR status = $8)
        ORDER BY created_at {direction}, document_id {direction} LIMIT $9
        """,
        space_id,
        collection_id,
        batch_id,
        None if below is None else below.created_at,
        None if below is None else below.document_id,
        None if above is None else above.created_at,
        None if above is None else above.document_id,
        status,
        limit,
    )
    found = [MemberRow(**row) for row in rows]
    return found[::-1] if backwards else found


async def set_attributes(
    conn: Conn, space_id: str, collection_id: str, document_id: str, attributes: Mapping[str, Any] | None
) -> bool:
    """Replace the attributes as a whole; False where the document is not in the collection."""
    tag: str = await conn.execute(
        """
        UPDATE collection_document SET attributes = $4
        WHERE space_id = $1 AND collection_id = $2 AND document_id = $3
        """,
        space_id,
        collection_id,
        document_id,
        None if attributes is None else dict(attributes),
    )
    return tag == "UPDATE 1"


async def delete_member(conn: Conn, space_id: str, collection_id: str, document_id: str) -> bool:
    """Take a document out of a collection; the document stays."""
    tag: str = await conn.execute(
        "DELETE FROM collection_document WHERE space_id = $1 AND collection_id = $2 AND document_id = $3",
        space_id,
        collection_id,
        document_id,
    )
    return tag == "DELETE 1"


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a hit in a collection is shown with."""

    filename: str
    attributes: dict[str, Any] | None


async def describe_members(
    conn: Conn, space_id: str, collection_id: str, document_ids: Sequence[str]
) -> dict[str, Described]:
    rows = await conn.fetch(
        """
        SELECT m.document_id, m.attributes, COALESCE(o.filename, d."title") AS filename
        FROM collection_document m
        JOIN "Document" d ON d."spaceId" = m.space_id AND d."id" = m.document_id
        LEFT JOIN original o ON o.space_id = m.space_id AND o.document_id = m.document_id
        WHERE m.space_id = $1 AND m.collection_id = $2 AND m.document_id = ANY($3::text[]) AND m.cancelled_at IS NULL
        """,
        space_id,
        collection_id,
        list(document_ids),
    )
    return {
        row["document_id"]: Described(filename=row["filename"], attributes=row["attributes"]) for row in rows
    }
