"""Who a key belongs to and what they may see, in one statement."""

from datetime import datetime

import msgspec

from db.pool import Conn


class CallerRow(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    user_id: str
    scopes: list[str]
    expires_at: datetime | None
    team_ids: list[str]
    writable_team_ids: list[str]


async def find_caller(conn: Conn, key_hash: str) -> CallerRow | None:
    """Return the holder of an active, unexpired key.

    lastUsedAt moves at most once a minute, so that a busy key is not a hot row.
    """
    row = await conn.fetchrow(
        """
        WITH used AS (
            UPDATE "ApiKey" SET "lastUsedAt" = now() AT TIME ZONE 'UTC'
            WHERE "key" = $1 AND "isActive"
              AND ("lastUsedAt" IS NULL OR "lastUsedAt" < now() AT TIME ZONE 'UTC' - interval '1 minute')
        )
        SELECT k."id" AS key_id, k."userId" AS user_id, k."scopes" AS scopes, k."expiresAt" AS expires_at,
               ARRAY(SELECT "teamId" FROM "TeamMember" WHERE "userId" = k."userId") AS team_ids,
               ARRAY(SELECT "teamId" FROM "TeamMember"
                     WHERE "userId" = k."userId" AND "role" <> 'VIEWER') AS writable_team_ids
        FROM "ApiKey" k
        WHERE k."key" = $1 AND k."isActive"
          AND (k."expiresAt" IS NULL OR k."expiresAt" > now() AT TIME ZONE 'UTC')
        """,
        key_hash,
    )
    return None if row is None else CallerRow(**row)
