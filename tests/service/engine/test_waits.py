"""What is waited for: replies that count although much else happens, times, and what the waiting costs."""

import asyncio
from datetime import timedelta
from typing import Any

from db import workflow_steps
from db.execution_history import cancel_execution
from db.tenancy import as_system
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node
from tests.service.engine.retrying import retry

START = node("start", "trigger")
ASK = node("ask", "wait", {"for": "reply", "amount": 8})
YES = node("yes", "set", {"fields": {"said": "{{ input.reply.word }}"}})
LATE = node("late", "set", {"fields": {"late": True}})


async def until_waits(engine: Engine, execution_id: str) -> None:
    async with asyncio.timeout(20):
        while not await engine.fetch(  # noqa: ASYNC110 - the driver tells nobody
            "SELECT 1 FROM workflow_step WHERE execution_id = $1 AND status = 'waiting'", execution_id
        ):
            await asyncio.sleep(0.01)


async def answer(engine: Engine, execution_id: str, reply: Any) -> str | None:
    async with as_system(engine.pool) as conn:
        return await workflow_steps.resume_reply(conn, execution_id, None, reply)


async def test_a_reply_within_a_short_wait_counts(engine: Engine) -> None:
    drawn = await engine.draw([START, ASK, YES, LATE], ["start>ask", "ask>yes", "ask.timeout>late"])
    execution_id = await engine.start(drawn, {"q": 1})
    running = asyncio.create_task(engine.workflows.runner.run(execution_id))
    await until_waits(engine, execution_id)
    assert await answer(engine, execution_id, {"word": "yes"}) == "ask"
    await running
    done = await engine.execution(execution_id)
    assert done["output"] == {"q": 1, "reply": {"word": "yes"}, "said": "yes"}


async def test_a_reply_counts_that_came_while_another_branch_worked(engine: Engine) -> None:
    with RecordingServer() as server:
        server.hold("/slow")
        slow = node("slow", "http", {"url": f"{server.url}/slow"})
        drawn = await engine.draw(
            [START, ASK, YES, LATE, slow], ["start>ask", "ask>yes", "ask.timeout>late", "start>slow"]
        )
        execution_id = await engine.start(drawn, {"q": 1})
        running = asyncio.create_task(engine.workflows.runner.run(execution_id))
        await server.arrived("/slow")
        await until_waits(engine, execution_id)
        assert await answer(engine, execution_id, {"word": "yes"}) == "ask"
        server.release("/slow")
        await running
    assert (await engine.execution(execution_id))["output"]["yes"]["said"] == "yes"


async def test_no_reply_is_taken_when_the_time_is_over(engine: Engine) -> None:
    drawn = await engine.draw([START, ASK, YES, LATE], ["start>ask", "ask>yes", "ask.timeout>late"])
    execution_id = await engine.start(drawn, {"q": 1})
    async with as_system(engine.pool) as conn:
        claimed_before = await conn.fetchval("SELECT epoch FROM workflow_run")
    running = asyncio.create_task(engine.workflows.runner.run(execution_id))
    await until_waits(engine, execution_id)
    await engine.fetch(
        """UPDATE workflow_step SET waiting = jsonb_set(waiting, '{0,until}', '"2020-01-01T00:00:00+00:00"')
           WHERE status = 'waiting'"""
    )
    async with engine.pool.acquire() as conn:
        await workflow_steps.settle_waits(conn, execution_id, claimed_before + 1)
    assert await answer(engine, execution_id, {"word": "yes"}) is None
    await running
    assert (await engine.execution(execution_id))["output"] == {"q": 1, "late": True}


async def test_what_waits_goes_on_while_another_branch_works(engine: Engine) -> None:
    with RecordingServer() as server:
        server.hold("/slow")
        drawn = await engine.draw(
            [
                START,
                node("slow", "http", {"url": f"{server.url}/slow"}),
                node("pause", "wait", {"amount": 0.1}),
                node("after", "http", {"url": f"{server.url}/after"}),
            ],
            ["start>slow", "start>pause", "pause>after"],
        )
        execution_id = await engine.start(drawn)
        running = asyncio.create_task(engine.workflows.runner.run(execution_id))
        await server.arrived("/slow")
        await server.arrived("/after")
        assert not running.done()
        server.release("/slow")
        await running
    assert (await engine.execution(execution_id))["status"] == "SUCCESS"


async def test_waiting_takes_nothing_of_the_time_that_a_run_may_work(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("pause", "wait", {"amount": 2.3})], ["start>pause"], settings={"executionTimeout": 2}
    )
    assert (await engine.run(drawn))["status"] == "SUCCESS"


async def test_who_tries_again_is_waited_for_anew(engine: Engine) -> None:
    ask = node("ask", "wait", {"for": "reply", "amount": 1, "unit": "hours"})
    drawn = await engine.draw([START, ask, LATE], ["start>ask", "ask.timeout>late"])
    waiting = await engine.run(drawn, {"q": 1})
    async with as_system(engine.pool) as conn:
        assert await cancel_execution(conn, waiting["id"])
        await workflow_steps.drop_progress(conn, waiting["id"], keep_steps=True)
    await engine.fetch("UPDATE workflow_step SET started_at = $1 + started_at", timedelta(hours=-2))
    await engine.fetch("UPDATE workflow_step SET finished_at = $1 + finished_at", timedelta(hours=-2))
    again = await retry(engine, waiting["id"])
    await engine.workflows.runner.run(again)
    assert (await engine.execution(again))["state"] == "waiting"
