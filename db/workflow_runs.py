"""How executions stand while they run: who drives each, which of its steps are done, what it waits for.

A worker claims a run for a while and renews that. Its turns are numbered, and everything it writes is written only
where the turn is still its own and the run has not ended: one that was cut off, or took too long, changes nothing any
more.
conn is the service's in all of these.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from db.pool import Conn
from db.workflow_steps import LogEntry, StepItemRow, StepRow, drop_progress, list_step_items, list_steps


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is this worker's to drive, with all that it takes."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    space_id: str
    team_id: str | None
    user_id: str
    subject: str
    version: int
    nodes: Any
    connections: Any
    settings: Any
    plan: dict[str, Any]
    data: Any
    root_id: str
    depth: int
    parent_step: str | None
    parent_execution_id: str | None
    epoch: int
    fruitless: int
    time_left_s: float
    triggered_by: str | None
    started_at: datetime
    log_place: int
    """Where its log goes on."""
    steps: list[StepRow]
    step_items: list[StepItemRow]


async def claim_run(conn: Conn, execution_id: str, lease: timedelta) -> ClaimedRun | None:
    """Take a run over for a while, or leave word that it was asked for where another drives it.

    Returns None for that, and for one that has ended or is gone. conn is in a transaction.
    """
    # By itself, and first: whoever lays the run aside in this moment is waited for, and what comes then sees that.
    await conn.fetchval("SELECT 1 FROM workflow_run WHERE execution_id = $1 FOR UPDATE", execution_id)
    epoch: int | None = await conn.fetchval(
        """
        WITH claimed AS (
            UPDATE workflow_run
            SET epoch = epoch + 1, leased_until = now() + $2, state = 'active', wake_at = NULL, poked = false,
                fruitless = fruitless + 1
            WHERE execution_id = $1 AND state <> 'ended' AND (leased_until IS NULL OR leased_until < now())
              -- A job of an earlier wait, which has been waited for anew since, wakes nobody.
              AND (state = 'active' OR wake_at <= now() + interval '1 second')
            RETURNING epoch
        ),
        told AS (
            UPDATE workflow_run SET poked = true
            WHERE execution_id = $1 AND state <> 'ended' AND leased_until >= now()
        )
        SELECT epoch FROM claimed
        """,
        execution_id,
        lease,
    )
    if epoch is None:
        return None
    row = await conn.fetchrow(
        """
        SELECT r.execution_id, r.workflow_id, w."name" AS workflow_name, r.space_id, w."teamId" AS team_id,
               w."userId" AS workflow_owner, e."userId" AS user_id, u."clerkId" AS subject, r.version,
               v."nodes" AS nodes, v."connections" AS connections, w."settings" AS settings, r.plan,
               e."inputData" AS data, r.root_id, r.depth, r.parent_step,
               e."parentExecutionId" AS parent_execution_id, r.epoch, r.fruitless,
               r.time_left_s, e."triggeredBy" AS triggered_by, e."startedAt" AS started_at,
               COALESCE((SELECT max(l.place) + 1 FROM workflow_log l WHERE l.execution_id = $1), 0) AS log_place
        FROM workflow_run r
        JOIN "WorkflowExecution" e ON e."id" = r.execution_id
        JOIN "Workflow" w ON w."id" = r.workflow_id
        JOIN "User" u ON u."id" = e."userId"
        JOIN "WorkflowVersion" v ON v."workflowId" = r.workflow_id AND v."version" = r.version
        WHERE r.execution_id = $1
        """,
        execution_id,
    )
    if row is None:
        # Its version is gone, or its workflow: nobody can ever drive it.
        await _fail(conn, execution_id, "definition", "The version that it was to run is gone.")
        return None
    if row["space_id"] != (row["team_id"] or row["workflow_owner"]):
        # A trigger has canceled it (migration 0011), or could not: it would work where its workflow is no more.
        await _fail(conn, execution_id, "moved", "The workflow was moved to another space while it ran.")
        return None
    first_turn = epoch == 1 and row["plan"].get("retry") is None
    return ClaimedRun(
        **{name: value for name, value in row.items() if name != "workflow_owner"},
        steps=[] if first_turn else await list_steps(conn, execution_id),
        step_items=[] if first_turn else await list_step_items(conn, execution_id),
    )


async def _fail(conn: Conn, execution_id: str, code: str, message: str) -> None:
    await conn.execute(
        """
        UPDATE "WorkflowExecution"
        SET "status" = 'FAILED', "finishedAt" = now() AT TIME ZONE 'UTC', "errorData" = $2
        WHERE "id" = $1 AND "status" = 'RUNNING'
        """,
        execution_id,
        {"code": code, "message": message},
    )


async def has_place(conn: Conn, execution_id: str, most: int | None) -> bool:
    """Return whether a run's space may have one more at work, by its plan and by most; None for no limit.

    Whoever asks for the same space takes turns until the transaction ends: claim the run in it.
    """
    row = await conn.fetchrow(
        """
        SELECT r.space_id, LEAST(p.concurrent_executions, $2::integer) AS most
        FROM workflow_run r
        LEFT JOIN "Team" t ON t."id" = r.space_id
        LEFT JOIN "User" u ON u."id" = r.space_id
        JOIN plan p ON p.tier = CASE WHEN t."id" IS NOT NULL
            THEN effective_tier(t."subscriptionTier", t."subscriptionStatus", t."subscriptionEndsAt")
            ELSE effective_tier(u."subscriptionTier", u."subscriptionStatus", u."subscriptionEndsAt") END
        WHERE r.execution_id = $1 AND r.state <> 'ended' AND (r.leased_until IS NULL OR r.leased_until < now())
        """,
        execution_id,
        most,
    )
    if row is None or row["most"] is None:
        return True
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('places of ' || $1::text, 0))", row["space_id"]
    )
    taken: int = await conn.fetchval(
        """
        SELECT count(*) FROM workflow_run
        WHERE space_id = $1 AND state = 'active' AND leased_until > now() AND execution_id <> $2
        """,
        row["space_id"],
        execution_id,
    )
    return bool(taken < row["most"])


async def put_off(conn: Conn, execution_id: str) -> bool:
    """Note that a run was looked at and left; return whether it is to be looked at again by who asks, not by others."""
    found: bool | None = await conn.fetchval(
        """
        UPDATE workflow_run SET sought_at = now()
        WHERE execution_id = $1 AND state <> 'ended' AND (leased_until IS NULL OR leased_until < now())
          AND (sought_at IS NULL OR sought_at < now() - interval '0.9 seconds')
        RETURNING true
        """,
        execution_id,
    )
    return found or False


class Held(msgspec.Struct, frozen=True):
    """A run that a worker holds: its turn, and how long it may still work."""

    epoch: int
    time_left_s: float


async def renew_leases(conn: Conn, held: Mapping[str, Held], lease: timedelta) -> set[str]:
    """Hold runs for another while; return those that are still ours. held: by execution."""
    rows = await conn.fetch(
        """
        UPDATE workflow_run r SET leased_until = now() + $3, time_left_s = GREATEST(t.time_left_s, 0)
        FROM unnest($1::text[], $2::integer[], $4::float8[]) AS t (execution_id, epoch, time_left_s)
        WHERE r.execution_id = t.execution_id AND r.epoch = t.epoch AND r.state = 'active'
        RETURNING r.execution_id
        """,
        list(held),
        [one.epoch for one in held.values()],
        lease,
        [one.time_left_s for one in held.values()],
    )
    return {row["execution_id"] for row in rows}


async def hold_turn(conn: Conn, execution_id: str, epoch: int) -> bool:
    """Return whether the turn is still ours; nobody ends the run, or takes it over, until the transaction ends."""
    held: bool | None = await conn.fetchval(
        "SELECT true FROM workflow_run WHERE execution_id = $1 AND epoch = $2 AND state = 'active' FOR SHARE",
        execution_id,
        epoch,
    )
    return held or False


async def suspend_run(
    conn: Conn, execution_id: str, epoch: int, *, wake_at: datetime | None, time_left_s: float
) -> Literal["waiting", "poked", "lost"]:
    """Lay a run aside until wake_at, or until somebody asks for it: "poked" if that has happened already."""
    state: str | None = await conn.fetchval(
        """
        UPDATE workflow_run
        SET state = CASE WHEN poked THEN 'active' ELSE 'waiting' END,
            leased_until = CASE WHEN poked THEN leased_until END,
            wake_at = CASE WHEN poked THEN NULL ELSE $3::timestamptz END,
            fruitless = 0, time_left_s = $4, poked = false
        WHERE execution_id = $1 AND epoch = $2 AND state = 'active'
        RETURNING state
        """,
        execution_id,
        epoch,
        wake_at,
        time_left_s,
    )
    if state is None:
        return "lost"
    return "waiting" if state == "waiting" else "poked"


async def release_run(conn: Conn, execution_id: str, epoch: int, *, time_left_s: float) -> bool:
    """Let another worker go on with a run at once; return whether it was ours to give."""
    tag: str = await conn.execute(
        """
        UPDATE workflow_run SET leased_until = NULL, fruitless = GREATEST(fruitless - 1, 0), time_left_s = $3
        WHERE execution_id = $1 AND epoch = $2 AND state = 'active'
        """,
        execution_id,
        epoch,
        time_left_s,
    )
    return tag == "UPDATE 1"


async def finish_run(
    conn: Conn,
    execution_id: str,
    epoch: int,
    *,
    status: Literal["SUCCESS", "FAILED", "TIMEOUT"],
    output: Any,
    error: Mapping[str, Any] | None,
    entries: Sequence[LogEntry] = (),
    has_rows: bool = True,
) -> bool:
    """End a run in conn's transaction; return False where it is not ours to end.

    Its log, with entries at the end, becomes the execution's, and what only a run that goes on needs is deleted;
    has_rows says whether there is any. A trigger ends the run's own row.
    """
    ended: bool | None = await conn.fetchval(
        """
        -- First the execution and then its run, as whoever cancels holds them: the two must not wait for each other.
        WITH held AS (
            SELECT "id" FROM "WorkflowExecution" WHERE "id" = $1 AND "status" = 'RUNNING' FOR NO KEY UPDATE
        ),
        mine AS (
            SELECT r.execution_id FROM workflow_run r JOIN held ON held."id" = r.execution_id
            WHERE r.epoch = $2 AND r.state = 'active' FOR UPDATE OF r
        )
        UPDATE "WorkflowExecution" e
        SET "status" = $3::"ExecutionStatus", "finishedAt" = now() AT TIME ZONE 'UTC',
            "duration" = LEAST(EXTRACT(epoch FROM now() AT TIME ZONE 'UTC' - e."startedAt") * 1000,
                               2147483647)::integer,
            "outputData" = $4, "errorData" = $5,
            "logs" = COALESCE((SELECT array_agg(l.entry ORDER BY l.place) FROM workflow_log l
                               WHERE l.execution_id = $1), '{}') || $6::jsonb[]
        FROM mine WHERE e."id" = mine.execution_id AND e."status" = 'RUNNING'
        RETURNING true
        """,
        execution_id,
        epoch,
        status,
        output,
        None if error is None else dict(error),
        [entry.entry for entry in entries],
    )
    if not ended:
        return False
    if has_rows:
        await drop_progress(conn, execution_id, keep_steps=status != "SUCCESS")
    return True


async def list_abandoned(conn: Conn, grace: timedelta) -> list[str]:
    """Return runs that nobody drives, though somebody should: their worker died, or their job was lost.

    Each is returned to one worker, and not again soon.
    """
    rows = await conn.fetch(
        """
        WITH abandoned AS (
            SELECT execution_id FROM workflow_run
            WHERE (state = 'active' AND leased_until < now()
                   OR state = 'active' AND leased_until IS NULL AND created_at < now() - $1::interval
                   -- Told to wake by a trigger, which makes no job (migration 0011), or its job is late.
                   OR state = 'waiting' AND wake_at < now() - interval '2 seconds')
              AND (sought_at IS NULL OR sought_at < now() - interval '5 seconds')
            LIMIT 1000 FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE workflow_run r SET sought_at = now() FROM abandoned a WHERE r.execution_id = a.execution_id
        RETURNING r.execution_id
        """,
        grace,
    )
    return [row["execution_id"] for row in rows]


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution stands that another waits for."""

    execution_id: str
    status: str
    output: Any
    error: Any
    parent_execution_id: str | None


async def find_children(conn: Conn, execution_ids: Sequence[str]) -> dict[str, Child]:
    rows = await conn.fetch(
        """
        SELECT "id" AS execution_id, "status"::text AS status, "outputData" AS output, "errorData" AS error,
               "parentExecutionId" AS parent_execution_id
        FROM "WorkflowExecution" WHERE "id" = ANY($1::text[])
        """,
        list(execution_ids),
    )
    return {row["execution_id"]: Child(**row) for row in rows}


async def write_response(conn: Conn, execution_id: str, epoch: int, response: Mapping[str, Any]) -> bool:
    """Write down what a webhook is to be answered with, the first time, and tell whoever waits for it."""
    tag: str = await conn.execute(
        """
        UPDATE workflow_run SET response = COALESCE(response, $3::jsonb)
        WHERE execution_id = $1 AND epoch = $2 AND state = 'active'
        """,
        execution_id,
        epoch,
        dict(response),
    )
    await conn.execute("SELECT pg_notify('docsearch_execution', $1)", execution_id)
    return tag == "UPDATE 1"


async def find_response(conn: Conn, execution_id: str) -> dict[str, Any] | None:
    response: dict[str, Any] | None = await conn.fetchval(
        "SELECT response FROM workflow_run WHERE execution_id = $1", execution_id
    )
    return response


async def find_callable(conn: Conn, space_id: str, workflow_id: str) -> bool:
    """Return whether a workflow is one of the space that calls it."""
    found: bool = await conn.fetchval(
        """
        SELECT EXISTS (SELECT FROM "Workflow" WHERE "id" = $1 AND COALESCE("teamId", "userId") = $2
                       AND "status" <> 'ARCHIVED')
        """,
        workflow_id,
        space_id,
    )
    return found


async def count_runs(conn: Conn) -> dict[str, int]:
    """Return how many runs have not ended, by state; a worker that holds one no longer has abandoned it."""
    rows = await conn.fetch(
        """
        SELECT CASE WHEN state = 'waiting' THEN 'waiting' WHEN leased_until IS NULL THEN 'queued'
                    WHEN leased_until < now() THEN 'abandoned' ELSE 'active' END AS state, count(*) AS n
        FROM workflow_run WHERE state <> 'ended' GROUP BY 1
        """
    )
    return {row["state"]: row["n"] for row in rows}
