"""The workflow that is run when another fails by itself."""

from types import SimpleNamespace
from typing import Any

import pytest
from pgqueuer.errors import RetryRequested

from db.pool import Conn
from service.engine.jobs import run_error_workflow
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
BROKEN = [START, node("no", "stop")]


async def handle_errors(engine: Engine, execution_id: str) -> list[dict[str, Any]]:
    """Run the job of a failed execution; return what was started for errors until now."""
    await run_error_workflow(engine.workflows, SimpleNamespace(payload=execution_id.encode()))  # type: ignore[arg-type]
    return await engine.fetch("""SELECT "id" FROM "WorkflowExecution" WHERE "triggeredBy" = 'error' """)


async def test_trouble_with_the_database_loses_no_error(engine: Engine, conn: Conn) -> None:
    catcher = await engine.draw([START], [])
    broken = await engine.draw(BROKEN, ["start>no"], settings={"errorWorkflow": catcher})
    failed = await engine.run(broken, triggered_by="webhook")
    await conn.execute("ALTER TABLE workflow_start RENAME TO away")
    with pytest.raises(RetryRequested):
        await handle_errors(engine, failed["id"])
    await conn.execute("ALTER TABLE away RENAME TO workflow_start")
    assert len(await handle_errors(engine, failed["id"])) == 1


async def test_one_that_is_archived_is_not_run(engine: Engine) -> None:
    catcher = await engine.draw([START], [])
    broken = await engine.draw(BROKEN, ["start>no"], settings={"errorWorkflow": catcher})
    await engine.fetch(
        """UPDATE "Workflow" SET "status" = 'ARCHIVED', "isActive" = false WHERE "id" = $1""", catcher
    )
    failed = await engine.run(broken, triggered_by="webhook")
    assert await handle_errors(engine, failed["id"]) == []


async def test_what_a_test_calls_is_a_test(engine: Engine) -> None:
    catcher = await engine.draw([START], [])
    child = await engine.draw(BROKEN, ["start>no"], settings={"errorWorkflow": catcher})
    parent = await engine.draw([START, node("call", "workflow", {"workflowId": child})], ["start>call"])
    for plan, told in (({"mode": "test"}, 0), ({}, 2)):
        tried = await engine.run(parent, plan=plan)
        await engine.drive_all()
        assert (await engine.execution(tried["id"]))["status"] == "FAILED"
        [seen] = await engine.fetch(
            """
            SELECT (SELECT count(*) FROM "Notification") AS told,
                   (SELECT count(*) FROM pgqueuer WHERE entrypoint = 'run_error_workflow') AS jobs
            """
        )
        assert (seen["told"], seen["jobs"]) == (told, int(told > 0))
