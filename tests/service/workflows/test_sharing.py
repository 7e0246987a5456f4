"""Copies, public workflows and files: what others get, and what they never do."""

from typing import Any

import httpx
import pytest

from tests.service.workflows.conftest import NODES, draw, join

SECRET = "hunter2-and-more"
SECRETIVE: list[dict[str, Any]] = [
    {
        "id": "start",
        "type": "trigger",
        "data": {
            "kind": "webhook",
            "webhookUrl": f"https://x/{SECRET}",
            "hmac": {"credential": SECRET, "header": "X-S"},
        },
    },
    {
        "id": "call",
        "type": "http",
        "data": {
            "url": f"https://ann:{SECRET}@example.com/",
            "credential": SECRET,
            "headers": {"X-Api-Key": SECRET, "Accept": "text/plain"},
        },
    },
]
EDGES = [{"source": "start", "target": "call"}]


@pytest.fixture
def shared(people: dict[str, httpx.Client]) -> dict[str, Any]:
    ann = people["ann"]
    made = draw(
        ann,
        nodes=SECRETIVE,
        connections=EDGES,
        is_public=True,
        tags=["x"],
        settings={"errorWorkflow": SECRET, "timezone": "UTC"},
    )
    assert ann.post(f"/v1/workflows/{made['id']}/activate").status_code == 200
    return made


def test_others_see_a_public_workflow_without_what_is_secret(
    people: dict[str, httpx.Client], shared: dict[str, Any]
) -> None:
    eve = people["eve"]
    [listed] = eve.get("/v1/workflows/public", params={"tag": "x"}).json()["data"]
    assert (listed["id"], listed["node_count"]) == (shared["id"], 2)
    reply = eve.get(f"/v1/workflows/public/{shared['id']}")
    assert SECRET not in reply.text
    assert shared["user_id"] not in reply.text
    assert reply.json()["nodes"][1]["data"] == {
        "url": "https://example.com/",
        "headers": {"Accept": "text/plain"},
    }
    assert reply.json()["settings"] == {"timezone": "UTC"}
    assert eve.get(f"/v1/workflows/{shared['id']}").status_code == 404
    assert eve.patch(f"/v1/workflows/{shared['id']}", json={"name": "x"}).status_code == 404


def test_a_workflow_that_is_not_active_or_not_public_is_nobodys_to_see(
    people: dict[str, httpx.Client], shared: dict[str, Any]
) -> None:
    ann, eve = people["ann"], people["eve"]
    path = f"/v1/workflows/public/{shared['id']}"
    ann.post(f"/v1/workflows/{shared['id']}/deactivate")
    assert eve.get(path).status_code == 404
    assert eve.post(f"/v1/workflows/{shared['id']}/clone", json={}).status_code == 404
    ann.post(f"/v1/workflows/{shared['id']}/activate")
    assert eve.get(path).status_code == 200
    ann.patch(f"/v1/workflows/{shared['id']}", json={"is_public": False})
    assert eve.get(path).status_code == 404
    assert eve.get("/v1/workflows/public").json()["data"] == []


def test_others_copy_a_public_workflow_without_what_is_secret(
    people: dict[str, httpx.Client], shared: dict[str, Any]
) -> None:
    eve = people["eve"]
    reply = eve.post(f"/v1/workflows/{shared['id']}/clone", json={"name": "Eve's"})
    assert reply.status_code == 201
    assert SECRET not in reply.text
    copy = reply.json()
    assert (copy["name"], copy["status"], copy["is_public"], copy["version"]) == ("Eve's", "DRAFT", False, 1)
    assert copy["triggers"][0]["url"] != shared["triggers"][0]["url"]


def test_one_copies_ones_own_as_it_is(people: dict[str, httpx.Client], shared: dict[str, Any]) -> None:
    address = f"/v1/workflows/{shared['id']}/clone"
    for reply in (people["ann"].post(address, json={}), people["ann"].post(address)):
        copy = reply.json()
        assert (copy["name"], copy["nodes"]) == ("Mine (copy)", SECRETIVE)


def test_a_copy_into_a_team_takes_no_secrets_there(
    people: dict[str, httpx.Client], shared: dict[str, Any]
) -> None:
    ann, bob = people["ann"], people["bob"]
    team = join(ann, bob, "bob@example.com", "VIEWER")
    path = f"/v1/workflows/{shared['id']}/clone"
    reply = ann.post(path, json={"team_id": team})
    assert (reply.status_code, reply.json()["team_id"]) == (201, team)
    assert SECRET not in reply.text
    assert bob.post(path, json={"team_id": team}).status_code == 403


def test_what_is_exported_comes_in_again(people: dict[str, httpx.Client], shared: dict[str, Any]) -> None:
    ann, eve = people["ann"], people["eve"]
    exported = ann.get(f"/v1/workflows/{shared['id']}/export")
    assert SECRET not in exported.text
    assert "attachment" in exported.headers["content-disposition"]
    file = exported.json()
    assert (file["format"], file["version"], file["name"]) == ("docsearch.workflow", 1, "Mine")
    reply = eve.post("/v1/workflows/import", params={"name": "Came in"}, json=file)
    assert reply.status_code == 201, reply.text
    imported = reply.json()
    assert imported["notes"] == []
    assert (imported["workflow"]["name"], imported["workflow"]["status"]) == ("Came in", "DRAFT")
    assert imported["workflow"]["nodes"] == file["nodes"]
    assert imported["workflow"]["tags"] == ["x"]
    assert eve.get(f"/v1/workflows/{shared['id']}/export").status_code == 404


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"format": "other", "nodes": []},
        {"format": "docsearch.workflow", "version": 2, "nodes": []},
        {"nodes": [{"id": "a"}], "connections": []},
        {"nodes": NODES, "connections": [], "tags": 3},
    ],
    ids=str,
)
def test_what_is_no_workflow_is_refused(client: httpx.Client, file: dict[str, Any]) -> None:
    assert client.post("/v1/workflows/import", json=file).status_code == 422


def test_a_file_that_is_imported_uses_no_credentials(client: httpx.Client) -> None:
    nodes = [*SECRETIVE, {"id": "last", "type": "http", "name": "Last", "data": {"url": "https://a.b"}}]
    reply = client.post("/v1/workflows/import", json={"nodes": nodes, "connections": EDGES})
    assert reply.status_code == 201, reply.text
    kept = [node["data"] for node in reply.json()["workflow"]["nodes"]]
    assert [{"hmac", "credential"} & data.keys() for data in kept] == [set(), set(), set()]
    assert kept[1]["headers"] == {"X-Api-Key": SECRET, "Accept": "text/plain"}
    assert reply.json()["notes"] == [
        "start: hmac was left out: name a credential of yours.",
        "call: credential was left out: name a credential of yours.",
    ]


def test_connections_are_shown_without_what_is_secret_too(people: dict[str, httpx.Client]) -> None:
    ann, eve = people["ann"], people["eve"]
    edge = {"source": "start", "target": "shape"}
    made = draw(ann, nodes=NODES, connections=[{**edge, "data": {"token": SECRET}}], is_public=True)
    assert ann.post(f"/v1/workflows/{made['id']}/activate").status_code == 200
    shown = eve.get(f"/v1/workflows/public/{made['id']}")
    exported = ann.get(f"/v1/workflows/{made['id']}/export")
    copied = eve.post(f"/v1/workflows/{made['id']}/clone", json={})
    for reply in (shown, exported, copied):
        assert reply.is_success
        assert SECRET not in reply.text
    assert copied.json()["connections"] == [{**edge, "data": {}}]
