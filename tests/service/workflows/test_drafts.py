"""Drawing over HTTP: what is kept, what is refused, and whose edit holds."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.running import Service
from tests.service.drawing import draw as draw_stored
from tests.service.workflows.conftest import CONNECTIONS, NODES, draw, join, patch


def test_what_is_drawn_is_kept_as_it_came(client: httpx.Client) -> None:
    settings = {"timezone": "Europe/Berlin", "theme": {"dark": True}}
    made = draw(client, settings=settings, tags=["a", "a", "b"], category="docs", description="Two\nlines")
    assert (made["nodes"], made["connections"], made["settings"]) == (NODES, CONNECTIONS, settings)
    assert (made["tags"], made["category"], made["description"]) == (["a", "b"], "docs", "Two\nlines")
    assert (made["status"], made["is_active"], made["revision"], made["version"]) == ("DRAFT", False, 1, 1)
    assert made["statistics"] == {"total": 0, "successful": 0, "failed": 0, "last_executed_at": None}
    assert made["issues"] == []
    assert client.get(f"/v1/workflows/{made['id']}").json() == made


def test_a_draft_may_be_incomplete_and_says_so(client: httpx.Client) -> None:
    made = draw(client, nodes=[{"id": "a", "type": "ai"}], connections=[])
    assert {issue["code"] for issue in made["issues"]} == {"missing_field", "no_trigger"}
    empty = client.post("/v1/workflows", json={"name": "Empty"})
    assert [issue["code"] for issue in empty.json()["issues"]] == ["no_trigger"]


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"nodes": [{"id": "a"}]}, "nodes[0]: "),
        ({"nodes": [{"id": "a", "type": 3}]}, "nodes[0].type: "),
        ({"nodes": [{"id": "a", "type": "set", "onError": "panic"}]}, "nodes[0].onError: "),
        ({"connections": [{"source": "a"}]}, "connections[0]: "),
        ({"settings": {"executionTimeout": -1}}, "settings.executionTimeout: "),
        ({"nodes": [{"id": str(n), "type": "set"} for n in range(201)]}, "nodes: "),
        ({"nodes": [{"id": "a", "type": "set", "data": {"x": "a\x00b"}}]}, "NUL"),
        ({"description": "a\x00b"}, "NUL"),
        ({"nodes": [{"id": "a", "type": "set", "data": {"x": "y" * 1_100_000}}]}, "bytes"),
        ({"name": "\x01\x02"}, "name: "),
    ],
)
def test_what_cannot_be_kept_is_refused(client: httpx.Client, fields: dict[str, Any], detail: str) -> None:
    body = {"name": "x", "nodes": [], "connections": []} | fields
    reply = client.post("/v1/workflows", json=body)
    assert reply.status_code == 422, reply.text
    assert detail in reply.json()["detail"]
    assert client.get("/v1/workflows").json()["data"] == []


def test_what_no_database_can_hold_is_refused(client: httpx.Client) -> None:
    deep = "[" * 200 + "]" * 200
    for data, status in (
        ('{"x": "\\ud800"}', {400, 422}),
        ('{"x": 1e400}', {400, 422}),
        ('{"x": ' + deep + "}", {422}),
    ):
        content = '{"name": "x", "nodes": [{"id": "a", "type": "set", "data": ' + data + "}]}"
        reply = client.post("/v1/workflows", content=content, headers={"Content-Type": "application/json"})
        assert reply.status_code in status, reply.text


def test_a_change_of_what_is_drawn_names_its_revision(client: httpx.Client) -> None:
    made = draw(client)
    path = f"/v1/workflows/{made['id']}"
    missing = client.patch(path, json={"nodes": NODES})
    assert missing.status_code == 422
    assert "revision" in missing.json()["detail"]
    first = client.patch(path, json={"nodes": NODES[:1], "connections": [], "revision": 1})
    assert first.status_code == 200
    assert (first.json()["revision"], first.json()["version"]) == (2, 2)
    late = client.patch(path, json={"nodes": [], "connections": [], "revision": 1})
    assert (late.status_code, late.json()["revision"]) == (409, 2)
    assert client.get(path).json()["nodes"] == NODES[:1]
    # A name does not stand in anybody's way.
    assert client.patch(path, json={"name": "Other"}).json()["name"] == "Other"


def test_fields_are_changed_and_taken_away(client: httpx.Client) -> None:
    made = draw(client, category="docs", description="x", settings={"timezone": "UTC"}, tags=["a"])
    assert patch(client, made, category=None, description=None, settings=None, tags=[]).status_code == 200
    assert (made["category"], made["description"], made["settings"], made["tags"]) == (None, None, None, [])
    assert (made["name"], made["nodes"], made["version"]) == ("Mine", NODES, 1)


def test_activating_refuses_errors_and_says_all_of_them(client: httpx.Client) -> None:
    made = draw(client, nodes=[*NODES, {"id": "ask", "type": "ai", "data": {}}])
    refused = client.post(f"/v1/workflows/{made['id']}/activate")
    assert refused.status_code == 422
    problem = refused.json()
    assert problem["code"] == "invalid_workflow"
    assert [issue["field"] for issue in problem["issues"] if issue["severity"] == "error"] == [
        "data.model",
        "data.prompt",
    ]
    assert client.get(f"/v1/workflows/{made['id']}").json()["status"] == "DRAFT"


def test_an_active_workflow_stays_valid(client: httpx.Client) -> None:
    made = draw(client)
    path = f"/v1/workflows/{made['id']}"
    active = client.post(f"{path}/activate").json()
    assert (active["status"], active["is_active"]) == ("ACTIVE", True)
    assert active["published_at"] is not None
    assert [trigger["is_active"] for trigger in active["triggers"]] == [True]
    broken = client.patch(path, json={"nodes": [], "connections": [], "revision": active["revision"]})
    assert (broken.status_code, broken.json()["code"]) == (422, "invalid_workflow")
    paused = client.post(f"{path}/deactivate").json()
    assert (paused["status"], paused["is_active"]) == ("PAUSED", False)
    assert [trigger["is_active"] for trigger in paused["triggers"]] == [False]
    assert client.patch(
        path, json={"nodes": [], "connections": [], "revision": paused["revision"]}
    ).is_success
    again = client.patch(path, json={"status": "ACTIVE"})
    assert (again.status_code, again.json()["code"]) == (422, "invalid_workflow")
    archived = client.patch(path, json={"status": "ARCHIVED"}).json()
    assert (archived["status"], archived["is_active"]) == ("ARCHIVED", False)
    assert client.post(f"{path}/deactivate").json()["status"] == "ARCHIVED"
    assert archived["published_at"] == active["published_at"]


def test_triggers_are_told_with_their_addresses_and_times(api: Service, client: httpx.Client) -> None:
    clock = {"id": "clock", "type": "trigger", "data": {"cron": "0 8 * * *"}}
    ready = {"id": "ready", "type": "trigger", "data": {"event": "document.ready"}}
    made = draw(client, nodes=[*NODES, clock, ready], settings={"timezone": "Europe/Berlin"})
    hook, schedule, event = made["triggers"]
    assert (hook["node_id"], hook["kind"], hook["schedule"]) == ("start", "webhook", None)
    base = f"{api.settings.outside_url}/v1/hooks"
    assert hook["url"].startswith(f"{base}/")
    assert hook["test_url"].startswith(f"{base}/test/")
    assert (schedule["kind"], schedule["url"]) == ("schedule", None)
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == (
        "0 8 * * *",
        "Europe/Berlin",
    )
    assert schedule["schedule"]["next_run_at"] is not None
    assert (event["kind"], event["event"]) == ("event", "document.ready")
    # The address stays while the node does.
    patch(client, made, nodes=NODES, connections=CONNECTIONS)
    assert made["triggers"] == [hook]


def test_a_trigger_that_is_disabled_keeps_its_address(client: httpx.Client) -> None:
    nodes = [*NODES, {"id": "hand", "type": "trigger", "data": {}}]
    made = draw(client, nodes=nodes)
    path = f"/v1/workflows/{made['id']}"
    made |= client.post(f"{path}/activate").json()
    hook, hand = made["triggers"]
    assert hook["is_active"]
    disabled = [nodes[0] | {"disabled": True}, *nodes[1:]]
    assert patch(client, made, nodes=disabled).status_code == 200
    assert made["triggers"] == [hook | {"is_active": False}, hand]
    # Back by an edit, or by going back to a version from before.
    patch(client, made, nodes=nodes)
    assert made["triggers"] == [hook, hand]
    patch(client, made, nodes=disabled)
    restored = client.post(f"{path}/versions/1/restore", json={"revision": made["revision"]}).json()
    assert restored["triggers"] == [hook, hand]


def test_who_may_not_run_it_does_not_learn_its_address(people: dict[str, httpx.Client], api: Service) -> None:
    ann, bob = people["ann"], people["bob"]
    team = join(ann, bob, "bob@example.com", "VIEWER")
    made = draw(ann, team_id=team)
    [seen] = bob.get(f"/v1/workflows/{made['id']}").json()["triggers"]
    assert (seen["url"], seen["test_url"]) == (None, None)
    [told] = ann.get(f"/v1/workflows/{made['id']}").json()["triggers"]
    assert told["url"]
    key = ann.post("/v1/api-keys", json={"name": "reads", "scopes": ["workflows:read"]}).json()["key"]
    with api.client(key) as reader:
        assert reader.get(f"/v1/workflows/{made['id']}").json()["triggers"][0]["url"] is None


def test_a_workflow_is_deleted_with_all_of_it(client: httpx.Client) -> None:
    made = draw(client)
    path = f"/v1/workflows/{made['id']}"
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.get(f"{path}/versions").status_code == 404
    assert client.delete(path).status_code == 404


def test_a_plan_allows_so_many(api: Service) -> None:
    with api.client(api.new_user("free@example.com")) as free:
        codes = [free.post("/v1/workflows", json={"name": "x"}).status_code for _ in range(12)]
    assert set(codes[:5]) == {201}
    assert codes[-1] == 402


def test_validating_keeps_nothing(client: httpx.Client) -> None:
    reply = client.post("/v1/workflows/validate", json={"nodes": NODES, "connections": CONNECTIONS})
    assert reply.json() == {"valid": True, "issues": []}
    wrong = client.post("/v1/workflows/validate", json={"nodes": [{"id": "a", "type": "aii"}]}).json()
    assert wrong["valid"] is False
    assert wrong["issues"][0] == {
        "severity": "error",
        "node": "a",
        "field": "type",
        "code": "unknown_type",
        "message": "There is no node type 'aii'. Is 'ai' meant?",
    }
    unreadable = client.post("/v1/workflows/validate", json={"nodes": [{"id": "a"}]}).json()
    assert (unreadable["valid"], unreadable["issues"][0]["field"]) == (False, "nodes[0]")
    assert client.get("/v1/workflows").json()["data"] == []


def test_node_types_are_told_with_their_schemas(client: httpx.Client) -> None:
    found = {one["type"]: one for one in client.get("/v1/workflows/node-types").json()["node_types"]}
    assert {"trigger", "ai", "http", "if", "loop"} <= set(found)
    assert "maxTokens" in str(found["ai"]["config"])
    assert found["if"]["outputs"] == ["true", "false"]


def test_a_name_may_have_200_characters(client: httpx.Client) -> None:
    made = draw(client, nodes=[{**NODES[0], "name": "n" * 200}, NODES[1]])
    refused = patch(client, made, nodes=[{**NODES[0], "name": "n" * 201}, NODES[1]])
    assert (refused.status_code, refused.json()["path"]) == (422, "nodes[0].name")


def test_what_is_stored_with_a_longer_name_is_activated_and_copied(
    api: Service, client: httpx.Client
) -> None:
    long = {**NODES[0], "name": "n" * 300}
    stored = draw_stored(api, [long, NODES[1]], ["start>shape"], active=False)
    active = client.post(f"/v1/workflows/{stored}/activate")
    assert (active.status_code, active.json()["nodes"][0]) == (200, long)
    assert client.post(f"/v1/workflows/{stored}/clone", json={}).status_code == 201


def test_others_are_answered_while_a_large_workflow_is_looked_at(api: Service, client: httpx.Client) -> None:
    texts = [f"{{{{ [{'1, ' * 190}{place}] }}}}" for place in range(100)]
    nodes = [NODES[0], {"id": "shape", "type": "set", "data": {"fields": {"x": texts}}}]
    done = threading.Event()

    async def longest_gap() -> float:
        """Return the longest that the service's loop could not be had."""
        worst, at = 0.0, time.monotonic()
        while not done.is_set():
            await asyncio.sleep(0.005)
            worst, at = max(worst, time.monotonic() - at), time.monotonic()
        return worst

    with ThreadPoolExecutor() as pool:
        gap = pool.submit(api.call, longest_gap())
        began = time.monotonic()
        reply = client.post("/v1/workflows/validate", json={"nodes": nodes, "connections": CONNECTIONS})
        took = time.monotonic() - began
        done.set()
        assert reply.json()["valid"], reply.text
        assert gap.result() < took / 2
