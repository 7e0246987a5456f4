"""A service without a worker, and people who draw."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running import Service, run_service

NODES: list[dict[str, Any]] = [
    {
        "id": "start",
        "type": "trigger",
        "name": "Start",
        "position": {"x": 100, "y": 100},
        "data": {"kind": "webhook", "method": "POST"},
        "colour": "blue",
    },
    {"id": "shape", "type": "set", "data": {"fields": {"text": "{{ input.text }}"}, "note": "mine"}},
]
CONNECTIONS: list[dict[str, Any]] = [
    {"id": "e1", "source": "start", "target": "shape", "sourceHandle": "output", "targetHandle": "input"}
]


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "home", worker=False, default_plan="ENTERPRISE") as service:
        yield service


@pytest.fixture
def client(api: Service) -> Iterator[httpx.Client]:
    with api.client() as signed_in:
        yield signed_in


@pytest.fixture
def people(api: Service) -> Iterator[dict[str, httpx.Client]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(api.client(api.new_user(f"{name}@example.com")))
            for name in ("ann", "bob", "eve")
        }


def draw(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    reply = client.post(
        "/v1/workflows", json={"name": "Mine", "nodes": NODES, "connections": CONNECTIONS} | fields
    )
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/workflows/{made['id']}"
    return made


def patch(client: httpx.Client, made: dict[str, Any], **fields: Any) -> httpx.Response:
    """Change a workflow from the revision that was seen, and take over what comes back."""
    reply = client.patch(f"/v1/workflows/{made['id']}", json={"revision": made["revision"]} | fields)
    if reply.status_code == 200:
        made.update(reply.json())
    return reply


def join(owner: httpx.Client, person: httpx.Client, email: str, role: str) -> str:
    """Let a person into a new team of the owner's; return its id."""
    team = str(owner.post("/v1/teams", json={"name": "Legal"}).json()["id"])
    assert owner.post(f"/v1/teams/{team}/invitations", json={"email": email, "role": role}).status_code == 201
    [waiting] = person.get("/v1/invitations").json()["data"]
    assert person.post(f"/v1/invitations/{waiting['id']}/accept").status_code == 200
    return team
