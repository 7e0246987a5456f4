"""Executions that the web application cancels, by SQL."""

import asyncio

from db.tenancy import as_system
from tests.locks import until_waiting
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
CANCEL = """UPDATE "WorkflowExecution" SET "status" = 'CANCELED' WHERE "id" = $1"""


async def start_parent(engine: Engine) -> tuple[str, str]:
    """Return a run that waits for what it calls, and what it calls, which waits for a reply."""
    child = await engine.draw([START, node("ask", "wait", {"for": "reply"})], ["start>ask"])
    parent = await engine.draw([START, node("call", "workflow", {"workflowId": child})], ["start>call"])
    waiting = await engine.run(parent)
    await engine.drive_all()
    [called] = await engine.fetch(
        'SELECT "id" FROM "WorkflowExecution" WHERE "parentExecutionId" = $1', waiting["id"]
    )
    return waiting["id"], called["id"]


async def test_it_says_when_it_ended_and_has_its_log_and_so_has_what_it_called(engine: Engine) -> None:
    parent, child = await start_parent(engine)
    await engine.fetch(CANCEL, parent)
    for execution_id in (parent, child):
        ended = await engine.execution(execution_id)
        assert (ended["status"], ended["state"]) == ("CANCELED", "ended")
        assert ended["duration"] >= 0
        events = [entry["event"] for entry in ended["logs"]]
        assert (events[0], events[-1], events.count("run.canceled")) == ("run.started", "run.canceled", 1)
    [left] = await engine.fetch(
        """
        SELECT (SELECT count(*) FROM workflow_log) AS log,
               (SELECT count(*) FROM "WorkflowExecution" WHERE "finishedAt" IS NULL) AS open
        """
    )
    assert left == {"log": 0, "open": 0}


async def test_what_it_called_may_end_meanwhile(engine: Engine) -> None:
    parent, child = await start_parent(engine)
    async with as_system(engine.pool) as ending:
        await ending.execute('SELECT FROM "WorkflowExecution" WHERE "id" = $1 FOR NO KEY UPDATE', child)
        canceling = asyncio.create_task(engine.fetch(CANCEL, parent))
        await until_waiting(ending, unless=canceling)
        # Without a deadlock: it wakes the run that waits for it.
        await ending.execute("""UPDATE "WorkflowExecution" SET "status" = 'SUCCESS' WHERE "id" = $1""", child)
    await canceling
    assert (await engine.execution(parent))["status"] == "CANCELED"
    assert (await engine.execution(child))["status"] == "SUCCESS"
