"""Whether schedules fire once and in time: worker processes share them, and one is killed midway.

python -m benchmarks.workflow_schedules [--ticks 1000] [--seconds 40] [--workers 3]

Each tick is a schedule of its own, due at a moment of its own, evenly over so many seconds, so that the rate is known.
Late is a tick by how long after its moment its run is begun.
"""

import argparse
import asyncio
import logging
import multiprocessing
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path

import structlog
from pgqueuer import PgQueuer

from benchmarks.workbench import commit, machine, scratch, served, table
from db import users
from db.pool import Pool, open_pool
from db.tenancy import as_system
from service.engine.jobs import open_workflows
from service.settings import load_settings
from service.worker import run_workflows

START_S = 2.0
"""Until the first tick, once every worker is up."""
PATIENCE_S = 180.0
"""For the runs that the killed worker had taken: another finds them when their time is up."""

NODES = [
    {"id": "start", "type": "trigger", "data": {"kind": "schedule", "cron": "0 0 1 1 *"}},
    {"id": "note", "type": "set", "data": {"fields": {"at": "{{ input.scheduled_at }}"}}},
]
EDGES = [{"source": "start", "target": "note"}]


async def main(ticks: int, seconds: float, workers: int) -> None:
    _be_quiet()
    async with scratch(default_plan="ENTERPRISE") as (settings, dsn), open_pool(dsn, size=2) as pool:
        await _draw(pool, ticks)
        context = multiprocessing.get_context("spawn")
        up = context.Barrier(workers + 1)
        processes = [
            context.Process(target=work, args=(dsn, str(settings.home), up), daemon=True)
            for _ in range(workers)
        ]
        try:
            for process in processes:
                process.start()
            await asyncio.to_thread(up.wait, 120)
            rows = await _measure(pool, processes, ticks, seconds)
            assert [process.is_alive() for process in processes] == [False] + [True] * (workers - 1)
        finally:
            for process in processes:
                process.kill()
                process.join()
    print(
        f"commit {commit()}, {machine()}, {workers} workers, one killed midway, {ticks} ticks in {seconds:g} s\n"
    )
    print(table(["what", "value"], rows))


def work(dsn: str, home: str, up: Barrier) -> None:
    """Run workflows, and start those that are due, until killed."""
    _be_quiet()
    asyncio.run(_work(dsn, home, up))


async def _work(dsn: str, home: str, up: Barrier) -> None:
    settings = load_settings(DOCSEARCH_HOME=Path(home), secret_key="benchmark " * 8)
    async with served(settings, dsn) as runtime, open_workflows(runtime) as workflows:
        queue = PgQueuer.from_asyncpg_pool(runtime.pool)
        await asyncio.to_thread(up.wait, 120)
        await run_workflows(workflows, queue.connection, asyncio.Event())


def _be_quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.disable(logging.WARNING)


async def _draw(pool: Pool, ticks: int) -> None:
    """Store a workflow with a schedule for each tick. None is due."""
    async with as_system(pool) as conn:
        user = await users.create_user(conn, email="bench@example.com", tier="ENTERPRISE")
        await conn.execute(
            """
            INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "status", "isActive")
            SELECT n::text, $2, $3, $1, 'ACTIVE', true FROM generate_series(1, $4) AS n
            """,
            user.id,
            NODES,
            EDGES,
            ticks,
        )
        await conn.execute(
            """
            INSERT INTO "WorkflowSchedule" ("workflowId", "nodeId", "cronExpression", "isActive")
            SELECT "id", 'start', '0 0 1 1 *', false FROM "Workflow"
            """
        )


async def _measure(
    pool: Pool, processes: Sequence[SpawnProcess], ticks: int, seconds: float
) -> list[tuple[str, object]]:
    async with as_system(pool) as conn:
        await conn.execute(
            """
            UPDATE "WorkflowSchedule" s SET "isActive" = true, "nextRunAt" =
                (now() + make_interval(secs => $1 + $2 * w."name"::integer / $3)) AT TIME ZONE 'UTC'
            FROM "Workflow" w WHERE w."id" = s."workflowId"
            """,
            START_S,
            seconds,
            float(ticks),
        )
    begun = time.monotonic()
    await asyncio.sleep(START_S + seconds / 2)
    assert all(process.is_alive() for process in processes)
    processes[0].kill()
    await asyncio.sleep(seconds / 2)
    while time.monotonic() - begun < START_S + seconds + PATIENCE_S:
        if await _count_succeeded(pool) >= ticks:
            break
        await asyncio.sleep(0.5)
    ended_s = time.monotonic() - begun - START_S - seconds
    return [*await _count(pool), ("all ended, s after the last tick", f"{ended_s:.1f}")]


async def _count_succeeded(pool: Pool) -> int:
    async with pool.acquire() as conn:
        count: int = await conn.fetchval(
            """SELECT count(*) FROM "WorkflowExecution" WHERE "status" = 'SUCCESS' """
        )
    return count


async def _count(pool: Pool) -> list[tuple[str, object]]:
    async with pool.acquire() as conn:
        row = await conn.fetchrow(
            """
            SELECT count(*) AS due, count(*) FILTER (WHERE started = 1) AS once,
                   count(*) FILTER (WHERE started > 1) AS twice, count(*) FILTER (WHERE started = 0) AS lost,
                   percentile_cont(ARRAY[0.5, 0.95, 1]) WITHIN GROUP (ORDER BY late_s) AS late,
                   (SELECT count(*) FROM "WorkflowExecution" WHERE "status" = 'SUCCESS') AS succeeded
            FROM (
                SELECT count(r.execution_id) AS started,
                       EXTRACT(epoch FROM min(r.created_at) - s."lastRunAt" AT TIME ZONE 'UTC') AS late_s
                FROM "WorkflowSchedule" s LEFT JOIN workflow_run r ON r.workflow_id = s."workflowId"
                GROUP BY s."id"
            ) AS tick
            """
        )
    assert row is not None
    p50, p95, longest = row["late"]
    return [
        ("ticks due", row["due"]),
        ("started once", row["once"]),
        ("started twice", row["twice"]),
        ("lost", row["lost"]),
        ("runs that succeeded", row["succeeded"]),
        ("late, p50 ms", f"{p50 * 1000:.0f}"),
        ("late, p95 ms", f"{p95 * 1000:.0f}"),
        ("late, longest ms", f"{longest * 1000:.0f}"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ticks", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--workers", type=int, default=3)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.ticks, arguments.seconds, arguments.workers))
