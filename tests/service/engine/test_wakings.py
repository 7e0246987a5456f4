"""Whoever waits is woken: by an answer that comes at the last moment, and whatever becomes of what was called."""

import asyncio
from datetime import timedelta

from db import workflow_runs, workflow_steps
from db.tenancy import as_system
from tests.locks import until_waiting
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
ASKS = [START, node("ask", "wait", {"for": "reply"})]


async def test_an_answer_while_the_run_is_laid_aside_is_not_lost(engine: Engine) -> None:
    drawn = await engine.draw(ASKS, ["start>ask"])
    execution_id = await engine.start(drawn)
    async with as_system(engine.pool) as conn:
        claimed = await workflow_runs.claim_run(conn, execution_id, timedelta(seconds=15))
    assert claimed is not None
    async with as_system(engine.pool) as first:
        laid = await workflow_runs.suspend_run(
            first, execution_id, claimed.epoch, wake_at=None, time_left_s=60
        )
        assert laid == "waiting"

        async def answer() -> object:
            """As a route: first what has come, then the job, which a worker takes when it can be seen."""
            async with as_system(engine.pool) as second:
                await workflow_steps.resume_reply(second, execution_id, None, "yes")
            async with as_system(engine.pool) as second:
                return await workflow_runs.claim_run(second, execution_id, timedelta(seconds=15))

        answering = asyncio.create_task(answer())
        async with as_system(engine.pool) as watching:
            await until_waiting(watching, unless=answering)
    assert await answering is not None


async def test_a_job_of_an_earlier_wait_wakes_nobody(engine: Engine) -> None:
    drawn = await engine.draw(ASKS, ["start>ask"])
    execution_id = await engine.start(drawn)
    await engine.workflows.runner.run(execution_id)
    before = await engine.execution(execution_id)
    assert before["state"] == "waiting"
    await engine.workflows.runner.run(execution_id)
    assert (await engine.execution(execution_id))["epoch"] == before["epoch"]


async def waiting_parent(engine: Engine) -> tuple[str, str, str]:
    """Return a parent that waits for a child that waits for an answer: both ids, and that of the child's workflow."""
    child = await engine.draw(ASKS, ["start>ask"])
    parent = await engine.draw([START, node("call", "workflow", {"workflowId": child})], ["start>call"])
    waiting = await engine.run(parent)
    await engine.drive_all()
    (found,) = await engine.fetch('SELECT "id" FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow")
    return waiting["id"], found["id"], child


async def swept(engine: Engine, execution_id: str) -> None:
    """Do what a worker does now and then: take runs that should have been woken."""
    await engine.fetch(
        "UPDATE workflow_run SET wake_at = wake_at - interval '5 seconds' WHERE wake_at <= now()"
    )
    async with as_system(engine.pool) as conn:
        assert execution_id in await workflow_runs.list_abandoned(conn, timedelta(minutes=1))
    await engine.workflows.runner.run(execution_id)


async def test_a_parent_goes_on_when_what_it_waits_for_is_canceled_in_sql(engine: Engine) -> None:
    parent, child, _ = await waiting_parent(engine)
    await engine.fetch("""UPDATE "WorkflowExecution" SET "status" = 'CANCELED' WHERE "id" = $1""", child)
    await swept(engine, parent)
    assert (await engine.execution(parent))["error"]["code"] == "child_failed"


async def test_a_parent_goes_on_when_what_it_waits_for_is_deleted(engine: Engine) -> None:
    parent, _, workflow_id = await waiting_parent(engine)
    await engine.fetch('DELETE FROM "Workflow" WHERE "id" = $1', workflow_id)
    await swept(engine, parent)
    assert (await engine.execution(parent))["status"] == "FAILED"


async def test_what_a_canceled_run_waited_for_ends_with_it(engine: Engine) -> None:
    parent, child, _ = await waiting_parent(engine)
    await engine.fetch("""UPDATE "WorkflowExecution" SET "status" = 'CANCELED' WHERE "id" = $1""", parent)
    assert (await engine.execution(child))["status"] == "CANCELED"


async def test_a_step_that_is_tried_again_calls_again(engine: Engine) -> None:
    child = await engine.draw([START, node("no", "stop", {"error": True, "message": "No."})], ["start>no"])
    again = {"retryOnFail": True, "maxTries": 3, "waitBetweenTries": 1}
    parent = await engine.draw(
        [START, node("call", "workflow", {"workflowId": child}, **again)], ["start>call"]
    )
    waiting = await engine.run(parent)
    for _ in range(4):
        await engine.drive_all()
    assert (await engine.execution(waiting["id"]))["error"]["code"] == "child_failed"
    called = await engine.fetch('SELECT 1 FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow")
    assert len(called) == 3


async def test_what_comes_back_to_a_loop_is_bounded(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ range(101) }}"}),
            node("many", "loop", {"items": "{{ range(10) }}"}),
            node("x", "set", {"fields": {"x": 1}}),
        ],
        ["start>each", "each.item>many", "many.item>x", "x>many.next", "many.done>each.next"],
    )
    done = await engine.run(drawn)
    assert (done["status"], done["error"]["code"]) == ("FAILED", "too_many_items")


async def test_expressions_of_many_items_do_not_hold_up_the_loop(engine: Engine) -> None:
    heavy = {f"f{number}": "{{ (items ~ '') | length }}" for number in range(60)}
    drawn = await engine.draw(
        [START, node("a", "set", {"fields": heavy})], ["start>a"], settings={"executionTimeout": 1}
    )
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    ticking = asyncio.create_task(tick())
    done = await engine.run(drawn, [{"text": "word " * 40} for _ in range(600)])
    ticking.cancel()
    assert done["status"] in {"FAILED", "TIMEOUT", "SUCCESS"}
    assert longest < 5  # it was as long as the whole run
