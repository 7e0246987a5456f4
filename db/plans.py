"""Plans as people see them: what an owner has, what it allows, and how much of it is used."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from db.pool import Conn


class PlanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of None is none. effective_tier is what the subscription is worth today (migration 0006)."""

    tier: str
    effective_tier: str
    status: str
    ends_at: datetime | None
    storage_used: int
    storage_limit: int | None
    workflows_used: int
    workflow_limit: int | None
    executions_used: int
    executions_limit: int | None
    executions_reset_at: datetime


# The counter of executions is of the month that it names: of another month, it stands for none.
_SELECT = """
WITH owner AS (
    SELECT o."subscriptionTier" AS tier, o."subscriptionStatus" AS status, o."subscriptionEndsAt" AS ends_at,
           effective_tier(o."subscriptionTier", o."subscriptionStatus", o."subscriptionEndsAt") AS effective,
           o."storageUsed" AS storage_used, o."workflowsUsed" AS workflows_used,
           CASE WHEN COALESCE(o."executionsMonth", m.month) = m.month THEN o."executionsThisMonth" ELSE 0
           END AS executions,
           m.month
    FROM <table> AS o, (SELECT date_trunc('month', now() AT TIME ZONE 'UTC')::date AS month) AS m
    WHERE o."id" = $1
)
SELECT owner.tier::text AS tier, effective::text AS effective_tier, status::text, ends_at, storage_used,
       p.storage_limit_bytes AS storage_limit, workflows_used, p.workflow_limit, executions AS executions_used,
       p.executions_per_month AS executions_limit,
       (month + interval '1 month') AT TIME ZONE 'UTC' AS executions_reset_at
FROM owner JOIN plan AS p ON p.tier = owner.effective
"""
_OF_USER = _SELECT.replace("<table>", '"User"')
_OF_TEAM = _SELECT.replace("<table>", '"Team"')


async def has_room(conn: Conn, spaces: Sequence[str], size_bytes: int) -> bool:
    """Return whether any of these people and teams could store so many more bytes."""
    room: bool = await conn.fetchval(
        """
        SELECT bool_or(p.storage_limit_bytes IS NULL OR o.used + $2 <= p.storage_limit_bytes)
        FROM (
            SELECT "storageUsed" AS used,
                   effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier
            FROM "User" WHERE "id" = ANY($1::text[])
            UNION ALL
            SELECT "storageUsed", effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt")
            FROM "Team" WHERE "id" = ANY($1::text[])
        ) AS o JOIN plan AS p ON p.tier = o.tier
        """,
        list(spaces),
        size_bytes,
    )
    return bool(room)


async def find_user_plan(conn: Conn, user_id: str) -> PlanRow | None:
    row = await conn.fetchrow(_OF_USER, user_id)
    return None if row is None else PlanRow(**row)


async def find_team_plan(conn: Conn, team_id: str) -> PlanRow | None:
    row = await conn.fetchrow(_OF_TEAM, team_id)
    return None if row is None else PlanRow(**row)
