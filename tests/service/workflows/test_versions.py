"""Versions: what a workflow was, what has changed since, and going back."""

from copy import deepcopy

import httpx
import pytest

from service.workflows.compare import compare
from tests.service.workflows.conftest import CONNECTIONS, NODES, draw, patch


def test_each_edit_of_nodes_or_connections_is_a_version(client: httpx.Client) -> None:
    made = draw(client, changelog="The  first")
    other = deepcopy(NODES)
    other[1]["data"]["fields"] = {"text": "{{ input.other }}"}
    patch(client, made, nodes=other, changelog="Another text")
    patch(client, made, name="Renamed")
    patch(client, made, nodes=other)
    patch(client, made, connections=[])
    path = f"/v1/workflows/{made['id']}/versions"
    listed = client.get(path).json()
    assert [(one["version"], one["changelog"]) for one in listed["data"]] == [
        (3, None),
        (2, "Another text"),
        (1, "The first"),
    ]
    assert made["version"] == 3
    page = client.get(path, params={"limit": 1}).json()
    assert client.get(path, params={"after": page["next_cursor"]}).json()["data"] == listed["data"][1:]
    first = client.get(f"{path}/1").json()
    assert (first["nodes"], first["connections"]) == (NODES, CONNECTIONS)
    assert client.get(f"{path}/4").status_code == 404


def test_versions_are_compared_and_restored(client: httpx.Client) -> None:
    made = draw(client)
    patch(client, made, nodes=NODES[:1], connections=[])
    path = f"/v1/workflows/{made['id']}"
    difference = client.get(f"{path}/compare", params={"from": 1}).json()
    assert (difference["from_version"], difference["to_version"]) == (1, 2)
    assert [node["id"] for node in difference["nodes_removed"]] == ["shape"]
    assert difference["connections_removed"] == [
        {"source": "start", "target": "shape", "source_handle": "output", "target_handle": "input"}
    ]
    assert client.get(f"{path}/compare", params={"from": 1, "to": 9}).status_code == 404
    late = client.post(f"{path}/versions/1/restore", json={"revision": 1})
    assert late.status_code == 409
    restored = client.post(f"{path}/versions/1/restore", json={"revision": made["revision"]}).json()
    assert (restored["nodes"], restored["connections"], restored["version"]) == (NODES, CONNECTIONS, 3)
    [newest, *_] = client.get(f"{path}/versions").json()["data"]
    assert newest["changelog"] == "Restored version 1"
    assert client.post(f"{path}/versions/2/restore").json()["nodes"] == NODES[:1]


def test_an_active_workflow_is_not_restored_to_what_is_invalid(client: httpx.Client) -> None:
    made = draw(client, nodes=[], connections=[])
    patch(client, made, nodes=NODES, connections=CONNECTIONS)
    client.post(f"/v1/workflows/{made['id']}/activate")
    refused = client.post(f"/v1/workflows/{made['id']}/versions/1/restore", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_workflow")


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ({"data": {"a": 1}}, {"data": {"a": 2}}, ["data.a"]),
        ({"data": {"a": 1}}, {"data": {"b": 1}}, ["data.a", "data.b"]),
        ({"data": {"a": [{"x": 1}]}}, {"data": {"a": [{"x": 2}]}}, ["data.a[0].x"]),
        ({"data": {"a": [1]}}, {"data": {"a": [1, 2]}}, ["data.a"]),
        ({"data": {"a": 1}}, {"data": {"a": True}}, ["data.a"]),
        ({"position": {"x": 1, "y": 2}}, {"position": {"x": 1, "y": 3}}, ["position.y"]),
        ({"name": "x"}, {"name": "x"}, []),
    ],
)
def test_changes_are_named_by_their_paths(
    old: dict[str, object], new: dict[str, object], fields: list[str]
) -> None:
    common = {"id": "a", "type": "set"}
    found = compare((1, [common | old], []), (2, [common | new], [])).nodes_changed
    assert [node.fields for node in found] == ([fields] if fields else [])


def test_a_comparison_is_small_however_much_is_different() -> None:
    key = "k" * 60_000

    def drawn(value: int) -> list[dict[str, object]]:
        return [{"id": f"n{place}", "data": {key: [value] * 400}} for place in range(20)]

    changed = compare((1, drawn(1), []), (2, drawn(2), [])).nodes_changed
    assert len(changed) == 20
    assert len(changed[0].fields) == 201
    assert changed[0].fields[0] == f"data.{'k' * 60}…[0]"
    assert changed[0].fields[-1] == "and 200 more"
    assert changed[-1].fields == ["and 400 more"]
    assert sum(len(field) for node in changed for field in node.fields) < 200_000


def test_a_path_through_many_keys_is_cut() -> None:
    def deep(value: int) -> object:
        inner: object = value
        for _ in range(50):
            inner = {"k" * 50: inner}
        return [{"id": "a", "data": inner}]

    [one] = compare((1, deep(1), []), (2, deep(2), [])).nodes_changed
    [field] = one.fields
    assert len(field) == 301
    assert field.endswith("…")
