"""Loops: how many passes at a time, what goes on when they fail, and nodes of a body on their own."""

from datetime import datetime
from typing import Any

import pytest

from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
BODY = node("body", "set", {"fields": {"seen": True}})
ORIGIN = node("origin", "set", {"fields": {"origin": "{{ nodes.start.n }}"}})
AROUND = ["start>each", "each.item>body", "body>each.next"]


def finished_at(done: dict[str, Any], node_id: str) -> list[datetime]:
    return [
        datetime.fromisoformat(entry["at"])
        for entry in done["logs"]
        if entry["event"] == "node.finished" and entry.get("node") == node_id
    ]


async def test_a_loop_goes_through_what_each_item_brings(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ input.pages }}"}),
            node(
                "body", "set", {"fields": {"p": "{{ item }}", "of": "{{ nodes.start.n }}"}, "mode": "replace"}
            ),
        ],
        AROUND,
    )
    done = await engine.run(drawn, [{"n": "a", "pages": [1, 2]}, {"n": "b", "pages": [3]}])
    assert done["output"] == [{"p": 1, "of": "a"}, {"p": 2, "of": "a"}, {"p": 3, "of": "b"}]


async def test_what_does_not_speak_of_an_item_is_gone_through_once(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("each", "loop", {"items": "{{ items_of('start') }}"}), BODY], AROUND
    )
    done = await engine.run(drawn, [{"n": 1}, {"n": 2}])
    assert [one["n"] for one in done["output"]] == [1, 2]


async def test_items_of_a_batch_keep_what_they_stem_from(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("each", "loop", {"batchSize": 2}), BODY, ORIGIN], [*AROUND, "each.done>origin"]
    )
    done = await engine.run(drawn, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert [(one["n"], one["origin"]) for one in done["output"]] == [(1, 1), (2, 2), (3, 3)]


async def test_a_batch_of_one_is_a_list_as_the_others_are(engine: Engine) -> None:
    body = node("body", "set", {"fields": {"many": "{{ item | length }}"}, "mode": "replace"})
    drawn = await engine.draw([START, node("each", "loop", {"batchSize": 2}), body], AROUND)
    done = await engine.run(drawn, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert [one["many"] for one in done["output"]] == [2, 2, 1]


async def test_no_more_passes_are_under_way_than_may_be_also_where_they_wait(engine: Engine) -> None:
    child = await engine.draw([START, node("ask", "wait", {"for": "reply"})], ["start>ask"])
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ range(30) }}", "concurrency": 2}),
            node("body", "workflow", {"workflowId": child}),
        ],
        AROUND,
    )
    assert (await engine.run(drawn))["state"] == "waiting"
    called = await engine.fetch('SELECT 1 FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow")
    assert len(called) == 2


async def test_each_pass_waits_for_itself(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ range(3) }}"}),
            node("body", "wait", {"amount": 0.3}),
            node("after", "set"),
        ],
        ["start>each", "each.item>body", "body>after", "after>each.next"],
    )
    moments = finished_at(await engine.run(drawn), "after")
    assert (moments[-1] - moments[0]).total_seconds() >= 0.6


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"items": "{{ input.nothing }}"}, "expression"),
        ({"items": "{{ input.word }}"}, "bad_config"),
        ({"items": "{{ range(3) }}", "maxIterations": 2}, "too_many_passes"),
    ],
)
async def test_a_loop_that_fails_goes_by_its_on_error(engine: Engine, data: Any, code: str) -> None:
    caught = node("caught", "set", {"fields": {"code": "{{ input.error.code }}"}, "mode": "replace"})
    drawn = await engine.draw(
        [START, node("each", "loop", data, onError="continueErrorOutput"), BODY, caught],
        [*AROUND, "each.error>caught"],
    )
    done = await engine.run(drawn, {"word": "x"})
    assert (done["status"], done["output"]) == ("SUCCESS", {"code": code})
    assert "node.failed" in [entry["event"] for entry in done["logs"]]


async def test_more_than_a_node_may_give_goes_by_its_on_error(engine: Engine) -> None:
    many = node("many", "loop", {"items": "{{ range(600) }}", "batchSize": 600})
    double = node("double", "merge", onError="continueErrorOutput")
    caught = node("caught", "set", {"fields": {"code": "{{ input.error.code }}"}, "mode": "replace"})
    drawn = await engine.draw(
        [START, many, node("body", "set", {"fields": {"of": 1}}), double, caught],
        [
            "start>many",
            "many.item>body",
            "body>many.next",
            "many.done>double.input-1",
            "many.done>double.input-2",
            "double.error>caught",
        ],
    )
    done = await engine.run(drawn)
    assert done["status"] == "SUCCESS", done["error"]
    assert {one["code"] for one in done["output"]} == {"too_many_items"}


async def test_a_loop_that_fails_fails_its_run_and_says_where(engine: Engine) -> None:
    drawn = await engine.draw([START, node("each", "loop", {"items": "{{ input.x }}"}), BODY], AROUND)
    done = await engine.run(drawn, {})
    assert (done["status"], done["error"]["node"], done["error"]["code"]) == ("FAILED", "each", "expression")
    assert "input.x" in done["error"]["expression"]


@pytest.mark.parametrize("how", ["disabled", "pinned"])
async def test_what_follows_a_loop_that_does_nothing_goes_on(engine: Engine, how: str) -> None:
    loop = node(
        "each", "loop", {"items": "{{ range(3) }}"}, **({"disabled": True} if how == "disabled" else {})
    )
    drawn = await engine.draw(
        [START, loop, BODY, node("end", "set", {"fields": {"end": 1}})], [*AROUND, "each.done>end"]
    )
    plan = {"pinned": {"each": [{"z": 3}]}} if how == "pinned" else {}
    done = await engine.run(drawn, {"z": 3}, plan=plan)
    assert (done["status"], done["output"]) == ("SUCCESS", {"z": 3, "end": 1})


async def test_a_pinned_node_in_a_loop_does_not_run(engine: Engine) -> None:
    with RecordingServer() as server:
        pay = node("body", "http", {"url": f"{server.url}/pay", "method": "POST"})
        drawn = await engine.draw([START, node("each", "loop", {"items": "{{ range(2) }}"}), pay], AROUND)
        done = await engine.run(drawn, plan={"pinned": {"body": [{"ok": True}]}})
        assert done["output"] == [{"ok": True}, {"ok": True}]
        assert server.requests("/pay") == []


async def test_a_node_in_a_loop_runs_alone(engine: Engine) -> None:
    drawn = await engine.draw([START, node("each", "loop", {"items": "{{ range(4) }}"}), BODY], AROUND)
    done = await engine.run(drawn, {"z": 3}, plan={"only": "body"})
    assert (done["status"], done["output"]) == ("SUCCESS", {"z": 3, "seen": True})


async def test_a_loop_may_be_called_anything(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("a/b~1", "loop", {"items": "{{ range(2) }}"}), ORIGIN],
        [
            {"source": "start", "target": "a/b~1"},
            {"source": "a/b~1", "sourceHandle": "item", "target": "origin"},
            {"source": "origin", "target": "a/b~1", "targetHandle": "next"},
        ],
    )
    done = await engine.run(drawn, {"n": 5})
    assert done["status"] == "SUCCESS", done["error"]
    assert [one["origin"] for one in done["output"]] == [5, 5]
