"""Schedules of workflows: when each fires next, taken by one worker at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from db.pool import Conn

Missed = Literal["skip", "once", "all"]
Overlap = Literal["skip", "allow"]


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    node_id: str
    cron: str
    timezone: str
    missed: Missed
    overlap: Overlap
    next_run_at: datetime | None
    active: bool


async def sync_schedules(conn: Conn, workflow_id: str, specs: Sequence[ScheduleSpec]) -> None:
    """Make a workflow's schedules what its nodes say; one that is as it was keeps the time at which it fires next."""
    await conn.execute(
        """
        WITH gone AS (
            DELETE FROM "WorkflowSchedule"
            WHERE "workflowId" = $1 AND "nodeId" IS NOT NULL AND "nodeId" <> ALL($2::text[])
        )
        INSERT INTO "WorkflowSchedule" AS s ("workflowId", "nodeId", "cronExpression", "timezone", "missed", "overlap",
                                             "nextRunAt", "isActive")
        SELECT $1, n.node_id, n.cron, n.timezone, n.missed, n.overlap, n.next_run_at AT TIME ZONE 'UTC', n.active
        FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[])
             AS n (node_id, cron, timezone, missed, overlap, next_run_at, active)
        ON CONFLICT ("workflowId", "nodeId") DO UPDATE SET
            "cronExpression" = excluded."cronExpression", "timezone" = excluded."timezone",
            "missed" = excluded."missed", "overlap" = excluded."overlap", "isActive" = excluded."isActive",
            "nextRunAt" = CASE WHEN s."isActive" AND excluded."isActive" AND s."nextRunAt" IS NOT NULL
                                AND s."cronExpression" = excluded."cronExpression"
                                AND s."timezone" = excluded."timezone"
                          THEN s."nextRunAt" ELSE excluded."nextRunAt" END,
            "lastProblem" = NULL
        """,
        workflow_id,
        [spec.node_id for spec in specs],
        [spec.cron for spec in specs],
        [spec.timezone for spec in specs],
        [spec.missed for spec in specs],
        [spec.overlap for spec in specs],
        [spec.next_run_at for spec in specs],
        [spec.active for spec in specs],
    )


class DueSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule that this transaction holds. next_run_at is None for one that was changed, or is new."""

    id: str
    workflow_id: str
    node_id: str | None
    user_id: str
    cron: str
    timezone: str
    missed: Missed
    overlap: Overlap
    last_run_at: datetime | None
    next_run_at: datetime | None
    last_problem: str | None


GRACE = timedelta(minutes=1)
"""A tick that is no later than this has not been missed."""
# Missed times that are all made up for, and do not overlap, come one after another.
_IN_TURN = """
    NOT (s."missed" = 'all' AND s."overlap" = 'skip'
         AND s."nextRunAt" < $1::timestamptz AT TIME ZONE 'UTC' - $2::interval
         AND EXISTS (SELECT FROM workflow_run r WHERE r.workflow_id = s."workflowId" AND r.state <> 'ended'
                     AND starts_with(r.cause, 'schedule:' || s."id" || ':')))
"""


async def take_due(conn: Conn, now: datetime) -> DueSchedule | None:
    """Return one schedule that is due, or has no time yet, and hold it until conn's transaction ends.

    Others pass over it meanwhile. Its workflow is held too, in one step: who edits holds that first. One that makes up
    for times that were missed has its turn when the run before has ended.
    """
    row = await conn.fetchrow(
        f"""
        SELECT s."id" AS id, s."workflowId" AS workflow_id, s."nodeId" AS node_id, w."userId" AS user_id,
               s."cronExpression" AS cron, s."timezone" AS timezone, s."missed" AS missed, s."overlap" AS overlap,
               s."lastRunAt" AS last_run_at, s."nextRunAt" AS next_run_at, s."lastProblem" AS last_problem
        FROM "WorkflowSchedule" s JOIN "Workflow" w ON w."id" = s."workflowId"
        WHERE s."isActive" AND w."isActive" AND w."status" = 'ACTIVE'
          AND (s."nextRunAt" IS NULL OR s."nextRunAt" <= $1::timestamptz AT TIME ZONE 'UTC') AND {_IN_TURN}
        ORDER BY s."nextRunAt" NULLS FIRST, s."id"
        LIMIT 1 FOR NO KEY UPDATE OF s, w SKIP LOCKED
        """,  # noqa: S608 - a text of ours
        now,
        GRACE,
    )
    return DueSchedule(**row) if row else None


async def settle_schedule(
    conn: Conn,
    schedule_id: str,
    *,
    last_run_at: datetime | None,
    next_run_at: datetime | None,
    problem: str | None,
    active: bool = True,
) -> None:
    """Write down what became of a due schedule; last_run_at None leaves that as it is."""
    await conn.execute(
        """
        UPDATE "WorkflowSchedule"
        SET "lastRunAt" = COALESCE($2::timestamptz AT TIME ZONE 'UTC', "lastRunAt"),
            "nextRunAt" = $3::timestamptz AT TIME ZONE 'UTC', "lastProblem" = $4, "isActive" = $5
        WHERE "id" = $1
        """,
        schedule_id,
        last_run_at,
        next_run_at,
        problem,
        active,
    )


async def is_running(conn: Conn, schedule_id: str) -> bool:
    """Return whether a run that a schedule started goes on."""
    running: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM workflow_run r JOIN "WorkflowSchedule" s ON s."workflowId" = r.workflow_id
            WHERE s."id" = $1 AND r.state <> 'ended' AND starts_with(r.cause, 'schedule:' || $1 || ':')
        )
        """,
        schedule_id,
    )
    return running


async def next_due(conn: Conn) -> datetime | None:
    """Return when the first of all schedules fires that do not wait for a run of theirs."""
    first: datetime | None = await conn.fetchval(
        f"""
        SELECT min(s."nextRunAt") FROM "WorkflowSchedule" s JOIN "Workflow" w ON w."id" = s."workflowId"
        WHERE s."isActive" AND w."isActive" AND w."status" = 'ACTIVE' AND {_IN_TURN}
        """,  # noqa: S608
        datetime.now(UTC),
        GRACE,
    )
    return first


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """As its workflow shows it."""

    id: str
    node_id: str | None
    cron: str
    timezone: str
    missed: Missed
    overlap: Overlap
    is_active: bool
    last_run_at: datetime | None
    next_run_at: datetime | None
    last_problem: str | None


async def list_schedules(conn: Conn, workflow_id: str) -> list[ScheduleRow]:
    rows = await conn.fetch(
        """
        SELECT "id" AS id, "nodeId" AS node_id, "cronExpression" AS cron, "timezone" AS timezone, "missed" AS missed,
               "overlap" AS overlap, "isActive" AS is_active, "lastRunAt" AS last_run_at, "nextRunAt" AS next_run_at,
               "lastProblem" AS last_problem
        FROM "WorkflowSchedule" WHERE "workflowId" = $1 ORDER BY "createdAt", "id"
        """,
        workflow_id,
    )
    return [ScheduleRow(**row) for row in rows]


async def was_told(conn: Conn, user_id: str, schedule_id: str) -> bool:
    """Return whether somebody was told of a schedule's trouble within a day."""
    told: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM "Notification"
            WHERE "userId" = $1 AND "type" = 'WORKFLOW_FAILED' AND "data" ->> 'schedule_id' = $2
              AND "createdAt" > now() AT TIME ZONE 'UTC' - interval '1 day'
        )
        """,
        user_id,
        schedule_id,
    )
    return told


async def measure_late(conn: Conn) -> float:
    """Return for how many seconds the schedule that is due longest has been due; 0 where none is, or is in turn."""
    late_s: float = await conn.fetchval(
        f"""
        SELECT COALESCE(GREATEST(EXTRACT(epoch FROM now() AT TIME ZONE 'UTC' - min(s."nextRunAt")), 0), 0)::float8
        FROM "WorkflowSchedule" s JOIN "Workflow" w ON w."id" = s."workflowId"
        WHERE s."isActive" AND w."isActive" AND w."status" = 'ACTIVE' AND {_IN_TURN}
        """,  # noqa: S608
        datetime.now(UTC),
        GRACE,
    )
    return late_s
