"""Nodes that touch nothing but items: trigger, if, switch, set, merge, wait, workflow, stop, respond."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.engine.errors import NodeError
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import CallWorkflow, Respond, Wait
from service.engine.nodes.trigger import trigger_kind
from tests.service.engine.calls import NOW, outputs, run_node


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({}, "manual"),
        ({"webhookUrl": "https://…", "method": "POST"}, "webhook"),
        ({"path": "orders"}, "webhook"),
        ({"cron": "0 9 * * 1"}, "schedule"),
        ({"event": "document.ready"}, "event"),
        ({"kind": "api", "cron": "0 9 * * 1"}, "api"),
    ],
)
def test_a_trigger_without_a_kind_shows_it_by_its_data(data: dict[str, Any], kind: str) -> None:
    assert trigger_kind(data) == kind


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ({}, []),
        ({"kind": "webhook"}, []),
        ({"method": "FETCH"}, ["method"]),
        ({"kind": "schedule"}, ["cron"]),
        ({"cron": "0 9 * * 1", "timezone": "Europe/Berlin"}, []),
        ({"cron": "0 9 * * 1", "timezone": "Mars/Base"}, ["timezone"]),
        ({"kind": "event"}, ["event"]),
        ({"event": "document.read"}, ["event"]),
        ({"kind": "mail"}, ["kind"]),
    ],
)
def test_a_trigger_says_what_its_kind_lacks(data: dict[str, Any], keys: list[str]) -> None:
    assert [key for key, _ in NODE_TYPES["trigger"].problems(data)] == keys


async def test_a_trigger_passes_all_on() -> None:
    assert await outputs("trigger", {"kind": "api"}, 1, {"a": 2}) == [("output", 1), ("output", {"a": 2})]
    assert NODE_TYPES["trigger"].inputs({}) == ()


async def test_if_sends_an_item_one_of_two_ways() -> None:
    data = {"conditions": [{"left": 3, "operator": "greater", "right": 2}]}
    assert await outputs("if", data, {"id": 1}) == [("true", {"id": 1})]
    data = {"conditions": [{"left": 1, "operator": "greater", "right": 2}]}
    assert await outputs("if", data, {"id": 1}) == [("false", {"id": 1})]


async def test_if_combines_conditions_by_and_or_or() -> None:
    conditions = [{"left": 1, "right": 1}, {"left": 1, "right": 2}]
    assert (await outputs("if", {"conditions": conditions}, 0))[0][0] == "false"
    assert (await outputs("if", {"conditions": conditions, "combinator": "or"}, 0))[0][0] == "true"


async def test_if_takes_one_condition_instead() -> None:
    for value, handle in (
        (True, "true"),
        (False, "false"),
        ([], "false"),
        (["x"], "true"),
        ("false", "false"),
    ):
        assert (await outputs("if", {"condition": value}, 0))[0][0] == handle
    with pytest.raises(NodeError, match="a list, and not true or false") as raised:
        await outputs("if", {"condition": [], "looseTypes": False}, 0)
    assert raised.value.code == "bad_config"
    assert [key for key, _ in NODE_TYPES["if"].problems({})] == ["conditions"]
    both = {"conditions": [{}], "condition": True}
    assert [key for key, _ in NODE_TYPES["if"].problems(both)] == ["condition"]


RULES = [
    {"output": "large", "conditions": [{"left": 12, "operator": "greater", "right": 10}]},
    {"output": "even", "condition": True},
    {"output": "odd", "condition": False},
]


async def test_switch_goes_by_the_first_rule_that_fits_or_by_all() -> None:
    assert await outputs("switch", {"rules": RULES}, {"n": 12}) == [("large", {"n": 12})]
    all_of_them = await outputs("switch", {"rules": RULES, "mode": "all"}, {"n": 12})
    assert all_of_them == [("large", {"n": 12}), ("even", {"n": 12})]
    assert await outputs("switch", {"rules": RULES[2:]}, 1) == [("default", 1)]


async def test_switch_goes_by_cases() -> None:
    cases = {"paid": "done", "open": "remind", "3": "three"}
    for value, handle in (("paid", "done"), (3, "three"), ("void", "default"), (None, "default")):
        assert await outputs("switch", {"value": value, "cases": cases}, 0) == [(handle, 0)]


def test_switch_has_the_outputs_that_its_data_names_however_incomplete() -> None:
    switch = NODE_TYPES["switch"]
    assert switch.outputs({"rules": RULES}) == ("large", "even", "odd", "default")
    assert switch.outputs({"cases": {"a": "x", "b": "x"}}) == ("x", "default")
    assert switch.outputs({"rules": [None, {}, {"output": 3}], "cases": []}) == ("default",)
    assert [key for key, _ in switch.problems({})] == ["rules"]
    assert [key for key, _ in switch.problems({"cases": {"a": "b"}})] == ["value"]
    assert [key for key, _ in switch.problems({"rules": [{"output": "error", "condition": True}]})] == [
        "rules"
    ]
    assert [key for key, _ in switch.problems({"rules": [{"output": "a"}]})] == ["rules[0].conditions"]


async def test_set_merges_replaces_and_removes_without_changing_what_came() -> None:
    item = {"a": {"b": 1, "c": 2}, "d": 3}
    merged = await outputs(
        "set", {"fields": {"a.b": 5, "x.y.z": [1]}, "remove": ["d", "a.c", "no.such"]}, item
    )
    assert merged == [("output", {"a": {"b": 5}, "x": {"y": {"z": [1]}}})]
    assert item == {"a": {"b": 1, "c": 2}, "d": 3}
    assert await outputs("set", {"fields": {"n": None}, "mode": "replace"}, item) == [("output", {"n": None})]
    assert await outputs("set", {"fields": {"d.e": 1}}, item) == [("output", {**item, "d": {"e": 1}})]
    assert await outputs("set", {"fields": {"a": 1}}, "text") == [("output", {"a": 1})]
    with pytest.raises(NodeError, match="is no key"):
        await outputs("set", {"fields": {"a..b": 1}}, item)


async def test_set_copies_an_item_once() -> None:
    keys = [f"k{number}" for number in range(20_000)]
    item = {"deep": dict.fromkeys(keys, 1), **dict.fromkeys(keys, 1)}
    fields = {**dict.fromkeys(keys[10_000:], 2), **{f"deep.{key}": 2 for key in keys[10_000:]}}
    remove = [name for key in keys[:10_000] for name in (key, f"deep.{key}")]
    began = time.process_time()
    [(_, made)] = await outputs("set", {"fields": fields, "remove": remove}, item)
    # A copy for each key would take ten seconds and more.
    assert time.process_time() - began < 2
    kept = dict.fromkeys(keys[10_000:], 2)
    assert made == {"deep": kept, **kept}
    assert item == {"deep": dict.fromkeys(keys, 1), **dict.fromkeys(keys, 1)}


async def test_set_changes_nothing_that_it_was_given() -> None:
    fields = {"a": {"x": {"y": 1}}, "a.x.z": 2, "b.c": 3, "b": 4}
    item = {"b": {"c": 0}, "c": 5}
    assert await outputs("set", {"fields": fields}, item) == [
        ("output", {"b": 4, "c": 5, "a": {"x": {"y": 1, "z": 2}}})
    ]
    assert (item, fields["a"]) == ({"b": {"c": 0}, "c": 5}, {"x": {"y": 1}})


async def merged(data: dict[str, Any], **handles: list[Any]) -> list[Any]:
    by_handle = {name.replace("_", "-"): items for name, items in handles.items()}
    return [item for _, item in await outputs("merge", data, by_handle=by_handle)]


async def test_merge_appends_in_the_order_of_its_handles() -> None:
    assert await merged({}, input_2=[3], input_1=[1, 2]) == [1, 2, 3]
    assert await merged({}, input=[1, 2]) == [1, 2]
    assert await merged({"mode": "first"}, input_2=[3], input_1=[]) == [3]
    assert await merged({"mode": "first"}) == []


async def test_merge_combines_by_position() -> None:
    left, right = [{"a": 1}, {"a": 2}], [{"b": 3, "a": 9}]
    data = {"mode": "combineByPosition"}
    assert await merged(data, input_1=left, input_2=right) == [{"a": 9, "b": 3}]
    assert await merged({**data, "keepUnpaired": True}, input=left, input_2=right) == [
        {"a": 9, "b": 3},
        {"a": 2},
    ]
    with pytest.raises(NodeError, match="Only objects"):
        await merged(data, input_1=[1], input_2=[{}])


async def test_merge_combines_by_field() -> None:
    orders = [{"id": 1, "who": {"id": "x"}}, {"id": 2, "who": {"id": "x"}}, {"id": 3, "who": {"id": "z"}}]
    people = [{"who": {"id": "x"}, "name": "Ada"}, {"who": {"id": "y"}, "name": "Bo"}]
    data = {"mode": "combineByField", "field": "who.id"}
    paired = await merged(data, input_1=orders, input_2=people)
    assert paired == [{**orders[0], "name": "Ada"}, {**orders[1], "name": "Ada"}]
    kept = await merged({**data, "keepUnpaired": True}, input_1=orders, input_2=people)
    assert kept == [*paired, orders[2], people[1]]
    assert NODE_TYPES["merge"].inputs({"inputs": 3}) == ("input-1", "input-2", "input-3", "input")
    assert NODE_TYPES["merge"].inputs({"inputs": "many"}) == ("input-1", "input-2", "input")


async def test_wait_for_a_while_and_until_a_moment() -> None:
    assert await run_node("wait", {"amount": 2, "unit": "hours"}) == Wait(NOW + timedelta(hours=2))
    for past in ("2026-04-30", "0001-01-01T00:00:00+01:00"):
        assert await run_node("wait", {"for": "until", "until": past}) == Wait(NOW)
    until = await run_node("wait", {"for": "until", "until": "2026-05-31T09:00:00+02:00"})
    assert until == Wait(datetime(2026, 5, 31, 7, tzinfo=UTC))
    assert await run_node("wait", {"for": "until", "until": "2026-05-31"}) == Wait(
        datetime(2026, 5, 31, tzinfo=UTC)
    )
    resumed = await outputs("wait", {"amount": 2}, {"a": 1}, resumed={"timed_out": True})
    assert resumed == [("output", {"a": 1})]


@pytest.mark.parametrize(
    "data", [{}, {"for": "until"}, {"for": "until", "until": "tomorrow"}, {"amount": 400, "unit": "days"}]
)
async def test_a_wait_that_says_no_time_fails(data: dict[str, Any]) -> None:
    with pytest.raises(NodeError) as raised:
        await run_node("wait", data)
    assert raised.value.code == "bad_config"


async def test_wait_for_a_reply() -> None:
    data = {"for": "reply", "amount": 1, "unit": "days"}
    assert await run_node("wait", data) == Wait(NOW + timedelta(days=1), for_reply=True)
    assert await run_node("wait", {"for": "reply"}) == Wait(None, for_reply=True)
    answered = await outputs("wait", data, {"a": 1}, resumed={"reply": {"ok": True}})
    assert answered == [("output", {"a": 1, "reply": {"ok": True}})]
    assert await outputs("wait", data, {"a": 1}, resumed={"timed_out": True}) == [("timeout", {"a": 1})]
    assert await outputs("wait", data, "x", resumed={"reply": 1}) == [("output", {"input": "x", "reply": 1})]
    assert NODE_TYPES["wait"].outputs(data) == ("output", "timeout")


async def test_another_workflow_is_called_and_its_output_goes_on() -> None:
    data = {"workflowId": "w-2"}
    assert await run_node("workflow", data, {"a": 1}) == CallWorkflow("w-2", {"a": 1}, wait=True)
    called = await run_node("workflow", {**data, "data": {"b": 2}, "wait": False}, {"a": 1})
    assert called == CallWorkflow("w-2", {"b": 2}, wait=False)
    ended = {"status": "SUCCESS", "output": {"c": 3}, "error": None, "execution_id": "e-2"}
    assert await outputs("workflow", data, {}, resumed=ended) == [("output", {"c": 3})]


async def test_a_workflow_that_failed_fails_who_called_it() -> None:
    ended = {"status": "FAILED", "output": None, "error": {"message": "No model."}, "execution_id": "e-2"}
    with pytest.raises(NodeError, match=r"ended as FAILED: No model\. Its execution is e-2") as raised:
        await run_node("workflow", {"workflowId": "w-2"}, {}, resumed=ended)
    assert raised.value.code == "child_failed"


async def test_stop_fails_or_ends_quietly() -> None:
    with pytest.raises(NodeError, match="No such order: 7") as raised:
        await run_node("stop", {"message": "No such order: 7"})
    assert raised.value.code == "stopped"
    assert await outputs("stop", {"error": False}, {}) == []
    assert NODE_TYPES["stop"].outputs({}) == ()


async def test_respond_answers_the_webhook_and_goes_on() -> None:
    outcome = await run_node("respond", {"status": 201, "headers": {"X-Order": 7}}, {"id": 7})
    assert isinstance(outcome, Respond)
    assert (outcome.status, outcome.body, outcome.outputs) == (201, {"id": 7}, [("output", {"id": 7})])
    assert outcome.headers["content-type"] == "application/json"
    assert outcome.headers["x-order"] == "7"
    text = await run_node(
        "respond", {"body": "<b>hi</b>", "bodyType": "text", "headers": {"Content-Type": "text/html"}}, {}
    )
    assert isinstance(text, Respond)
    assert (text.headers["content-type"], text.body) == ("text/html", "<b>hi</b>")
    assert text.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    "headers",
    [
        {"Set-Cookie": "session=1"},
        {"Content-Length": "3"},
        {"Content-Security-Policy": "none"},
        {"X-Content-Type-Options": "sniff"},
        {"Access-Control-Allow-Origin": "*"},
        {"X-A": "one\r\nSet-Cookie: two"},
        {"X-A: b\r\nX-C": "d"},
        {"Content-Type": "text/html"},
    ],
)
async def test_respond_sets_no_header_that_is_ours(headers: dict[str, str]) -> None:
    with pytest.raises(NodeError) as raised:
        await run_node("respond", {"headers": headers}, {})
    assert (raised.value.code, raised.value.field) == ("bad_config", "data.headers")


@pytest.mark.parametrize(
    "name",
    ["X-Accel-Redirect", "x-accel-limit-rate", "X-Sendfile", "X-Sendfile-Temporary", "X-LIGHTTPD-send-file",
     "X-Reproxy-URL", "X-Forwarded-For", "X-Execution-Id"],
)  # fmt: skip
async def test_respond_gives_no_orders_to_a_proxy(name: str) -> None:
    assert NODE_TYPES["respond"].problems({"headers": {name: "/x"}}) == [("headers", f"{name} cannot be set")]
    with pytest.raises(NodeError, match="cannot be set"):
        await run_node("respond", {"headers": {name: "/x"}}, {})
