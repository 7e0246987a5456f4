"""Old executions go, and what was counted of them stays."""

from service.maintenance import prune_executions
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")

AGES = """
    UPDATE "WorkflowExecution" SET "startedAt" = "startedAt" - make_interval(days => $2),
                                   "finishedAt" = "finishedAt" - make_interval(days => $3)
    WHERE "id" = $1
"""


async def test_what_ended_long_ago_goes_and_statistics_stay(engine: Engine) -> None:
    good = await engine.draw([START], [])
    bad = await engine.draw([START, node("no", "stop", {"error": True})], ["start>no"])
    old = [await engine.run(good), await engine.run(bad)]
    kept = [await engine.run(good) for _ in range(2)]
    running = await engine.start(good)
    for execution in old:
        await engine.fetch(AGES, execution["id"], 40, 31)
    await engine.fetch(AGES, kept[0]["id"], 40, 29)  # it waited for long
    await engine.fetch(AGES, running, 400, 0)
    statistics = """SELECT "totalExecutions", "successfulExecutions", "failedExecutions", "lastExecutedAt"
                    FROM "Workflow" ORDER BY "id" """
    before = await engine.fetch(statistics)
    await prune_executions(engine.pool, 30)
    left = await engine.fetch('SELECT "id" FROM "WorkflowExecution"')
    assert {row["id"] for row in left} == {running, *(execution["id"] for execution in kept)}
    runs = await engine.fetch("SELECT execution_id AS id FROM workflow_run")
    assert {row["id"] for row in runs} == {row["id"] for row in left}
    assert await engine.fetch(statistics) == before
