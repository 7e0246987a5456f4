"""Runs that are held: what one of them does costs the others nothing, and what it cannot write down ends it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from db.tenancy import as_system
from service.engine.run.log import MAX_ENTRIES, RunLog
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node, open_engine
from tests.service.engine.retrying import retry

START = node("start", "trigger")
LEASE = timedelta(seconds=2)


async def until(engine: Engine, sql: str, *args: Any) -> None:
    async with asyncio.timeout(20):
        while not await engine.fetch(sql, *args):  # noqa: ASYNC110 - it is the database that changes
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def keeping(engine: Engine) -> AsyncIterator[None]:
    """Hold runs, as a worker does beside driving them, to the end of the block."""
    stop = asyncio.Event()
    kept = asyncio.create_task(engine.workflows.runner.keep(stop))
    try:
        yield
    finally:
        stop.set()
        await kept


async def test_what_the_database_cannot_hold_is_left_out_of_errors_and_logs(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("no", "stop", {"message": "{{ (input.sent | parse_json).why }}"})], ["start>no"]
    )
    done = await engine.run(drawn, {"sent": '{"why": "a\\u0000b", "k\\u0000": 1}'})
    assert (done["status"], done["error"]["message"]) == ("FAILED", "a\ufffdb")


async def test_a_run_whose_log_waits_at_a_lock_costs_others_no_lease(
    database_url: str, tmp_path: Path
) -> None:
    async with open_engine(database_url, tmp_path / "home", lease=LEASE) as engine:
        with RecordingServer() as server:
            server.hold("/slow")
            runner = engine.workflows.runner
            adds = node("add", "document", {"operation": "add", "title": "T", "content": "text"})
            stuck = await engine.start(await engine.draw([START, adds], ["start>add"]))
            slow = node("slow", "http", {"url": f"{server.url}/slow"})
            held = await engine.start(await engine.draw([START, slow], ["start>slow"]))
            async with keeping(engine):
                working = [asyncio.create_task(runner.run(held))]
                await server.arrived("/slow")
                async with as_system(engine.pool) as holding:
                    await holding.execute('SELECT FROM "User" FOR UPDATE')
                    working.append(asyncio.create_task(runner.run(stuck)))
                    first = (await engine.fetch("SELECT now() AS now"))[0]["now"]
                    # Twice the lease: it has been renewed meanwhile, though the other one's log could not be written.
                    await until(
                        engine,
                        "SELECT 1 FROM workflow_run WHERE execution_id = $1 AND leased_until > $2::timestamptz + $3",
                        held,
                        first,
                        2 * LEASE,
                    )
                server.release("/slow")
                await asyncio.gather(*working)
            assert (await engine.execution(held))["status"] == "SUCCESS"


async def test_time_that_was_worked_is_gone_also_where_the_worker_is_lost(
    database_url: str, tmp_path: Path
) -> None:
    async with open_engine(database_url, tmp_path / "home", lease=LEASE) as engine:
        with RecordingServer() as server:
            server.hold("/slow")
            slow = node("slow", "http", {"url": f"{server.url}/slow"})
            execution_id = await engine.start(
                await engine.draw([START, slow], ["start>slow"], settings={"executionTimeout": 100})
            )
            (before,) = await engine.fetch("SELECT time_left_s FROM workflow_run")
            async with keeping(engine):
                working = asyncio.create_task(engine.workflows.runner.run(execution_id))
                await server.arrived("/slow")
                await until(engine, "SELECT 1 FROM workflow_run WHERE time_left_s < 99.5")
                server.release("/slow")
                await working
            assert before["time_left_s"] > 100


async def test_a_run_that_has_too_much_is_no_better_when_it_is_tried_again(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ range(80) }}"}),
            node("x", "set", {"fields": {"p": "{{ nodes.start.t }}"}, "mode": "replace"}),
        ],
        ["start>each", "each.item>x", "x>each.next"],
    )
    failed = await engine.run(drawn, {"t": "x" * 900_000})
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "too_large")
    again = await retry(engine, failed["id"])
    await engine.workflows.runner.run(again)
    assert (await engine.execution(again))["status"] == "FAILED"


def test_a_run_that_is_taken_up_for_ever_has_a_log_of_bounded_length() -> None:
    log = RunLog(MAX_ENTRIES - 1)
    for _ in range(50):
        log.add("run.resumed")
    log.add("run.succeeded")
    assert [one.entry["event"] for one in log.take()] == ["run.resumed", "log.truncated", "run.succeeded"]
