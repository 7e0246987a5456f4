"""Executions as people see them: listed, looked at, followed. Their logs are paged: those of long runs are long."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from db.executions import ExecutionStatus
from db.pool import Conn


class ExecutionRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    workflow_id: str
    workflow_name: str
    user_id: str
    team_id: str | None
    status: ExecutionStatus
    started_at: datetime
    finished_at: datetime | None
    duration: int | None
    triggered_by: str | None
    retry_count: int
    retry_of: str | None
    parent_execution_id: str | None
    version: int | None


class ExecutionDetail(ExecutionRow, frozen=True, kw_only=True):
    input_data: Any
    output_data: Any
    error_data: Any


class Cursor(NamedTuple):
    """A place in the list, which goes by the start, ties by id."""

    started_at: datetime
    id: str


_COLUMNS = """
e."id" AS id, e."workflowId" AS workflow_id, w."name" AS workflow_name, e."userId" AS user_id, w."teamId" AS team_id,
e."status"::text AS status, e."startedAt" AS started_at, e."finishedAt" AS finished_at, e."duration" AS duration,
e."triggeredBy" AS triggered_by, e."retryCount" AS retry_count, e."retryOf" AS retry_of,
e."parentExecutionId" AS parent_execution_id, e."version" AS version
"""


async def list_executions(
    conn: Conn,
    spaces: Sequence[str],
    *,
    limit: int,
    after: Cursor | None,
    workflow_id: str | None,
    status: ExecutionStatus | None,
    triggered_by: str | None,
    since: datetime | None,
    until: datetime | None,
) -> list[ExecutionRow]:
    """Return up to limit executions of workflows in these spaces, newest first."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM "Workflow" w
        -- The newest of each workflow by its index, and then of all: those of others are not gone through.
        CROSS JOIN LATERAL (
            SELECT * FROM "WorkflowExecution" e
            WHERE e."workflowId" = w."id"
              AND ($3::text IS NULL OR e."status" = $3::"ExecutionStatus")
              AND ($4::text IS NULL OR e."triggeredBy" = $4)
              AND ($5::timestamptz IS NULL OR e."startedAt" >= $5::timestamptz AT TIME ZONE 'UTC')
              AND ($6::timestamptz IS NULL OR e."startedAt" < $6::timestamptz AT TIME ZONE 'UTC')
              AND ($7::timestamptz IS NULL
                   OR (e."startedAt", e."id") < ($7::timestamptz AT TIME ZONE 'UTC', $8::text))
            ORDER BY e."startedAt" DESC, e."id" DESC LIMIT $9
        ) AS e
        WHERE (w."teamId" = ANY($1::text[]) OR w."teamId" IS NULL AND w."userId" = ANY($1::text[]))
          AND ($2::text IS NULL OR w."id" = $2)
        ORDER BY e."startedAt" DESC, e."id" DESC LIMIT $9
        """,  # noqa: S608 - the columns are the constant above
        list(spaces),
        workflow_id,
        status,
        triggered_by,
        since,
        until,
        after.started_at if after else None,
        after.id if after else None,
        limit,
    )
    return [ExecutionRow(**row) for row in rows]


async def find_execution(conn: Conn, spaces: Sequence[str], execution_id: str) -> ExecutionDetail | None:
    row = await conn.fetchrow(
        f"""
        SELECT {_COLUMNS}, e."inputData" AS input_data, e."outputData" AS output_data, e."errorData" AS error_data
        FROM "WorkflowExecution" e JOIN "Workflow" w ON w."id" = e."workflowId"
        WHERE COALESCE(w."teamId", w."userId") = ANY($1::text[]) AND e."id" = $2
        """,  # noqa: S608
        list(spaces),
        execution_id,
    )
    return ExecutionDetail(**row) if row else None


class LogRow(msgspec.Struct, frozen=True):
    place: int
    entry: dict[str, Any]


async def list_log(
    conn: Conn,
    execution_id: str,
    *,
    after: int,
    limit: int,
    node: str | None = None,
    event: str | None = None,
) -> list[LogRow]:
    """Return up to limit entries of an execution's log beyond a place, in order; conn is the service's.

    While it runs they are rows; then they are in the execution itself.
    """
    rows = await conn.fetch(
        """
        SELECT place, entry FROM (
            SELECT l.place, l.entry FROM workflow_log l WHERE l.execution_id = $1
            UNION ALL
            SELECT u.place::integer - 1, u.entry
            FROM "WorkflowExecution" e, unnest(e."logs") WITH ORDINALITY AS u (entry, place)
            WHERE e."id" = $1 AND e."status" <> 'RUNNING'
        ) AS log
        WHERE place > $2 AND ($3::text IS NULL OR entry ->> 'node' = $3)
          AND ($4::text IS NULL OR entry ->> 'event' = $4)
        ORDER BY place LIMIT $5
        """,
        execution_id,
        after,
        node,
        event,
        limit,
    )
    return [LogRow(**row) for row in rows]


class WaitingRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a running execution waits for."""

    node_id: str
    iteration: str
    waiting: dict[str, Any]


async def list_waiting(conn: Conn, execution_id: str) -> list[WaitingRow]:
    """Return the steps that wait, the one that has waited longest first; conn is the service's."""
    rows = await conn.fetch(
        """
        SELECT s.node_id, s.iteration, s.waiting FROM workflow_step s JOIN workflow_run r USING (execution_id)
        WHERE s.execution_id = $1 AND s.status = 'waiting' AND r.state <> 'ended'
        ORDER BY s.started_at, s.node_id, s.iteration LIMIT 100
        """,
        execution_id,
    )
    return [WaitingRow(**row) for row in rows]


async def cancel_execution(conn: Conn, execution_id: str) -> list[str]:
    """Cancel a running execution and all that it has called; return the ids, none where it had ended.

    A trigger writes down when it ended and makes its log the execution's. conn is the service's, in a transaction;
    workers hear of it when that commits.
    """
    # Held before any of them is changed, from the top down, as the trigger does: the two must not wait for each other.
    held = await conn.fetch(
        """
        WITH RECURSIVE called AS (
            SELECT "id" FROM "WorkflowExecution" WHERE "id" = $1
            UNION
            SELECT e."id" FROM "WorkflowExecution" e JOIN called c ON e."parentExecutionId" = c."id"
        )
        SELECT e."id" FROM "WorkflowExecution" e JOIN workflow_run r ON r.execution_id = e."id"
        WHERE e."id" IN (SELECT "id" FROM called) AND e."status" = 'RUNNING'
        ORDER BY r.depth, e."id" FOR NO KEY UPDATE OF e
        """,
        execution_id,
    )
    ids = [row["id"] for row in held]
    await conn.execute(
        """UPDATE "WorkflowExecution" SET "status" = 'CANCELED' WHERE "id" = ANY($1::text[])""",
        ids,
    )
    return ids


class Waiter(msgspec.Struct, frozen=True):
    """The execution that waits for another, if one does."""

    parent_execution_id: str | None
    parent_step: str | None


async def find_waiter(conn: Conn, execution_id: str) -> Waiter | None:
    row = await conn.fetchrow(
        """
        SELECT e."parentExecutionId" AS parent_execution_id, r.parent_step
        FROM "WorkflowExecution" e JOIN workflow_run r ON r.execution_id = e."id" WHERE e."id" = $1
        """,
        execution_id,
    )
    return Waiter(**row) if row else None


class RetryBase(msgspec.Struct, frozen=True, kw_only=True):
    """What a retry takes over from the failed execution."""

    workflow_id: str
    version: int
    data: Any
    plan: dict[str, Any]
    root_id: str
    retry_count: int
    depth: int


async def find_retry_base(conn: Conn, execution_id: str) -> RetryBase | None:
    """Return it for an execution that has failed or timed out; conn is the service's."""
    row = await conn.fetchrow(
        """
        SELECT r.workflow_id, r.version, e."inputData" AS data, r.plan, r.root_id, e."retryCount" AS retry_count,
               r.depth
        FROM workflow_run r JOIN "WorkflowExecution" e ON e."id" = r.execution_id
        WHERE r.execution_id = $1 AND e."status" IN ('FAILED', 'TIMEOUT', 'CANCELED')
        """,
        execution_id,
    )
    return RetryBase(**row) if row else None


async def copy_progress(conn: Conn, execution_id: str, to: str) -> int:
    """Give a new execution the steps that an old one has finished; return how many; conn is the service's."""
    tag: str = await conn.execute(
        """
        INSERT INTO workflow_step (execution_id, node_id, iteration, status, outputs, error, attempts, started_at,
                                   finished_at)
        SELECT $2, node_id, iteration, status, outputs, error, attempts, started_at, finished_at
        FROM workflow_step WHERE execution_id = $1 AND status IN ('done', 'skipped')
        """,
        execution_id,
        to,
    )
    await conn.execute(
        """
        INSERT INTO workflow_step_item (execution_id, node_id, iteration, item_index, outputs)
        SELECT $2, node_id, iteration, item_index, outputs FROM workflow_step_item WHERE execution_id = $1
        """,
        execution_id,
        to,
    )
    return int(tag.rpartition(" ")[2])


async def delete_execution(conn: Conn, spaces: Sequence[str], execution_id: str) -> bool:
    """Delete an execution that has ended; False where there is none. The workflow's statistics stay."""
    tag: str = await conn.execute(
        """
        DELETE FROM "WorkflowExecution" e USING "Workflow" w
        WHERE w."id" = e."workflowId" AND COALESCE(w."teamId", w."userId") = ANY($1::text[])
          AND e."id" = $2 AND e."status" <> 'RUNNING'
        """,
        list(spaces),
        execution_id,
    )
    return tag == "DELETE 1"


class Runnable(msgspec.Struct, frozen=True, kw_only=True):
    """What starting a workflow has to know of it."""

    workflow_id: str
    user_id: str
    team_id: str | None
    status: str
    is_active: bool
    nodes: Any
    connections: Any
    settings: Any


async def find_runnable(conn: Conn, spaces: Sequence[str], workflow_id: str) -> Runnable | None:
    row = await conn.fetchrow(
        """
        SELECT "id" AS workflow_id, "userId" AS user_id, "teamId" AS team_id, "status"::text AS status,
               "isActive" AS is_active, "nodes" AS nodes, "connections" AS connections, "settings" AS settings
        FROM "Workflow" WHERE COALESCE("teamId", "userId") = ANY($1::text[]) AND "id" = $2
        """,
        list(spaces),
        workflow_id,
    )
    return Runnable(**row) if row else None
