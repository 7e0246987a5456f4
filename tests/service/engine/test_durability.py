"""Runs that are cut off, taken over, canceled, laid aside and taken up."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db import workflow_runs, workflow_steps
from db.tenancy import as_system
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node, open_engine

START = node("start", "trigger")


def post(node_id: str, server: RecordingServer, body: Any = "{{ input }}", **more: Any) -> dict[str, Any]:
    return node(node_id, "http", {"url": f"{server.url}/{node_id}", "method": "POST", "body": body}, **more)


async def test_another_worker_goes_on_after_the_last_finished_node(engine: Engine) -> None:
    with RecordingServer() as server:
        drawn = await engine.draw([START, post("one", server), post("two", server)], ["start>one", "one>two"])
        server.hold("/two")
        execution_id = await engine.start(drawn, {"a": 1})
        first = asyncio.create_task(engine.workflows.runner.run(execution_id))
        await server.arrived("/two")
        # As when a process dies: nothing is given back, and the lease runs out.
        engine.workflows.runner._live.clear()
        async with as_system(engine.pool) as conn:
            await conn.execute("UPDATE workflow_run SET leased_until = now() - interval '1 second'")
            assert await workflow_runs.list_abandoned(conn, timedelta(minutes=1)) == [execution_id]
        server.release("/two")
        second = asyncio.create_task(engine.workflows.runner.run(execution_id))
        await asyncio.gather(first, second)
        done = await engine.execution(execution_id)
        assert done["status"] == "SUCCESS", done["error"]
        assert len(server.requests("/one")) == 1
        keys = {request.headers["idempotency-key"] for request in server.requests("/two")}
        assert len(keys) == 1
        assert "run.resumed" in [entry["event"] for entry in done["logs"]]


async def test_canceling_stops_a_node_at_once(engine: Engine) -> None:
    with RecordingServer() as server:
        drawn = await engine.draw(
            [START, post("slow", server), post("after", server)], ["start>slow", "slow>after"]
        )
        server.hold("/slow")
        execution_id = await engine.start(drawn)
        running = asyncio.create_task(engine.workflows.runner.run(execution_id))
        await server.arrived("/slow")
        # As the web application does it, too.
        await engine.fetch("""UPDATE "WorkflowExecution" SET "status" = 'CANCELED' """)
        await asyncio.wait_for(running, timeout=1.0)
        server.release("/slow")
        done = await engine.execution(execution_id)
        assert (done["status"], done["state"]) == ("CANCELED", "ended")
        assert server.requests("/after") == []
        assert not (await engine.fetch('SELECT 1 FROM "Workflow" WHERE "failedExecutions" > 0'))


async def test_failures_that_may_heal_are_tried_again_with_the_same_key(engine: Engine) -> None:
    with RecordingServer() as server:
        server.fail("/flaky", times=2, status=503)
        drawn = await engine.draw([START, post("flaky", server, waitBetweenTries=1)], ["start>flaky"])
        done = await engine.run(drawn)
        assert done["status"] == "SUCCESS", done["error"]
        sent = server.requests("/flaky")
        assert len(sent) == 3
        assert len({request.headers["idempotency-key"] for request in sent}) == 1
        assert [entry["attempt"] for entry in done["logs"] if entry["event"] == "node.retried"] == [1, 2]


async def test_what_will_not_heal_is_tried_once(engine: Engine) -> None:
    with RecordingServer() as server:
        server.fail("/bad", times=9, status=400)
        drawn = await engine.draw([START, post("bad", server, waitBetweenTries=1)], ["start>bad"])
        done = await engine.run(drawn)
        assert (done["status"], done["error"]["code"]) == ("FAILED", "http_status")
        assert len(server.requests("/bad")) == 1


async def test_a_run_that_takes_too_long_times_out(engine: Engine) -> None:
    with RecordingServer() as server:
        server.hold("/slow")
        drawn = await engine.draw(
            [START, post("slow", server)], ["start>slow"], settings={"executionTimeout": 0.3}
        )
        done = await engine.run(drawn)
        server.release("/slow")
        assert (done["status"], done["error"]["code"]) == ("TIMEOUT", "timeout")


async def test_a_node_that_takes_too_long_fails_by_itself(engine: Engine) -> None:
    with RecordingServer() as server:
        server.hold("/slow")
        drawn = await engine.draw(
            [
                START,
                post("slow", server, timeout=0.2, retryOnFail=False, onError="continueErrorOutput"),
                node("saved", "set"),
            ],
            ["start>slow", "slow.error>saved"],
        )
        done = await engine.run(drawn)
        server.release("/slow")
        assert done["status"] == "SUCCESS"
        assert done["output"]["error"]["code"] == "timeout"


async def test_a_wait_lays_the_run_aside_and_a_reply_takes_it_up(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("ask", "wait", {"for": "reply"}),
            node("end", "set", {"fields": {"said": "{{ input.reply.word }}"}}),
        ],
        ["start>ask", "ask>end"],
    )
    waiting = await engine.run(drawn, {"q": 1})
    assert (waiting["status"], waiting["state"]) == ("RUNNING", "waiting")
    async with as_system(engine.pool) as conn:
        assert await workflow_steps.resume_reply(conn, waiting["id"], "start", {}) is None
        assert await workflow_steps.resume_reply(conn, waiting["id"], None, {"word": "yes"}) == "ask"
        assert await workflow_steps.resume_reply(conn, waiting["id"], None, {"word": "again"}) is None
    await engine.workflows.runner.run(waiting["id"])
    done = await engine.execution(waiting["id"])
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {"q": 1, "reply": {"word": "yes"}, "said": "yes"}


async def test_a_reply_that_does_not_come_goes_on_by_timeout(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("ask", "wait", {"for": "reply", "amount": 1, "unit": "hours"}),
            node("late", "set", {"fields": {"late": True}}),
        ],
        ["start>ask", "ask.timeout>late"],
    )
    waiting = await engine.run(drawn, {"q": 1})
    assert waiting["state"] == "waiting"
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    await engine.fetch(
        "UPDATE workflow_step SET waiting = jsonb_set(waiting, '{0,until}', to_jsonb($1::text))", past
    )
    await engine.fetch("UPDATE workflow_run SET wake_at = now()")
    await engine.workflows.runner.run(waiting["id"])
    assert (await engine.execution(waiting["id"]))["output"] == {"q": 1, "late": True}


async def test_a_short_wait_is_sat_out_and_a_long_one_is_queued(engine: Engine) -> None:
    short = await engine.draw([START, node("w", "wait", {"amount": 0.05})], ["start>w"])
    assert (await engine.run(short))["status"] == "SUCCESS"
    long = await engine.draw([START, node("w", "wait", {"amount": 3, "unit": "days"})], ["start>w"])
    waiting = await engine.run(long)
    (job,) = await engine.fetch(
        "SELECT execute_after - now() AS delay FROM pgqueuer WHERE execute_after > now() AND payload = $1",
        waiting["id"].encode(),
    )
    assert timedelta(days=2, hours=23) < job["delay"] <= timedelta(days=3)


async def test_a_sub_workflow_gives_its_output_and_its_failure(engine: Engine) -> None:
    child = await engine.draw(
        [START, node("sq", "set", {"fields": {"sq": "{{ input.n * input.n }}"}, "mode": "replace"})],
        ["start>sq"],
    )
    failing = await engine.draw(
        [START, node("no", "stop", {"error": True, "message": "Not today."})], ["start>no"]
    )
    parent = await engine.draw(
        [
            START,
            node("call", "workflow", {"workflowId": child}),
            node("bad", "workflow", {"workflowId": failing}, onError="continueErrorOutput"),
        ],
        ["start>call", "call>bad"],
    )
    waiting = await engine.run(parent, [{"n": 2}, {"n": 3}])
    assert waiting["state"] == "waiting"
    await engine.drive_all()
    done = await engine.execution(waiting["id"])
    assert done["status"] == "SUCCESS", done["error"]
    assert [item["input"] for item in done["output"]] == [{"sq": 4}, {"sq": 9}]
    assert "Not today." in done["output"][0]["error"]["message"]
    children = await engine.fetch(
        'SELECT "parentExecutionId" AS parent FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow"
    )
    assert [one["parent"] for one in children] == [waiting["id"]] * 4


async def test_workflows_that_call_each_other_end(engine: Engine) -> None:
    drawn = await engine.draw([START], [])
    await engine.fetch(
        'UPDATE "Workflow" SET "nodes" = $1, "connections" = $2',
        [START, node("again", "workflow", {"workflowId": drawn})],
        [{"source": "start", "target": "again"}],
    )
    top = await engine.run(drawn)
    await engine.drive_all()
    done = await engine.execution(top["id"])
    assert done["status"] == "FAILED"
    assert "deep" in done["error"]["message"]
    assert len(await engine.fetch('SELECT 1 FROM "WorkflowExecution"')) == 6


async def test_a_failed_run_starts_the_workflow_for_errors_once(database_url: str, tmp_path: Path) -> None:
    async with open_engine(database_url, tmp_path / "home") as engine:
        catcher = await engine.draw([START], [])
        broken = await engine.draw(
            [START, node("no", "stop", {"error": True, "message": "No."})],
            ["start>no"],
            settings={"errorWorkflow": catcher},
        )
        failed = await engine.run(broken, triggered_by="webhook")
        jobs = await engine.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = 'run_error_workflow'")
        assert [job["payload"].decode() for job in jobs] == [failed["id"]]
        from service.engine.jobs import run_error_workflow

        class Job:
            payload = failed["id"].encode()

        for _ in range(2):
            await run_error_workflow(engine.workflows, Job())  # type: ignore[arg-type]
        (caught,) = await engine.fetch(
            'SELECT "inputData" AS data FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "error"
        )
        assert caught["data"]["workflow"]["id"] == broken
        assert caught["data"]["execution"]["error"]["message"] == "No."


async def test_a_run_that_brings_its_workers_down_is_given_up(engine: Engine) -> None:
    drawn = await engine.draw([START], [])
    execution_id = await engine.start(drawn)
    await engine.fetch("UPDATE workflow_run SET fruitless = 10")
    await engine.workflows.runner.run(execution_id)
    done = await engine.execution(execution_id)
    assert (done["status"], done["error"]["code"]) == ("FAILED", "crashed")


@pytest.mark.parametrize("data", ["a\x00b", "\ud800"])
async def test_text_that_the_database_cannot_hold_is_cleaned(engine: Engine, data: str) -> None:
    drawn = await engine.draw([START], [])
    done = await engine.run(drawn, {"text": data})
    assert done["status"] == "SUCCESS"
    assert "\x00" not in done["output"]["text"]
