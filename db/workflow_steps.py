"""The steps of a run, and its log while it runs: written by the worker whose turn it is, and gone on from by the next.

As in workflow_runs, what a worker writes is written only where the turn is its own; conn is the service's.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from db.pool import Conn

StepStatus = Literal["done", "failed", "waiting", "skipped"]


class StepRow(msgspec.Struct, frozen=True, kw_only=True):
    """A node's turn; iteration says which passes of which loops it is in.

    outputs: [handle, index of the input item that it stems from, item], in order. waiting: by index of the input item,
    what it waits for; resumed: by the same, what has come.
    """

    node_id: str
    iteration: str
    status: StepStatus
    outputs: list[tuple[str, int, Any]]
    error: dict[str, Any] | None
    attempts: int
    started_at: datetime
    finished_at: datetime | None
    waiting: dict[str, Any] | None = None
    wake_at: datetime | None = None
    resumed: dict[str, Any] | None = None


class StepItemRow(msgspec.Struct, frozen=True, kw_only=True):
    node_id: str
    iteration: str
    item_index: int
    outputs: list[tuple[str, int, Any]]


class LogEntry(msgspec.Struct, frozen=True):
    place: int
    entry: dict[str, Any]


# The turn's own run, held until the statement has ended: nobody ends it, or takes it over, in between.
_MINE = """
    mine AS (
        SELECT execution_id FROM workflow_run WHERE execution_id = $1 AND epoch = $2 AND state = 'active' FOR SHARE
    ),
"""
_MINE_AND_FRUITFUL = """
    mine AS (
        UPDATE workflow_run SET fruitless = 0 WHERE execution_id = $1 AND epoch = $2 AND state = 'active'
        RETURNING execution_id
    ),
"""


async def list_steps(conn: Conn, execution_id: str, status: StepStatus | None = None) -> list[StepRow]:
    rows = await conn.fetch(
        """
        SELECT node_id, iteration, status, outputs, error, attempts, started_at, finished_at, waiting, wake_at, resumed
        FROM workflow_step WHERE execution_id = $1 AND ($2::text IS NULL OR status = $2)
        """,
        execution_id,
        status,
    )
    return [StepRow(**row) for row in rows]


async def list_step_items(conn: Conn, execution_id: str) -> list[StepItemRow]:
    rows = await conn.fetch(
        "SELECT node_id, iteration, item_index, outputs FROM workflow_step_item WHERE execution_id = $1",
        execution_id,
    )
    return [StepItemRow(**row) for row in rows]


async def write_steps(
    conn: Conn,
    execution_id: str,
    epoch: int,
    steps: Sequence[StepRow],
    log: Sequence[LogEntry],
    *,
    fruitful: bool = False,
) -> bool:
    """Write steps and log entries down; return False, and write nothing, where the turn is not ours any more.

    fruitful: note that the turn came to something; once a turn is enough.
    """
    mine: bool = await conn.fetchval(
        f"""
        WITH {_MINE_AND_FRUITFUL if fruitful else _MINE}
        steps AS (
            INSERT INTO workflow_step (execution_id, node_id, iteration, status, outputs, error, attempts, started_at,
                                       finished_at, waiting, wake_at)
            SELECT mine.execution_id, s.node_id, s.iteration, s.status, s.outputs::jsonb, s.error, s.attempts,
                   s.started_at, s.finished_at, s.waiting, s.wake_at
            -- outputs as text: of lists in a list the driver would make an array of two dimensions.
            FROM mine, unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::integer[],
                              $9::timestamptz[], $10::timestamptz[], $11::jsonb[], $12::timestamptz[])
                       AS s (node_id, iteration, status, outputs, error, attempts, started_at, finished_at, waiting,
                             wake_at)
            ON CONFLICT (execution_id, node_id, iteration) DO UPDATE SET
                status = excluded.status, outputs = excluded.outputs, error = excluded.error,
                attempts = excluded.attempts, finished_at = excluded.finished_at, waiting = excluded.waiting,
                wake_at = excluded.wake_at
        ),
        log AS (
            INSERT INTO workflow_log (execution_id, place, entry)
            SELECT mine.execution_id, l.* FROM mine, unnest($13::integer[], $14::jsonb[]) AS l
            ON CONFLICT DO NOTHING
        )
        SELECT EXISTS (SELECT FROM mine)
        """,  # noqa: S608 - one of two texts of ours
        execution_id,
        epoch,
        [step.node_id for step in steps],
        [step.iteration for step in steps],
        [step.status for step in steps],
        [msgspec.json.encode(step.outputs).decode() for step in steps],
        [step.error for step in steps],
        [step.attempts for step in steps],
        [step.started_at for step in steps],
        [step.finished_at for step in steps],
        [step.waiting for step in steps],
        [step.wake_at for step in steps],
        [entry.place for entry in log],
        [entry.entry for entry in log],
    )
    return mine


async def write_step_item(conn: Conn, execution_id: str, epoch: int, item: StepItemRow) -> bool:
    """Write down that one item of a node is through, before the others are; as write_steps."""
    mine: bool = await conn.fetchval(
        f"""
        WITH {_MINE_AND_FRUITFUL}
        item AS (
            INSERT INTO workflow_step_item (execution_id, node_id, iteration, item_index, outputs)
            SELECT execution_id, $3, $4, $5, $6 FROM mine ON CONFLICT DO NOTHING
        )
        SELECT EXISTS (SELECT FROM mine)
        """,  # noqa: S608
        execution_id,
        epoch,
        item.node_id,
        item.iteration,
        item.item_index,
        item.outputs,
    )
    return mine


async def resume_reply(conn: Conn, execution_id: str, node_id: str | None, data: Any) -> str | None:
    """Give an answer to a run that waits for one; return the node that got it, None where none waits.

    node_id unset: the one that has waited longest. conn is in a transaction, and a job is to be enqueued in it.
    """
    # The run before its step, as its worker holds them: the two must not wait for each other.
    await conn.execute(
        """
        UPDATE workflow_run
        SET wake_at = CASE WHEN state = 'waiting' THEN now() END, poked = poked OR state = 'active'
        WHERE execution_id = $1 AND state <> 'ended'
        """,
        execution_id,
    )
    found: str | None = await conn.fetchval(
        """
        WITH waiting AS (
            SELECT s.node_id, s.iteration, w.key AS place
            FROM workflow_step s JOIN workflow_run r USING (execution_id), jsonb_each(s.waiting) AS w
            WHERE s.execution_id = $1 AND s.status = 'waiting' AND r.state <> 'ended'
              AND ($2::text IS NULL OR s.node_id = $2) AND w.value ->> 'for' = 'reply'
              AND NOT COALESCE(s.resumed ? w.key, false)
            ORDER BY s.started_at, s.node_id, s.iteration, w.key::integer
            LIMIT 1 FOR UPDATE OF s
        )
        UPDATE workflow_step s
        SET resumed = COALESCE(s.resumed, '{}')
                      || jsonb_build_object(waiting.place, jsonb_build_object('reply', $3::jsonb))
        FROM waiting
        WHERE s.execution_id = $1 AND s.node_id = waiting.node_id AND s.iteration = waiting.iteration
        RETURNING s.node_id
        """,
        execution_id,
        node_id,
        data,
    )
    return found


async def settle_waits(conn: Conn, execution_id: str, epoch: int) -> list[StepRow]:
    """Note for which waits the time is over, and return the steps that wait, with what has come for them.

    What is noted so takes no reply any more; where one came before, that counts.
    """
    await conn.execute(
        f"""
        WITH {_MINE}
        over AS (
            SELECT s.node_id, s.iteration, jsonb_object_agg(w.key, '{{"timed_out": true}}'::jsonb) AS waits
            FROM mine JOIN workflow_step s USING (execution_id), jsonb_each(s.waiting) AS w
            WHERE s.status = 'waiting' AND (w.value ->> 'until')::timestamptz <= now()
              AND NOT COALESCE(s.resumed ? w.key, false)
            GROUP BY s.node_id, s.iteration
        )
        UPDATE workflow_step s SET resumed = over.waits || COALESCE(s.resumed, '{{}}')
        FROM over WHERE s.execution_id = $1 AND s.node_id = over.node_id AND s.iteration = over.iteration
        """,  # noqa: S608 - a text of ours
        execution_id,
        epoch,
    )
    return await list_steps(conn, execution_id, "waiting")


async def drop_progress(conn: Conn, execution_id: str, *, keep_steps: bool) -> None:
    """Delete what an ended run leaves; the steps of a failed one are what a retry goes on from."""
    await conn.execute("DELETE FROM workflow_log WHERE execution_id = $1", execution_id)
    if not keep_steps:
        await conn.execute("DELETE FROM workflow_step WHERE execution_id = $1", execution_id)
        await conn.execute("DELETE FROM workflow_step_item WHERE execution_id = $1", execution_id)
