"""Workflows as they are drawn, and what comes of them."""

from typing import Any

from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")


def events_of(execution: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [entry for entry in execution["logs"] if entry["event"] == name]


async def test_items_go_through_nodes_in_order(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node(
                "greet", "set", {"fields": {"text": "Hello {{input.name}}", "year": "{{ input.born + 36 }}"}}
            ),
        ],
        ["start>greet"],
    )
    done = await engine.run(drawn, {"name": "Ada", "born": 1815})
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {"name": "Ada", "born": 1815, "text": "Hello Ada", "year": 1851}
    assert done["state"] == "ended"
    assert done["duration"] >= 0
    happened = [entry["event"] for entry in done["logs"]]
    assert happened[0] == "run.started"
    assert happened[-1] == "run.succeeded"
    assert [entry["node"] for entry in events_of(done, "node.finished")] == ["start", "greet"]


async def test_a_list_of_objects_is_several_items_and_each_finds_its_own(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("twice", "set", {"fields": {"twice": "{{ input.n * 2 }}"}, "mode": "replace"}),
            node(
                "both",
                "set",
                {"fields": {"first": "{{ nodes['start'].n }}", "all": "{{ items_of('twice') | length }}"}},
            ),
        ],
        ["start>twice", "twice>both"],
    )
    done = await engine.run(drawn, [{"n": 1}, {"n": 2}, {"n": 3}])
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == [{"twice": 2 * n, "first": n, "all": 3} for n in (1, 2, 3)]


async def test_branches_are_taken_or_skipped_and_come_together(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("big", "if", {"condition": "{{ input.n > 10 }}"}),
            node("yes", "set", {"fields": {"size": "big"}}),
            node("no", "set", {"fields": {"size": "small"}}),
            node("never", "set", {"fields": {"x": 1}}),
            node("end", "merge"),
        ],
        ["start>big", "big.true>yes", "big.false>no", "yes>end.input-1", "no>end.input-2", "big.true>never"],
    )
    done = await engine.run(drawn, [{"n": 1}, {"n": 2}])
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == [{"n": 1, "size": "small"}, {"n": 2, "size": "small"}]
    assert {entry["node"] for entry in events_of(done, "node.skipped")} == {"yes", "never"}


async def test_a_loop_runs_its_body_for_each_item_and_goes_on_with_what_comes_back(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("each", "loop", {"items": "{{ input.words }}"}),
            node(
                "up",
                "set",
                {"fields": {"word": "{{ item | upper }}", "at": "{{ loop.index }}"}, "mode": "replace"},
            ),
            node("after", "set", {"fields": {"seen": "{{ items | length }}"}}),
        ],
        ["start>each", "each.item>up", "up>each.next", "each.done>after"],
    )
    done = await engine.run(drawn, {"words": ["a", "b", "c"]})
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == [{"word": w, "at": n, "seen": 3} for n, w in enumerate("ABC")]


async def test_nested_loops_know_their_own_item_and_the_outer_one(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("rows", "loop", {"items": "{{ input.rows }}"}),
            node("row", "set", {"fields": {"row": "{{ item }}"}, "mode": "replace"}),
            node("cells", "loop", {"items": "{{ input.row }}"}),
            node(
                "cell",
                "set",
                {"fields": {"n": "{{ item }}", "of": "{{ nodes['row'].row | sum }}"}, "mode": "replace"},
            ),
        ],
        [
            "start>rows",
            "rows.item>row",
            "row>cells",
            "cells.item>cell",
            "cell>cells.next",
            "cells.done>rows.next",
        ],
    )
    done = await engine.run(drawn, {"rows": [[1, 2], [3]]})
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == [{"n": 1, "of": 3}, {"n": 2, "of": 3}, {"n": 3, "of": 3}]


async def test_a_failure_names_node_field_and_expression_and_stops_the_run(engine: Engine) -> None:
    drawn = await engine.draw(
        [START, node("a", "set", {"fields": {"x": "{{ input.nmae }}"}}, name="Greet"), node("b", "set")],
        ["start>a", "a>b"],
    )
    done = await engine.run(drawn, {"name": "Ada"})
    assert done["status"] == "FAILED"
    error = done["error"]
    assert (error["node"], error["name"], error["field"], error["code"]) == (
        "a",
        "Greet",
        "data.fields",
        "expression",
    )
    assert error["expression"] == "{{ input.nmae }}"
    assert "'name'" in error["message"]
    assert events_of(done, "node.failed")
    assert not [entry for entry in done["logs"] if entry.get("node") == "b"]
    told = await engine.fetch("""SELECT "type"::text AS type, "data" FROM "Notification" """)
    assert [one["type"] for one in told] == ["WORKFLOW_FAILED"]
    assert told[0]["data"]["execution_id"] == done["id"]


async def test_an_error_goes_on_by_its_branch_or_with_the_item(engine: Engine) -> None:
    bad = {"fields": {"x": "{{ input.n / input.by }}"}}
    drawn = await engine.draw(
        [
            START,
            node("branch", "set", bad, onError="continueErrorOutput"),
            node(
                "caught",
                "set",
                {
                    "fields": {"code": "{{ input.error.code }}", "was": "{{ input.input.n }}"},
                    "mode": "replace",
                },
            ),
            node("along", "set", bad, onError="continueRegularOutput"),
        ],
        ["start>branch", "branch.error>caught", "start>along"],
    )
    done = await engine.run(drawn, [{"n": 1, "by": 0}, {"n": 4, "by": 2}])
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"]["caught"] == {"code": "expression", "was": 1}
    along = done["output"]["along"]
    assert along[0]["error"]["code"] == "expression"
    assert along[1]["x"] == 2.0


async def test_statistics_are_what_the_executions_are(engine: Engine) -> None:
    good = await engine.draw([START], [])
    bad = await engine.draw([START, node("no", "stop", {"error": True, "message": "No."})], ["start>no"])
    for _ in range(3):
        await engine.run(good)
    failed = await engine.run(bad)
    assert failed["error"]["message"] == "No."
    counted = await engine.fetch(
        """SELECT "totalExecutions", "successfulExecutions", "failedExecutions", "updatedAt" = "createdAt" AS untouched
           FROM "Workflow" ORDER BY "totalExecutions" """
    )
    assert [tuple(row.values()) for row in counted] == [(1, 0, 1, True), (3, 3, 0, True)]


async def test_a_disabled_node_passes_items_on_and_pinned_data_replaces_a_node(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("off", "stop", {"error": True}, disabled=True),
            node("slow", "set", {"fields": {"from": "run"}}),
            node("end", "set", {"fields": {"end": True}}),
        ],
        ["start>off", "off>slow", "slow>end"],
    )
    done = await engine.run(drawn, {"a": 1}, plan={"pinned": {"slow": [{"from": "pin"}]}})
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {"from": "pin", "end": True}


async def test_one_node_alone_is_run_with_the_input_it_is_given(engine: Engine) -> None:
    drawn = await engine.draw(
        [
            START,
            node("a", "set", {"fields": {"x": "{{ nodes['start'].y }}"}}),
            node("b", "stop", {"error": True}),
        ],
        ["start>a", "a>b"],
    )
    done = await engine.run(
        drawn, {"z": 3}, plan={"only": "a", "mode": "test", "pinned": {"start": [{"y": 7}]}}
    )
    assert done["status"] == "SUCCESS", done["error"]
    assert done["output"] == {"z": 3, "x": 7}
