"""Workflows that call others: once for each try, under keys that stay the same, and what comes back."""

from datetime import timedelta
from typing import Any

import pytest

from db import workflow_runs
from db.execution_history import cancel_execution
from db.tenancy import as_system
from service.engine.nodes.base import CallWorkflow
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog
from service.engine.run.turn import RunInterrupted
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node
from tests.service.engine.retrying import retry

START = node("start", "trigger")


def post(server: RecordingServer, node_id: str) -> dict[str, Any]:
    return node(node_id, "http", {"url": f"{server.url}/{node_id}", "method": "POST", "body": {"n": 1}})


async def calling(engine: Engine, child: str, *then: dict[str, Any]) -> str:
    nodes = [START, node("call", "workflow", {"workflowId": child}), *then]
    return await engine.draw(nodes, ["start>call", *(f"call>{one['id']}" for one in then)])


async def called(engine: Engine) -> list[str]:
    rows = await engine.fetch('SELECT "id" FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow")
    return [row["id"] for row in rows]


async def test_a_retry_repeats_effects_of_what_it_calls_under_the_same_keys(engine: Engine) -> None:
    with RecordingServer() as server:
        server.fail("/second", times=1, status=400)
        child = await engine.draw(
            [START, post(server, "charge"), post(server, "second")], ["start>charge", "charge>second"]
        )
        failed = await engine.run(await calling(engine, child))
        await engine.drive_all()
        assert (await engine.execution(failed["id"]))["status"] == "FAILED"
        again = await retry(engine, failed["id"])
        await engine.drive_all()
        assert (await engine.execution(again))["status"] == "SUCCESS"
        assert len({one.headers["idempotency-key"] for one in server.requests("/charge")}) == 1


async def test_a_worker_lost_before_the_call_is_written_down_calls_nothing_twice(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(*_: Any) -> Any:
        raise RunInterrupted

    with RecordingServer() as server:
        child = await engine.draw(
            [START, post(server, "charge"), node("no", "stop")], ["start>charge", "charge>no"]
        )
        parent = await engine.start(await calling(engine, child))
        with monkeypatch.context() as patched:
            patched.setattr(RunLedger, "write", lost)
            await engine.workflows.runner.run(parent)
        (first,) = await called(engine)
        await engine.workflows.runner.run(first)
        await engine.fetch(
            "UPDATE workflow_run SET leased_until = now() - interval '1 second' WHERE state = 'active'"
        )
        await engine.workflows.runner.run(parent)
        await engine.drive_all()
        assert (await engine.execution(parent))["status"] == "FAILED"
        assert len(server.requests("/charge")) == 1
    assert await called(engine) == [first]


async def test_a_run_that_was_canceled_calls_nothing(engine: Engine) -> None:
    child = await engine.draw([START], [])
    parent = await engine.start(await calling(engine, child))
    async with as_system(engine.pool) as conn:
        claimed = await workflow_runs.claim_run(conn, parent, timedelta(seconds=15))
        assert claimed is not None
    async with as_system(engine.pool) as conn:
        assert await cancel_execution(conn, parent) == [parent]
    ledger = RunLedger(engine.workflows.services, claimed, RunLog())
    with pytest.raises(RunInterrupted):
        await ledger.call("call//0", CallWorkflow(child, {}), 1)
    assert await called(engine) == []


async def test_several_items_of_a_called_workflow_are_several(engine: Engine) -> None:
    child = await engine.draw([START, node("x", "set", {"fields": {"x": 1}})], ["start>x"])
    started = await engine.run(
        await calling(engine, child, node("end", "set", {"fields": {"parent": True}})),
        {"rows": [{"a": 1}]},
    )
    await engine.drive_all()
    assert (await engine.execution(started["id"]))["output"] == {"rows": [{"a": 1}], "x": 1, "parent": True}
    many = await engine.draw(
        [START, node("each", "loop", {"items": [{"a": 1}, {"a": 2}]}), node("x", "set")],
        ["start>each", "each.item>x", "x>each.next"],
    )
    started = await engine.run(await calling(engine, many, node("end", "set", {"fields": {"parent": True}})))
    await engine.drive_all()
    done = await engine.execution(started["id"])
    assert done["output"] == [{"a": 1, "parent": True}, {"a": 2, "parent": True}]


async def test_an_output_too_large_to_be_handed_on_fails_who_called(engine: Engine) -> None:
    child = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ range(2) }}"}),
            node("x", "set", {"mode": "replace", "fields": {"t": "{{ nodes.start.t }}"}}),
        ],
        ["start>each", "each.item>x", "x>each.next"],
    )
    started = await engine.run(await calling(engine, child), {"t": "x" * 600_000})
    await engine.drive_all()
    done = await engine.execution(started["id"])
    assert (done["status"], done["error"]["code"]) == ("FAILED", "too_large")
