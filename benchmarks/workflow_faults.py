"""Workflows whose workers are killed: does every run end, and does every effect arrive, once under its key?

python -m benchmarks.workflow_faults [--runs 200] [--kills 50]

Each run has ten nodes. Four of them send a request with an effect to a server that records it, one writes into our own
database. Workers that have begun are killed with SIGKILL at random moments, and others take their place; runs are
started all the while, so that there is work to be interrupted.
"""

import argparse
import asyncio
import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from typing import Any

from benchmarks.workbench import commit, machine, scratch, table
from benchmarks.workflow_worker import SECRETS, kill, start_worker, work
from db import users
from db.pool import Pool, open_pool
from db.roles import ensure_login
from db.tenancy import as_system
from service.engine.starting import StartLimits, start_execution
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import connect, node

WORKERS = 3
LEASE_S = 3.0
CONCURRENCY = 8
EFFECTS = 4


def drawn(url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return ten nodes: a chain with a fork in it."""

    def post(name: str) -> dict[str, Any]:
        body = {"run": "{{ execution.id }}", "step": name, "n": "{{ nodes['prepare'].n }}"}
        return node(
            name, "http", {"url": f"{url}/{name}", "method": "POST", "body": body}, waitBetweenTries=50
        )

    nodes = [
        node("start", "trigger"),
        node("prepare", "set", {"fields": {"n": "{{ input.n + 1 }}"}}),
        post("one"),
        post("two"),
        post("three"),
        node("join", "merge"),
        node("mark", "notify", {"title": "Run", "message": "{{ execution.id }}"}, executeOnce=True),
        post("four"),
        node("check", "if", {"condition": "{{ input.status == 200 }}"}),
        node("end", "set", {"fields": {"done": True}, "mode": "replace"}),
    ]
    edges = ["start>prepare", "prepare>one", "one>two", "one>three", "two>join.input-1", "three>join.input-2",
             "join>mark", "mark>four", "four>check", "check.true>end"]  # fmt: skip
    return nodes, [connect(edge) for edge in edges]


async def main(runs: int, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    async with scratch(encryption_key=SECRETS["encryption_key"]) as (_, owner_dsn):
        dsn = await ensure_login(owner_dsn)
        async with open_pool(dsn, size=4) as pool:
            with RecordingServer(delay_s=(0.02, 0.25)) as server:
                workflow_id, user_id = await _draw(pool, server.url)
                began = time.perf_counter()
                with Crew(dsn) as crew:
                    killed = 0
                    for number in range(kills):
                        for at in range(runs * number // kills, runs * (number + 1) // kills):
                            await _start(pool, workflow_id, user_id, at)
                        killed += await _kill_one_at_work(pool, crew, chance)
                    await _until_ended(pool)
                took = time.perf_counter() - began
                await _report(pool, server, runs, killed, took)


class Crew:
    """Three workers; in the place of one that is killed comes another."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._members: list[tuple[BaseProcess, Event]] = []

    def __enter__(self) -> "Crew":
        self._members = [self._new() for _ in range(WORKERS)]
        return self

    def __exit__(self, *_: object) -> None:
        for process, _ready in self._members:
            process.terminate()
        for process, _ready in self._members:
            process.join(15)
            if process.is_alive():
                process.kill()

    def _new(self) -> tuple[BaseProcess, Event]:
        ready = multiprocessing.get_context("spawn").Event()
        return start_worker(work, self._dsn, LEASE_S, CONCURRENCY, ready), ready

    @property
    def at_work(self) -> list[int]:
        """Places of those that have begun, not of those that are still starting."""
        return [place for place, (_, ready) in enumerate(self._members) if ready.is_set()]

    def replace(self, place: int) -> None:
        kill(self._members[place][0])
        self._members[place] = self._new()


async def _draw(pool: Pool, url: str) -> tuple[str, str]:
    nodes, edges = drawn(url)
    async with as_system(pool) as conn:
        user = await users.create_user(conn, email="bench@example.com", tier="ENTERPRISE")
        workflow_id: str = await conn.fetchval(
            """
            INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "status", "isActive")
            VALUES ('Faults', $1, $2, $3, 'ACTIVE', true) RETURNING "id"
            """,
            nodes,
            edges,
            user.id,
        )
    return workflow_id, user.id


async def _start(pool: Pool, workflow_id: str, user_id: str, number: int) -> None:
    async with as_system(pool) as conn:
        await start_execution(
            conn,
            workflow_id=workflow_id,
            user_id=user_id,
            triggered_by="api",
            data={"n": number},
            limits=StartLimits(),
        )


async def _kill_one_at_work(pool: Pool, crew: Crew, chance: random.Random) -> int:
    """Kill a worker while runs are being driven, at a random moment; return 1, or 0 where there was no such moment."""
    for _ in range(600):
        await asyncio.sleep(chance.uniform(0.02, 0.4))
        driven = await _count(
            pool, "SELECT count(*) FROM workflow_run WHERE leased_until > now() AND state = 'active'"
        )
        if driven and crew.at_work:
            await asyncio.to_thread(crew.replace, chance.choice(crew.at_work))
            return 1
        if not await _unfinished(pool):
            return 0
    return 0


async def _unfinished(pool: Pool) -> int:
    return await _count(pool, "SELECT count(*) FROM workflow_run WHERE state <> 'ended'")


async def _count(pool: Pool, sql: str) -> int:
    async with pool.acquire() as conn:
        counted: int = await conn.fetchval(sql)
    return counted


async def _until_ended(pool: Pool) -> None:
    async with asyncio.timeout(900):
        while await _unfinished(pool):
            await asyncio.sleep(0.2)


async def _report(pool: Pool, server: RecordingServer, runs: int, killed: int, took: float) -> None:
    async with pool.acquire() as conn:
        statuses = {
            row["status"]: row["n"]
            for row in await conn.fetch(
                'SELECT "status"::text AS status, count(*) AS n FROM "WorkflowExecution" GROUP BY 1'
            )
        }
        turns: int = await conn.fetchval("SELECT sum(epoch) FROM workflow_run")
        notes = [
            row["n"]
            for row in await conn.fetch("""
            SELECT count(*) AS n FROM "Notification" WHERE "type" = 'SYSTEM' GROUP BY "message"
        """)
        ]
        statistics = await conn.fetchrow('SELECT "totalExecutions", "successfulExecutions" FROM "Workflow"')
    keys: dict[tuple[str, str], set[str]] = {}
    for key, request in server.effects.items():
        body = request.json()
        keys.setdefault((body["run"], body["step"]), set()).add(key)
    requests = server.requests()
    repeats = Counter(request.headers["idempotency-key"] for request in requests)
    rows = [
        ("runs started", runs),
        ("workers killed", killed),
        ("turns of workers at runs", turns),
        ("runs that ended", sum(statuses.values()) - statuses.get("RUNNING", 0)),
        ("of them with success", statuses.get("SUCCESS", 0)),
        (
            "statistics of the workflow: total, successful",
            f"{statistics[0]}, {statistics[1]}" if statistics else "",
        ),
        ("effects wanted (four a run)", EFFECTS * runs),
        ("effects that arrived", len(keys)),
        ("effects with more than one key", sum(len(found) > 1 for found in keys.values())),
        ("requests that came", len(requests)),
        ("of them repeats under a key that had come", sum(count - 1 for count in repeats.values())),
        ("notifications wanted, written", f"{runs}, {sum(notes)}"),
        (
            "runs with more or fewer than one notification",
            sum(count != 1 for count in notes) + runs - len(notes),
        ),
        ("seconds", round(took, 1)),
    ]
    async with pool.acquire() as conn:
        for row in await conn.fetch(
            """
            SELECT e."status"::text AS status, e."errorData" AS error, r.epoch, e."logs" AS logs
            FROM "WorkflowExecution" e JOIN workflow_run r ON r.execution_id = e."id" WHERE e."status" <> 'SUCCESS'
            """
        ):
            print(dict(row))
    print(f"commit {commit()}, {machine()}, {WORKERS} workers, lease {LEASE_S:g} s\n")
    print(table(("", ""), rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.runs, arguments.kills, arguments.seed))
