"""Executions: the runs of workflows, as the platform's schema has them, and how each is begun."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from db.pool import Conn

ExecutionStatus = Literal["RUNNING", "SUCCESS", "FAILED", "CANCELED", "TIMEOUT"]
TriggeredBy = Literal["manual", "schedule", "webhook", "api", "event", "workflow", "error"]


async def insert_execution(
    conn: Conn,
    *,
    execution_id: str,
    workflow_id: str,
    user_id: str,
    triggered_by: TriggeredBy,
    data: Any,
    version: int,
    retry_of: str | None,
    retry_count: int,
    parent_execution_id: str | None,
) -> None:
    """Write down that a workflow begins to run. Raises PlanLimitReached, at the statement."""
    await conn.execute(
        """
        INSERT INTO "WorkflowExecution" ("id", "workflowId", "userId", "triggeredBy", "inputData", "version", "retryOf",
                                         "retryCount", "parentExecutionId", "startedAt")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, now() AT TIME ZONE 'UTC')
        """,
        execution_id,
        workflow_id,
        user_id,
        triggered_by,
        data,
        version,
        retry_of,
        retry_count,
        parent_execution_id,
    )


async def insert_run(
    conn: Conn,
    *,
    execution_id: str,
    workflow_id: str,
    version: int,
    plan: Mapping[str, Any],
    root_id: str,
    depth: int,
    parent_step: str | None,
    waited_for: bool,
    cause: str | None,
    time_left_s: float,
) -> str:
    """Write down how it is to run; return the space that it counts in. conn is the service's, as below.

    What another execution calls is charged to the same key as that.
    """
    space_id: str = await conn.fetchval(
        """
        WITH run AS (
            INSERT INTO workflow_run (execution_id, workflow_id, space_id, version, plan, root_id, depth, parent_step,
                                      cause, time_left_s, waited_for)
            SELECT $1, w."id", COALESCE(w."teamId", w."userId"), $3,
                   $4::jsonb || COALESCE((
                       SELECT jsonb_build_object('key_id', p.plan -> 'key_id')
                       FROM "WorkflowExecution" e JOIN workflow_run p ON p.execution_id = e."parentExecutionId"
                       WHERE e."id" = $1 AND p.plan ? 'key_id'), '{}'),
                   $5, $6, $7, $8, $9, $10
            FROM "Workflow" w WHERE w."id" = $2
            RETURNING space_id
        ),
        -- What others have called does not count: it would stand in the way of who waits for it.
        counted AS (
            INSERT INTO workflow_start (execution_id, space_id) SELECT $1, space_id FROM run WHERE $7::text IS NULL
        ),
        past AS (
            DELETE FROM workflow_start s USING run
            WHERE s.space_id = run.space_id AND s.started_at <= now() - interval '1 minute'
        )
        SELECT space_id FROM run
        """,
        execution_id,
        workflow_id,
        version,
        dict(plan),
        root_id,
        depth,
        parent_step,
        cause,
        time_left_s,
        waited_for,
    )
    return space_id


async def find_key(conn: Conn, execution_id: str) -> str | None:
    """Return the API key that an execution was started with, as long as there is such a key."""
    key_id: str | None = await conn.fetchval(
        """
        SELECT k."id" FROM workflow_run r JOIN "ApiKey" k ON k."id" = r.plan ->> 'key_id' WHERE r.execution_id = $1
        """,
        execution_id,
    )
    return key_id


async def lock_cause(conn: Conn, cause: str) -> None:
    """Take turns with whoever is told of the same cause at the same time, until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", cause)


async def find_cause(conn: Conn, cause: str) -> str | None:
    """Return the execution that a tick, an event or a call has started already."""
    found: str | None = await conn.fetchval("SELECT execution_id FROM workflow_run WHERE cause = $1", cause)
    return found


class Load(NamedTuple):
    """What a space runs and has begun of late, beside what its plan allows of both; None for no limit."""

    active: int
    in_last_minute: int
    oldest_s: float
    """Seconds since the first of those of the last minute."""
    active_allowed: int | None
    per_minute_allowed: int | None


async def count_load(conn: Conn, space_id: str) -> Load:
    """Return it exactly, after insert_execution in the same transaction: its trigger holds the owner's row."""
    row = await conn.fetchrow(
        """
        SELECT (SELECT count(*) FROM workflow_run r
                WHERE r.space_id = $1 AND r.parent_step IS NULL AND r.state = 'active') AS active,
               begun.in_last_minute, begun.oldest_s,
               p.concurrent_executions AS active_allowed, p.executions_per_minute AS per_minute_allowed
        FROM (
            SELECT effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt") AS tier
            FROM "Team" WHERE "id" = $1
            UNION ALL
            SELECT effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt")
            FROM "User" WHERE "id" = $1
            LIMIT 1
        ) AS owner
        JOIN plan p ON p.tier = owner.tier
        CROSS JOIN (
            SELECT count(*) AS in_last_minute,
                   COALESCE(EXTRACT(epoch FROM now() - min(started_at)), 0)::float8 AS oldest_s
            FROM workflow_start WHERE space_id = $1 AND started_at > now() - interval '1 minute'
        ) AS begun
        """,
        space_id,
    )
    return Load(*row) if row else Load(0, 0, 0.0, None, None)


class FailedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow for errors is told, and what says which one that is."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    user_id: str
    status: str
    triggered_by: str | None
    retry_of: str | None
    error: dict[str, Any] | None
    settings: Any
    space_id: str
    depth: int


async def find_failed(conn: Conn, execution_id: str) -> FailedExecution | None:
    row = await conn.fetchrow(
        """
        SELECT e."id" AS execution_id, e."workflowId" AS workflow_id, w."name" AS workflow_name, e."userId" AS user_id,
               e."status"::text AS status, e."triggeredBy" AS triggered_by, e."retryOf" AS retry_of,
               e."errorData" AS error, w."settings" AS settings,
               COALESCE(w."teamId", w."userId") AS space_id, r.depth
        FROM "WorkflowExecution" e JOIN "Workflow" w ON w."id" = e."workflowId"
        JOIN workflow_run r ON r.execution_id = e."id"
        WHERE e."id" = $1 AND e."status" IN ('FAILED', 'TIMEOUT')
        """,
        execution_id,
    )
    return FailedExecution(**row) if row else None


async def is_test(conn: Conn, execution_id: str) -> bool:
    """Return whether nobody is to be told of how an execution ends."""
    found: bool | None = await conn.fetchval(
        "SELECT plan ->> 'mode' = 'test' FROM workflow_run WHERE execution_id = $1", execution_id
    )
    return bool(found)


async def prune_executions(conn: Conn, *, days: int, limit: int) -> int:
    """Delete up to limit executions that ended more than so many days ago; return how many."""
    await conn.execute("DELETE FROM workflow_start WHERE started_at < now() - interval '1 hour'")
    tag: str = await conn.execute(
        """
        DELETE FROM "WorkflowExecution" WHERE "id" IN (
            SELECT "id" FROM "WorkflowExecution"
            WHERE "status" <> 'RUNNING' AND "startedAt" < now() AT TIME ZONE 'UTC' - make_interval(days => $1)
              AND COALESCE("finishedAt", "startedAt") < now() AT TIME ZONE 'UTC' - make_interval(days => $1)
            ORDER BY "startedAt" LIMIT $2
        )
        """,
        days,
        limit,
    )
    return int(tag.rpartition(" ")[2])
