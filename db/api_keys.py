"""API keys. "key" holds the keyed hash: the key itself never comes near the database.

A key is looked up by its hash through the unique index. That comparison does not take constant time and need
not: how far a hash agreed with a stored one tells nothing to somebody who cannot compute the hash of a guess.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from db.pool import Conn


class ApiKey(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    user_id: str
    name: str
    prefix: str | None
    scopes: list[str]
    is_active: bool
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime


_COLUMNS = """
"id" AS id, "userId" AS user_id, "name" AS name, "prefix" AS prefix, COALESCE("scopes", '{}') AS scopes,
"isActive" AS is_active, "expiresAt" AS expires_at, "lastUsedAt" AS last_used_at, "createdAt" AS created_at
"""


async def insert_api_key(
    conn: Conn,
    *,
    user_id: str,
    name: str,
    key_hash: str,
    prefix: str | None = None,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
) -> ApiKey:
    row = await conn.fetchrow(
        f"""
        INSERT INTO "ApiKey" ("userId", "name", "key", "prefix", "scopes", "expiresAt")
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING {_COLUMNS}
        """,  # noqa: S608 - the columns are the constant above
        user_id,
        name,
        key_hash,
        prefix,
        list(scopes),
        expires_at,
    )
    if row is None:  # pragma: no cover - an INSERT that returns has a row or raises
        raise LookupError("the key was not created")
    return ApiKey(**row)


async def list_api_keys(conn: Conn, user_id: str) -> list[ApiKey]:
    """Return all keys of a user, revoked ones too, newest first."""
    rows = await conn.fetch(
        f'SELECT {_COLUMNS} FROM "ApiKey" WHERE "userId" = $1 ORDER BY "createdAt" DESC, "id" DESC',  # noqa: S608
        user_id,
    )
    return [ApiKey(**row) for row in rows]


async def find_api_key(conn: Conn, *, user_id: str, key_id: str) -> ApiKey | None:
    row = await conn.fetchrow(
        f'SELECT {_COLUMNS} FROM "ApiKey" WHERE "userId" = $1 AND "id" = $2',  # noqa: S608
        user_id,
        key_id,
    )
    return None if row is None else ApiKey(**row)


async def count_active(conn: Conn, user_id: str) -> int:
    """Return how many keys a user has that are neither revoked nor expired; who makes several at once takes turns,
    until the transaction ends.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('keys of ' || $1::text, 0))", user_id)
    count: int = await conn.fetchval(
        """
        SELECT count(*) FROM "ApiKey"
        WHERE "userId" = $1 AND "isActive" AND ("expiresAt" IS NULL OR "expiresAt" > now() AT TIME ZONE 'UTC')
        """,
        user_id,
    )
    return count


async def rename_api_key(conn: Conn, *, user_id: str, key_id: str, name: str) -> ApiKey | None:
    row = await conn.fetchrow(
        f'UPDATE "ApiKey" SET "name" = $3 WHERE "userId" = $1 AND "id" = $2 RETURNING {_COLUMNS}',  # noqa: S608
        user_id,
        key_id,
        name,
    )
    return None if row is None else ApiKey(**row)


async def revoke_api_key(conn: Conn, *, user_id: str, key_id: str) -> bool:
    """Revoke a key for good; False when the user has no such key, or it was revoked before."""
    revoked = await conn.fetchval(
        """
        UPDATE "ApiKey" SET "isActive" = false WHERE "id" = $2 AND "userId" = $1 AND "isActive" RETURNING "id"
        """,
        user_id,
        key_id,
    )
    return revoked is not None
