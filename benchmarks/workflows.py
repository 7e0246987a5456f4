"""Throughput of trivial workflows of ten nodes on two workers, beside a bare PgQueuer job for each node.

python -m benchmarks.workflows [--runs 2000] [--rounds 3]

Both do nothing but pass an item on. Everything is queued first; the clock runs from the first node to the end of the
last, so that starting the processes does not count. The two take turns in one run. Processor time is that between the
first tenth and the last.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any

from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from benchmarks.processor import ProcessorTime, processor_time, server_pid
from benchmarks.workbench import commit, machine, scratch, table
from benchmarks.workflow_worker import BARE, NODES, SECRETS, work, work_bare, workers
from db import users
from db.pool import Pool, open_pool
from db.roles import ensure_login
from db.tenancy import as_system
from service.engine.starting import StartLimits, start_execution
from tests.service.engine.conftest import connect, node

# All chains go on side by side, and end together: what is done is what is not left to do.
_BARE_DONE = f"""
    SELECT {{runs}} - COALESCE(sum({NODES} - split_part(convert_from(payload, 'UTF8'), ':', 2)::integer) / {NODES}, 0)
    FROM pgqueuer WHERE entrypoint = '{BARE}'
"""
WORKERS = 2
CONCURRENCY = 32
LEASE_S = 15.0


@dataclass(frozen=True, slots=True)
class Round:
    """How fast it went, and what the middle eight tenths took."""

    per_s: float
    seconds: float
    runs: int
    used: ProcessorTime


async def main(runs: int, rounds: int, owners: int) -> None:
    ours: list[Round] = []
    bare: list[Round] = []
    alone: list[float] = []
    async with scratch(encryption_key=SECRETS["encryption_key"]) as (_, owner_dsn):
        dsn = await ensure_login(owner_dsn)
        async with open_pool(owner_dsn, size=2) as owner, owner.acquire() as conn:
            await conn.execute(
                "CREATE TABLE bare_done (chain text, node integer, at timestamptz NOT NULL DEFAULT clock_timestamp())"
            )
            await conn.execute("GRANT ALL ON bare_done TO PUBLIC")
        async with open_pool(dsn, size=4) as pool:
            drawn = [await _draw(pool, number) for number in range(owners)]
            for _ in range(rounds):
                ours.append(await _ours(pool, dsn, drawn, runs))
                bare.append(await _bare(pool, dsn, runs))
            alone = await _alone(pool, dsn, *drawn[0], 30)
    print(f"{owners} workflows, each of an owner of its own")
    _report(runs, ours, bare, alone)


async def _draw(pool: Pool, number: int) -> tuple[str, str]:
    nodes = [
        node("n0", "trigger"),
        *(node(f"n{at}", "set", {"fields": {"at": at}}) for at in range(1, NODES)),
    ]
    edges = [connect(f"n{at}>n{at + 1}") for at in range(NODES - 1)]
    async with as_system(pool) as conn:
        user = await users.create_user(conn, email=f"bench-{number}@example.com", tier="ENTERPRISE")
        workflow_id: str = await conn.fetchval(
            """
            INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "status", "isActive")
            VALUES ('Trivial', $1, $2, $3, 'ACTIVE', true) RETURNING "id"
            """,
            nodes,
            edges,
            user.id,
        )
    return workflow_id, user.id


async def _start(pool: Pool, workflow_id: str, user_id: str) -> str:
    async with as_system(pool) as conn:
        started = await start_execution(
            conn,
            workflow_id=workflow_id,
            user_id=user_id,
            triggered_by="api",
            data={"n": 1},
            limits=StartLimits(),
        )
    return started or ""


async def _ours(pool: Pool, dsn: str, drawn: list[tuple[str, str]], runs: int) -> Round:
    await _execute(pool, 'DELETE FROM "WorkflowExecution"')
    for number in range(runs):
        await _start(pool, *drawn[number % len(drawn)])
    with workers(work, WORKERS, dsn, LEASE_S, CONCURRENCY) as processes:
        middle = await _middle(
            pool, processes, runs, "SELECT count(*) FROM workflow_run WHERE state = 'ended'"
        )
    return Round(
        await _rate(
            pool,
            """
        SELECT count(*), EXTRACT(epoch FROM max("finishedAt" AT TIME ZONE 'UTC')
                                            - min(("logs"[1] ->> 'at')::timestamptz))::float8
        FROM "WorkflowExecution"
        """,
        ),
        *middle,
    )


async def _bare(pool: Pool, dsn: str, runs: int) -> Round:
    await _execute(pool, "TRUNCATE bare_done")
    async with pool.acquire() as conn:
        payloads: list[bytes | None] = [f"{chain}:0".encode() for chain in range(runs)]
        await Queries(AsyncpgDriver(conn)).enqueue([BARE] * runs, payloads, [0] * runs)  # type: ignore[arg-type]
    with workers(work_bare, WORKERS, dsn, LEASE_S, CONCURRENCY) as processes:
        middle = await _middle(pool, processes, runs, _BARE_DONE.format(runs=runs))
    return Round(
        await _rate(
            pool, "SELECT count(*) / 2, EXTRACT(epoch FROM max(at) - min(at))::float8 FROM bare_done"
        ),
        *middle,
    )


async def _middle(
    pool: Pool, processes: Sequence[BaseProcess], runs: int, count_sql: str
) -> tuple[float, int, ProcessorTime]:
    """Return seconds, runs and processor time between the first tenth of the runs and the last; when all are done."""
    server = await server_pid(pool)
    pids = [process.pid for process in processes if process.pid is not None]
    looks: list[tuple[float, int, ProcessorTime]] = []
    async with asyncio.timeout(600), pool.acquire() as conn:
        done = 0
        while done < runs:
            done = await conn.fetchval(count_sql)
            if runs * 0.1 <= done <= runs * 0.9:
                looks.append((time.perf_counter(), done, processor_time(pids, server)))
            await asyncio.sleep(0.1)
        await _until(pool, "SELECT count(*) FROM pgqueuer", 0)
    if len(looks) < 2:
        raise SystemExit("Too few runs to measure: give more with --runs.")
    (began, first, before), (ended, last, after) = looks[0], looks[-1]
    return ended - began, last - first, after - before


async def _alone(pool: Pool, dsn: str, workflow_id: str, user_id: str, runs: int) -> list[float]:
    """Return milliseconds from start to end of workflows that have the workers to themselves."""
    taken: list[float] = []
    with workers(work, WORKERS, dsn, LEASE_S, CONCURRENCY):
        for number in range(runs + 5):
            began = time.perf_counter()
            execution_id = await _start(pool, workflow_id, user_id)
            await _until(
                pool,
                f"SELECT count(*) FROM workflow_run WHERE state <> 'ended' AND execution_id = '{execution_id}'",
                0,
                0.001,
            )
            if number >= 5:  # until then the workers are starting
                taken.append((time.perf_counter() - began) * 1000)
    return taken


async def _until(pool: Pool, sql: str, wanted: int, every_s: float = 0.1) -> None:
    async with asyncio.timeout(600), pool.acquire() as conn:
        while await conn.fetchval(sql) != wanted:
            await asyncio.sleep(every_s)


async def _rate(pool: Pool, sql: str) -> float:
    async with pool.acquire() as conn:
        count, seconds = await conn.fetchrow(sql) or (0, 1.0)
    return float(count / seconds)


async def _execute(pool: Pool, sql: str) -> None:
    async with as_system(pool) as conn:
        await conn.execute(sql)


def _report(runs: int, ours: list[Round], bare: list[Round], alone: list[float]) -> None:
    base = statistics.median(one.per_s for one in bare)

    def row(name: str, rounds: list[Round]) -> tuple[Any, ...]:
        rates = [one.per_s for one in rounds]
        rate = statistics.median(rates)
        return (
            name, f"{rate:.0f}", f"{rate * NODES:.0f}", f"{1000 * WORKERS / (rate * NODES):.2f}",
            ", ".join(f"{one:.0f}" for one in rates), f"{rate / base:.2f}",
        )  # fmt: skip

    print(
        f"commit {commit()}, {machine()}, {WORKERS} workers of {CONCURRENCY} places, {runs} runs of {NODES} nodes\n"
    )
    print(
        table(
            ("", "runs/s", "nodes/s", "ms of a worker a node", "rounds", "ratio"),
            [row("workflows", ours), row("bare PgQueuer, a job a node", bare)],
        )
    )
    cores = os.cpu_count() or 1

    def shares(name: str, rounds: list[Round]) -> tuple[Any, ...]:
        seconds, runs = sum(one.seconds for one in rounds), sum(one.runs for one in rounds)
        workers_s, postgres_s = (
            sum(one.used.workers for one in rounds),
            sum(one.used.postgres for one in rounds),
        )
        return (
            name, f"{1000 * workers_s / runs:.2f}", f"{1000 * postgres_s / runs:.2f}",
            f"{workers_s / seconds / cores:.0%}", f"{postgres_s / seconds / cores:.0%}",
        )  # fmt: skip

    print("\nprocessor time of a run, and of what the machine has")
    print(
        table(
            (
                "",
                "workers, ms",
                "PostgreSQL, ms",
                f"workers, of {cores} cores",
                f"PostgreSQL, of {cores} cores",
            ),
            [shares("workflows", ours), shares("bare PgQueuer, a job a node", bare)],
        )
    )
    print(
        f"\none workflow alone, from its start to its end: p50 {statistics.median(alone):.1f} ms, "
        f"that is {statistics.median(alone) / NODES:.1f} ms a node"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--owners", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.runs, arguments.rounds, arguments.owners))
