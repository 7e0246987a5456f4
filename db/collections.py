"""Collections: documents of one space that are searched together. Their documents: db/members.py."""

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from db.pool import Conn

STORE_PREFIX = "vs_"
BATCH_PREFIX = "vsfb_"

# A busy collection is not a hot row: its last use is exact to the minute.
_ACTIVE_EVERY = "interval '1 minute'"

# $1 are the caller's spaces. What becomes of a membership follows from its document's ingestion.
STATUS = """
    CASE WHEN m.cancelled_at IS NOT NULL THEN 'cancelled'
         WHEN i.status = 'ready' THEN 'completed'
         WHEN i.status = 'failed' THEN 'failed'
         ELSE 'in_progress' END"""
_SELECT = f"""
    SELECT c.id, c.space_id, c.user_id, c.team_id, c.name, c.description, c.metadata, c.expires_after_days,
           c.last_active_at, c.created_at, c.last_active_at + make_interval(days => c.expires_after_days) AS expires_at,
           COALESCE(c.last_active_at + make_interval(days => c.expires_after_days) <= now(), false) AS is_expired,
           counted.*
    FROM (<chosen>) AS c
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE status = 'in_progress') AS in_progress,
               count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
               COALESCE(sum(size_bytes) FILTER (WHERE status = 'completed'), 0)::bigint AS usage_bytes
        FROM (
            SELECT {STATUS} AS status, o.size_bytes
            FROM collection_document m
            LEFT JOIN ingestion i USING (space_id, document_id)
            LEFT JOIN original o USING (space_id, document_id)
            WHERE m.space_id = c.space_id AND m.collection_id = c.id
        ) AS members
    ) AS counted
    """  # noqa: S608 - of constants


class CollectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """usage_bytes are those of the originals of its completed documents."""

    id: str
    space_id: str
    user_id: str
    team_id: str | None
    name: str | None
    description: str | None
    metadata: dict[str, Any] | None
    expires_after_days: int | None
    last_active_at: datetime
    created_at: datetime
    expires_at: datetime | None
    is_expired: bool
    in_progress: int
    completed: int
    failed: int
    cancelled: int
    usage_bytes: int


def new_id(prefix: str) -> str:
    """Return an id that orders by the time it was made, so that a list can go on after one that is gone."""
    return f"{prefix}{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


async def insert_collection(
    conn: Conn,
    *,
    user_id: str,
    team_id: str | None,
    name: str | None,
    description: str | None,
    metadata: Mapping[str, Any] | None,
    expires_after_days: int | None,
) -> str:
    """Insert an empty collection and return its id."""
    collection_id = new_id(STORE_PREFIX)
    await conn.execute(
        """
        INSERT INTO collection (id, user_id, team_id, name, description, metadata, expires_after_days)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        collection_id,
        user_id,
        team_id,
        name,
        description,
        None if metadata is None else dict(metadata),
        expires_after_days,
    )
    return collection_id


async def find_collection(conn: Conn, spaces: Sequence[str], collection_id: str) -> CollectionRow | None:
    row = await conn.fetchrow(
        _SELECT.replace("<chosen>", "SELECT * FROM collection WHERE space_id = ANY($1::text[]) AND id = $2"),
        list(spaces),
        collection_id,
    )
    return None if row is None else CollectionRow(**row)


async def list_collections(
    conn: Conn,
    spaces: Sequence[str],
    *,
    limit: int,
    newest_first: bool,
    after: str | None,
    before: str | None,
) -> list[CollectionRow]:
    """Return up to limit collections between two ids, those next to `after`, or else those next to `before`.

    In the order asked for. Ids order by time, so either may be gone.
    """
    # Towards `before`, the list is read from there backwards.
    backwards = before is not None and after is None
    descending = newest_first is not backwards
    chosen = """
        SELECT * FROM collection
        WHERE space_id = ANY($1::text[]) AND ($2::text IS NULL OR id < $2) AND ($3::text IS NULL OR id > $3)
        ORDER BY id <direction> LIMIT $4"""
    sql = _SELECT.replace("<chosen>", chosen) + " ORDER BY c.id <direction>"
    rows = await conn.fetch(
        sql.replace("<direction>", "DESC" if descending else "ASC"),
        list(spaces),
        after if newest_first else before,
        before if newest_first else after,
        limit,
    )
    found = [CollectionRow(**row) for row in rows]
    return found[::-1] if backwards else found


async def update_collection(
    conn: Conn,
    spaces: Sequence[str],
    collection_id: str,
    *,
    set_name: bool,
    name: str | None,
    set_metadata: bool,
    metadata: Mapping[str, Any] | None,
    set_expiry: bool,
    expires_after_days: int | None,
) -> bool:
    """Change what is set, and count it as a use; False where the collection is not there."""
    tag: str = await conn.execute(
        """
        UPDATE collection
        SET name = CASE WHEN $3 THEN $4 ELSE name END,
            metadata = CASE WHEN $5 THEN $6::jsonb ELSE metadata END,
            expires_after_days = CASE WHEN $7 THEN $8::integer ELSE expires_after_days END,
            -- One that has expired lives again only with another expiry.
            last_active_at = CASE
                WHEN $7 OR COALESCE(last_active_at + make_interval(days => expires_after_days) > now(), true) THEN now()
                ELSE last_active_at END
        WHERE space_id = ANY($1::text[]) AND id = $2
        """,
        list(spaces),
        collection_id,
        set_name,
        name,
        set_metadata,
        None if metadata is None else dict(metadata),
        set_expiry,
        expires_after_days,
    )
    return tag == "UPDATE 1"


async def hold_collection(conn: Conn, space_id: str, collection_id: str) -> bool:
    """Keep others from deleting a collection until the transaction ends; False where it is gone already."""
    held = await conn.fetchval(
        "SELECT true FROM collection WHERE space_id = $1 AND id = $2 FOR KEY SHARE", space_id, collection_id
    )
    return held is not None


async def touch_collections(conn: Conn, spaces: Sequence[str], collection_ids: Sequence[str]) -> None:
    """Note that collections were used, at most once a minute; one that has expired stays so."""
    await conn.execute(
        f"""
        UPDATE collection SET last_active_at = now()
        WHERE id IN (
            SELECT id FROM collection
            WHERE space_id = ANY($1::text[]) AND id = ANY($2::text[]) AND last_active_at < now() - {_ACTIVE_EVERY}
              AND (expires_after_days IS NULL OR last_active_at + make_interval(days => expires_after_days) > now())
            -- Nobody waits for somebody else who says the same.
            FOR NO KEY UPDATE SKIP LOCKED
        )
        """,  # noqa: S608 - a constant
        list(spaces),
        list(collection_ids),
    )


async def delete_collection(conn: Conn, spaces: Sequence[str], collection_id: str) -> bool:
    """Delete a collection, not its documents."""
    tag: str = await conn.execute(
        "DELETE FROM collection WHERE space_id = ANY($1::text[]) AND id = $2", list(spaces), collection_id
    )
    return tag == "DELETE 1"


class CollectionSpace(msgspec.Struct, frozen=True, kw_only=True):
    """What a search has to know of a collection."""

    id: str
    space_id: str
    team_id: str | None
    name: str | None
    is_expired: bool


async def find_spaces(
    conn: Conn, spaces: Sequence[str], collection_ids: Sequence[str]
) -> list[CollectionSpace]:
    """Return those of the collections that are there, in these spaces."""
    rows = await conn.fetch(
        """
        SELECT id, space_id, team_id, name,
               COALESCE(last_active_at + make_interval(days => expires_after_days) <= now(), false) AS is_expired
        FROM collection WHERE space_id = ANY($1::text[]) AND id = ANY($2::text[])
        """,
        list(spaces),
        list(collection_ids),
    )
    return [CollectionSpace(**row) for row in rows]
