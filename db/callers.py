"""Who is asking, what they may see, and how often they asked of late: all in one statement before each request."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from db.pool import Conn


class Limit(NamedTuple):
    """Requests that a key ('key') or a person with all of their keys ('user') may send in a window."""

    kind: str
    window_s: int
    requests: int


class Window(NamedTuple):
    """What a limit has counted: this request included, refused ones too."""

    kind: str
    window_s: int
    started_at: datetime
    requests: int


class CallerRow(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    subject: str
    key_id: str | None
    key_hash: str | None
    expires_at: datetime | None
    scopes: list[str]
    team_ids: list[str]
    team_roles: list[str]
    invited: bool
    """Whether an invitation waits for their verified address."""
    email: str
    email_verified: bool
    first_in_a_minute: bool
    """Whether this request moved the time of the last use of the key, or of the last login."""
    now: datetime
    windows: list[Window]


# <caller> is one row, or none: the person, and the key they came with. <used> is what else happens to the key.
# A window begins with its first request and counts in one row, whatever process asks: the row's lock makes it exact.
# The rows come in order, so that two requests of a person cannot wait for each other.
_FIND = """
    WITH caller AS MATERIALIZED (<caller>
    ),<used>
    counted AS (
        INSERT INTO rate_limit AS r (subject, window_s, started_at, requests)
        SELECT l.kind || ':' || CASE l.kind WHEN 'key' THEN caller.key_id ELSE caller.user_id END, l.window_s, now(), 1
        FROM caller, unnest($2::text[], $3::integer[]) AS l (kind, window_s)
        WHERE l.kind = 'user' OR caller.key_id IS NOT NULL
        ORDER BY 1, 2
        ON CONFLICT (subject, window_s) DO UPDATE SET
            requests = CASE WHEN r.started_at + make_interval(secs => r.window_s) <= now() THEN 1
                            ELSE r.requests + 1 END,
            started_at = CASE WHEN r.started_at + make_interval(secs => r.window_s) <= now() THEN now()
                              ELSE r.started_at END
        RETURNING split_part(subject, ':', 1) AS kind, window_s, started_at, requests
    ),
    teams AS (
        SELECT COALESCE(array_agg(m."teamId" ORDER BY m."joinedAt", m."id"), '{}') AS ids,
               COALESCE(array_agg(m."role"::text ORDER BY m."joinedAt", m."id"), '{}') AS roles
        FROM caller JOIN "TeamMember" m ON m."userId" = caller.user_id
    ),
    windows AS (
        SELECT array_agg(kind) AS kinds, array_agg(window_s) AS seconds, array_agg(started_at) AS started,
               array_agg(requests) AS requests
        FROM counted
    )
    SELECT caller.*, teams.ids AS team_ids, teams.roles AS team_roles, now() AS now, windows.*,
           caller.verified AND EXISTS (
               SELECT FROM team_invitation i WHERE lower(i.email) = lower(caller.email) AND i.expires_at > now()
           ) AS invited,
           EXISTS (SELECT FROM used) AS first_in_a_minute
    FROM caller, teams, windows
    """
_BY_KEY = _FIND.replace(
    "<caller>",
    """
        SELECT k."id" AS key_id, k."key" AS key_hash, k."expiresAt" AS expires_at,
               COALESCE(k."scopes", '{}') AS scopes, u."id" AS user_id,
               u."clerkId" AS subject, u."email" AS email, u."emailVerified" AS verified
        FROM "ApiKey" k JOIN "User" u ON u."id" = k."userId"
        WHERE k."key" = $1 AND k."isActive"
          AND (k."expiresAt" IS NULL OR k."expiresAt" > now() AT TIME ZONE 'UTC')""",
).replace(
    "<used>",
    """
    used AS (
        -- At most once a minute, so that a busy key is not a hot row.
        UPDATE "ApiKey" SET "lastUsedAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = (SELECT key_id FROM caller)
          AND ("lastUsedAt" IS NULL OR "lastUsedAt" < now() AT TIME ZONE 'UTC' - interval '1 minute')
        RETURNING 1
    ),""",
)
_BY_SUBJECT = _FIND.replace(
    "<caller>",
    """
        SELECT NULL::text AS key_id, NULL::text AS key_hash, NULL::timestamp AS expires_at,
               '{}'::text[] AS scopes, u."id" AS user_id,
               u."clerkId" AS subject, u."email" AS email, u."emailVerified" AS verified
        FROM "User" u WHERE u."clerkId" = $1""",
).replace(
    "<used>",
    """
    used AS (
        -- As with keys; and nobody waits for an upload of theirs that holds the row.
        UPDATE "User" SET "lastLoginAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" IN (
            SELECT "id" FROM "User"
            WHERE "clerkId" = $1
              AND ("lastLoginAt" IS NULL OR "lastLoginAt" < now() AT TIME ZONE 'UTC' - interval '1 minute')
            FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING 1
    ),""",
)


async def find_caller(conn: Conn, key_hash: str, limits: Sequence[Limit] = ()) -> CallerRow | None:
    """Return the holder of an active, unexpired key, and count the request."""
    return await _find(conn, _BY_KEY, key_hash, limits)


async def find_caller_by_subject(conn: Conn, subject: str, limits: Sequence[Limit] = ()) -> CallerRow | None:
    """Return the person whom the identity provider knows by this subject, and count the request."""
    return await _find(conn, _BY_SUBJECT, subject, limits)


async def is_admitted(conn: Conn, user_id: str, key_id: str | None) -> bool:
    """Return whether somebody is still there, and the key they came with still active."""
    admitted: bool = await conn.fetchval(
        """
        SELECT CASE WHEN $2::text IS NULL THEN EXISTS (SELECT FROM "User" WHERE "id" = $1)
               ELSE EXISTS (SELECT FROM "ApiKey" WHERE "id" = $2 AND "userId" = $1 AND "isActive"
                            AND ("expiresAt" IS NULL OR "expiresAt" > now() AT TIME ZONE 'UTC')) END
        """,
        user_id,
        key_id,
    )
    return admitted


async def _find(conn: Conn, sql: str, by: str, limits: Sequence[Limit]) -> CallerRow | None:
    row = await conn.fetchrow(sql, by, [limit.kind for limit in limits], [limit.window_s for limit in limits])
    if row is None:
        return None
    windows = zip(
        row["kinds"] or (), row["seconds"] or (), row["started"] or (), row["requests"] or (), strict=True
    )
    return CallerRow(
        user_id=row["user_id"],
        subject=row["subject"],
        key_id=row["key_id"],
        key_hash=row["key_hash"],
        expires_at=row["expires_at"],
        scopes=row["scopes"],
        team_ids=row["team_ids"],
        team_roles=row["team_roles"],
        invited=row["invited"],
        email=row["email"],
        email_verified=row["verified"],
        first_in_a_minute=row["first_in_a_minute"],
        now=row["now"],
        windows=[Window(*window) for window in windows],
    )


async def prune_rate_limits(conn: Conn) -> int:
    """Delete windows that are over; return how many."""
    tag: str = await conn.execute(
        "DELETE FROM rate_limit WHERE started_at + make_interval(secs => window_s) < now()"
    )
    return int(tag.rpartition(" ")[2])
