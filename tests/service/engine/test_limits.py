"""How many workflows may run, exactly, when they are started at the same time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from db.errors import ExecutionsLimited, PlanLimitReached
from db.execution_history import delete_execution
from db.pool import Conn
from db.tenancy import as_system
from service.engine.starting import Parent
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node, open_engine

START = node("start", "trigger")


async def start_at_once(engine: Engine, workflow_id: str, count: int) -> tuple[int, list[Exception]]:
    """Return how many were started, and why the others were not; anything but a limit is raised."""
    results = await asyncio.gather(*(engine.start(workflow_id) for _ in range(count)), return_exceptions=True)
    refused: list[Exception] = []
    for result in results:
        if isinstance(result, ExecutionsLimited | PlanLimitReached):
            refused.append(result)
        elif isinstance(result, BaseException):
            raise result
    return count - len(refused), refused


async def assert_nothing_half_made(engine: Engine, started: int) -> None:
    [counts] = await engine.fetch(
        """
        SELECT (SELECT count(*) FROM "WorkflowExecution") AS executions, (SELECT count(*) FROM workflow_run) AS runs,
               (SELECT count(*) FROM pgqueuer WHERE entrypoint = 'run_workflow') AS jobs,
               (SELECT sum("totalExecutions") FROM "Workflow") AS counted,
               (SELECT "executionsThisMonth" FROM "User") AS charged
        """
    )
    assert set(counts.values()) == {started}, counts


@pytest.mark.parametrize(
    ("plan", "deployment", "kind"),
    [
        ("executions_per_minute = 7", {}, "per_minute"),
        ("concurrent_executions = 7", {}, "concurrent"),
        ("executions_per_minute = NULL", {"workflow_max_executions_per_minute": 7}, "per_minute"),
        ("concurrent_executions = NULL", {"workflow_max_concurrent_executions": 7}, "concurrent"),
        ("executions_per_minute = 7", {"workflow_max_executions_per_minute": 9}, "per_minute"),
        ("concurrent_executions = 9", {"workflow_max_concurrent_executions": 7}, "concurrent"),
    ],
)
async def test_of_twenty_at_once_exactly_those_that_may_are_started(
    database_url: str, conn: Conn, tmp_path: Path, plan: str, deployment: dict[str, Any], kind: str
) -> None:
    async with open_engine(database_url, tmp_path / "home", **deployment) as engine:
        await conn.execute(f"UPDATE plan SET {plan}")
        drawn = await engine.draw([START], [])
        started, refused = await start_at_once(engine, drawn, 20)
        assert started == 7
        for refusal in refused:
            assert isinstance(refusal, ExecutionsLimited)
            assert (refusal.kind, refusal.limit) == (kind, 7)
            assert 1 <= refusal.retry_after_s <= 60
        await assert_nothing_half_made(engine, 7)


async def test_the_months_limit_is_as_exact(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET executions_per_month = 7")
    drawn = await engine.draw([START], [])
    started, refused = await start_at_once(engine, drawn, 20)
    assert started == 7
    assert {type(refusal) for refusal in refused} == {PlanLimitReached}
    await assert_nothing_half_made(engine, 7)


async def test_what_has_ended_or_waits_is_not_concurrent(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET concurrent_executions = 1")
    waits = await engine.draw([START, node("later", "wait", {"amount": 3, "unit": "hours"})], ["start>later"])
    quick = await engine.draw([START], [])
    waiting = await engine.run(waits)
    assert (waiting["status"], waiting["state"]) == ("RUNNING", "waiting")
    assert (await engine.run(quick))["status"] == "SUCCESS"
    await engine.start(quick)
    with pytest.raises(ExecutionsLimited):
        await engine.start(waits)


async def test_a_minute_passes(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET executions_per_minute = 2")
    drawn = await engine.draw([START], [])
    await engine.start(drawn)
    await engine.fetch("UPDATE workflow_start SET started_at = now() - interval '59 seconds'")
    await engine.start(drawn)
    with pytest.raises(ExecutionsLimited) as caught:
        await engine.start(drawn)
    assert caught.value.retry_after_s < 2
    await engine.fetch("UPDATE workflow_start SET started_at = started_at - interval '2 seconds'")
    await engine.start(drawn)
    [kept] = await engine.fetch("SELECT count(*) AS n FROM workflow_start")
    assert kept["n"] == 2


async def test_what_is_deleted_has_been_started_all_the_same(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET executions_per_minute = 2")
    drawn = await engine.draw([START], [])
    done = await engine.run(drawn)
    async with as_system(engine.pool) as own:
        assert await delete_execution(own, [engine.user_id], done["id"])
    await engine.run(drawn)
    await engine.fetch('DELETE FROM "Workflow"')
    with pytest.raises(ExecutionsLimited):
        await engine.start(await engine.draw([START], []))


async def test_called_workflows_do_not_count_and_are_not_refused(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET concurrent_executions = 2, executions_per_minute = 2")
    drawn = await engine.draw([START], [])
    caller = await engine.start(drawn)
    for step in range(5):
        await engine.start(
            drawn,
            triggered_by="workflow",
            depth=1,
            parent=Parent(caller, f"call|{step}", waits=step % 2 == 0, root_id=f"root|{step}"),
        )
    await engine.start(drawn)
    with pytest.raises(ExecutionsLimited):
        await engine.start(drawn)


async def test_a_team_and_a_person_have_limits_of_their_own(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET concurrent_executions = 1")
    [team] = await engine.fetch(
        """INSERT INTO "Team" ("name", "slug", "subscriptionTier") VALUES ('t', 't', 'ENTERPRISE') RETURNING "id" """
    )
    for team_id in (None, team["id"]):
        drawn = await engine.draw([START], [], team_id=team_id)
        await engine.start(drawn)
        with pytest.raises(ExecutionsLimited):
            await engine.start(drawn)


async def test_what_is_called_is_at_work_only_where_there_is_a_place(conn: Conn, engine: Engine) -> None:
    await conn.execute("UPDATE plan SET concurrent_executions = 2")
    with RecordingServer() as server:
        server.hold("/slow")
        child = await engine.draw(
            [START, node("slow", "http", {"url": f"{server.url}/slow"})], ["start>slow"]
        )
        parent = await engine.draw(
            [START, node("call", "workflow", {"workflowId": child, "wait": False})], ["start>call"]
        )
        done = await engine.run(parent, [{"n": n} for n in range(5)])
        assert done["status"] == "SUCCESS"
        rows = await engine.fetch('SELECT "id" FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow")
        called = [row["id"] for row in rows]
        working = [asyncio.create_task(engine.workflows.runner.run(one)) for one in called[:2]]
        await server.arrived("/slow", 2)
        # Whoever comes now is put off, once however many jobs ask.
        await engine.fetch("DELETE FROM pgqueuer")
        for _ in range(3):
            await engine.workflows.runner.run(called[2])
        assert len(server.requests("/slow")) == 2
        assert len(await engine.fetch("SELECT 1 FROM pgqueuer WHERE payload = $1", called[2].encode())) == 1
        server.release("/slow")
        await asyncio.gather(*working)
        await engine.workflows.runner.run(called[2])
        assert (await engine.execution(called[2]))["status"] == "SUCCESS"


async def test_reading_its_texts_takes_nothing_of_the_time_of_an_item(engine: Engine) -> None:
    fields = {f"f{number}": f"{number}" + "{{ 1 }}" * 390 for number in range(20)}
    drawn = await engine.draw(
        [START, node("big", "set", {"fields": fields, "mode": "replace"})], ["start>big"]
    )
    done = await engine.run(drawn)
    assert done["status"] == "SUCCESS", done["error"]
