"""The usage log: what was done that costs something, for whom, and its sums."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from db.pool import Conn

Resource = Literal["workflow", "execution", "ai_request", "document", "search"]
"""As the platform's schema names them."""


class UsageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One chargeable act. user_id did it; team_id is whose resources it used, if a team's."""

    user_id: str
    resource: Resource
    action: str
    resource_id: str | None = None
    team_id: str | None = None
    key_id: str | None = None
    tokens: int | None = None
    size_bytes: int | None = None
    cost: float | None = None
    """In US dollars."""
    metadata: Mapping[str, Any] | None = None
    reservation: UUID | None = None
    """What was set aside for it (db/budgets.py), and is given back now that its cost is known."""


async def insert_usage(conn: Conn, entries: Sequence[UsageEntry]) -> None:
    """Write entries down and settle their reservations, as the service.

    Those of somebody who was deleted meanwhile have gone with them.
    """
    await conn.execute(
        """
        WITH settled AS (DELETE FROM budget_reservation WHERE id = ANY($11::uuid[]))
        INSERT INTO "UsageLog" ("userId", "resourceType", "resourceId", "action", "teamId", "keyId", "tokens", "bytes",
                                "cost", "metadata")
        SELECT e.user_id, e.resource, e.resource_id, e.action, e.team_id, e.key_id, e.tokens, e.size_bytes, e.cost,
               e.metadata
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[],
                    $8::bigint[], $9::float8[], $10::jsonb[])
             AS e (user_id, resource, resource_id, action, team_id, key_id, tokens, size_bytes, cost, metadata)
        -- One deleted user must not fail the rows of everybody else who is in the batch.
        JOIN "User" u ON u."id" = e.user_id FOR KEY SHARE OF u
        """,
        [entry.user_id for entry in entries],
        [entry.resource for entry in entries],
        [entry.resource_id for entry in entries],
        [entry.action for entry in entries],
        [entry.team_id for entry in entries],
        [entry.key_id for entry in entries],
        [entry.tokens for entry in entries],
        [entry.size_bytes for entry in entries],
        [entry.cost for entry in entries],
        [None if entry.metadata is None else dict(entry.metadata) for entry in entries],
        [entry.reservation for entry in entries if entry.reservation is not None],
    )


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """What one group comes to; what was not grouped by is null."""

    day: date | None
    kind: str | None
    team_id: str | None
    key_id: str | None
    requests: int
    tokens: int
    size_bytes: int
    cost: float


async def sum_usage(
    conn: Conn,
    *,
    user_id: str | None,
    team_id: str | None,
    since: datetime,
    until: datetime,
    by_day: bool,
    by_kind: bool,
    by_team: bool,
    by_key: bool,
    limit: int,
) -> list[UsageSum]:
    """Return sums over one person's acts, or over one team's resources: give one of the two. Days are UTC's."""
    # Two texts rather than an OR, so that each goes by its own index.
    whose = '"userId" = $1' if user_id is not None else '"teamId" = $1'
    rows = await conn.fetch(
        f"""
        SELECT CASE WHEN $4 THEN "createdAt"::date END AS day,
               CASE WHEN $5 THEN "resourceType" || '.' || "action" END AS kind,
               CASE WHEN $6 THEN "teamId" END AS team_id,
               CASE WHEN $7 THEN "keyId" END AS key_id,
               count(*) AS requests,
               COALESCE(sum("tokens"), 0)::bigint AS tokens,
               COALESCE(sum("bytes"), 0)::bigint AS size_bytes,
               COALESCE(sum("cost"), 0) AS cost
        FROM "UsageLog"
        WHERE {whose} AND "createdAt" >= $2::timestamptz AT TIME ZONE 'UTC'
          AND "createdAt" < $3::timestamptz AT TIME ZONE 'UTC'
        GROUP BY 1, 2, 3, 4
        ORDER BY 1, 2, 3 NULLS FIRST, 4 NULLS FIRST
        LIMIT $8
        """,  # noqa: S608 - one of two texts of ours
        user_id if user_id is not None else team_id,
        since,
        until,
        by_day,
        by_kind,
        by_team,
        by_key,
        limit,
    )
    return [UsageSum(**row) for row in rows]
