"""What happens at the same moment: the end of a run and its being canceled."""

import asyncio

from db.execution_history import cancel_execution
from db.tenancy import as_system
from tests.service.engine.conftest import Engine, node


async def test_ending_and_canceling_at_once_ends_a_run_once_and_nobody_waits_for_ever(engine: Engine) -> None:
    drawn = await engine.draw([node("start", "trigger"), node("a", "set", {"fields": {"x": 1}})], ["start>a"])
    ids = [await engine.start(drawn) for _ in range(40)]

    async def cancel(execution_id: str) -> int:
        async with as_system(engine.pool) as conn:
            return len(await cancel_execution(conn, execution_id))

    canceled = await asyncio.gather(
        *(cancel(one) for one in ids), *(engine.workflows.runner.run(one) for one in ids)
    )
    counted = await engine.fetch(
        'SELECT "status"::text AS status, count(*) AS n FROM "WorkflowExecution" GROUP BY 1'
    )
    found = {row["status"]: row["n"] for row in counted}
    assert found.get("CANCELED", 0) == sum(n for n in canceled[: len(ids)] if n is not None)
    assert sum(found.values()) == found.get("CANCELED", 0) + found.get("SUCCESS", 0) == len(ids)
    (statistics,) = await engine.fetch('SELECT "totalExecutions", "successfulExecutions" FROM "Workflow"')
    assert tuple(statistics.values()) == (len(ids), found.get("SUCCESS", 0))
