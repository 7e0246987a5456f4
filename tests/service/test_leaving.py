"""Who has left a team, or was removed: what they made there is the team's, and concerns them no more."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from db.tenancy import as_caller, as_system
from tests.fakes.chat_servers import Say
from tests.running import Service
from tests.service.chatting import talking
from tests.service.drawing import node, run
from tests.service.test_teams import join, make_team

START = node("start", "trigger", {"kind": "manual"})
HOOK = node("hook", "trigger", {"kind": "webhook", "responseMode": "lastNode"})


@pytest.fixture
def people(server: Service) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    with ExitStack() as stack:
        ann, bob = (
            stack.enter_context(server.client(server.new_user(f"{name}@example.com")))
            for name in ("ann", "bob")
        )
        yield ann, bob


def edges(*ids: str) -> list[dict[str, str]]:
    return [{"source": a, "target": b} for a, b in pairwise(ids)]


def told(person: httpx.Client) -> list[str]:
    return [f"{row['title']} {row['message']}" for row in person.get("/v1/notifications").json()["data"]]


def test_they_are_told_of_its_workflows_no_longer(
    server: Service, people: tuple[httpx.Client, httpx.Client]
) -> None:
    ann, bob = people
    team = make_team(ann)
    bob_id = join(team, ann, bob, "bob@example.com")
    nodes = [
        HOOK,
        node("tell", "notify", {"title": "Case {{ input.case }}", "to": "owner"}),
        node("no", "stop", {"error": True, "message": "cannot settle {{ input.case }}"}),
    ]
    body = {"name": "Cases", "team_id": team, "nodes": nodes, "connections": edges("hook", "tell", "no")}
    made = bob.post("/v1/workflows", json=body).json()["id"]
    url = bob.post(f"/v1/workflows/{made}/activate").json()["triggers"][0]["url"]
    assert bob.delete(f"/v1/teams/{team}/members/{bob_id}").status_code == 204
    with server.client(None) as stranger:
        assert stranger.post("/v1/hooks/" + url.rpartition("/")[2], json={"case": "4711"}).status_code == 500
    assert not [text for text in told(bob) if "4711" in text]
    assert len([text for text in told(ann) if "4711" in text]) == 2


def test_nobody_outside_is_told_where_the_team_has_nobody_to_hand_over_to(
    server: Service, people: tuple[httpx.Client, httpx.Client]
) -> None:
    ann, bob = people
    team = make_team(ann)
    bob_id = join(team, ann, bob, "bob@example.com")
    nodes = [START, node("tell", "notify", {"title": "Case", "to": "owner"})]
    body = {"name": "Cases", "team_id": team, "nodes": nodes, "connections": edges("start", "tell")}
    made = ann.post("/v1/workflows", json=body).json()["id"]
    bob_heard = len(told(bob))
    assert ann.delete(f"/v1/teams/{team}/members/{bob_id}").status_code == 204

    async def give_away() -> None:
        async with as_system(server.runtime.pool) as conn:
            await conn.execute('UPDATE "Workflow" SET "userId" = $2 WHERE "id" = $1', made, bob_id)

    server.call(give_away())
    assert run(ann, made)["status"] == "SUCCESS"
    assert len(told(bob)) == bob_heard


def test_what_they_made_does_not_come_back_when_the_team_goes(
    server: Service, people: tuple[httpx.Client, httpx.Client]
) -> None:
    ann, bob = people
    team = make_team(ann)
    bob_id = join(team, ann, bob, "bob@example.com")
    document = {"title": "Minutes", "content": "The lease ends in May.", "team_id": team}
    assert bob.post("/v1/documents?wait=30", json=document).is_success
    body = {"name": "Cases", "team_id": team, "nodes": [START], "connections": []}
    made = bob.post("/v1/workflows", json=body).json()["id"]
    ran = run(bob, made, {"secret": 1})["id"]
    before = ann.get(f"/v1/plan?team_id={team}").json()

    async def leave() -> None:
        async with as_system(server.runtime.pool) as conn:
            subject = await conn.fetchval('SELECT "clerkId" FROM "User" WHERE "id" = $1', bob_id)
        async with as_caller(server.runtime.pool, subject) as conn:  # as the web application does
            await conn.execute('DELETE FROM "TeamMember" WHERE "userId" = $1', bob_id)

    server.call(leave())
    assert ann.get(f"/v1/plan?team_id={team}").json() == before
    assert ann.get(f"/v1/executions/{ran}").status_code == 200
    assert ann.delete(f"/v1/teams/{team}").status_code == 204
    assert bob.get("/v1/documents").json()["data"] == []
    assert bob.get(f"/v1/workflows/{made}").status_code == 404
    assert bob.get(f"/v1/executions/{ran}").status_code == 404
    assert [row["title"] for row in ann.get("/v1/documents").json()["data"]] == ["Minutes"]


def test_its_runs_are_charged_to_an_owner(database_url: str, tmp_path: Path) -> None:
    with talking(database_url, tmp_path / "home") as talk, ExitStack() as stack:
        service = talk.service
        ann, bob = (
            stack.enter_context(service.client(service.new_user(f"{name}@example.com")))
            for name in ("ann", "bob")
        )
        stranger = stack.enter_context(service.client(None))
        team = make_team(ann)
        bob_id = join(team, ann, bob, "bob@example.com")
        nodes = [HOOK, node("a", "ai", {"model": "fake-1", "prompt": "hi"})]
        body = {"name": "w", "team_id": team, "nodes": nodes, "connections": edges("hook", "a")}
        made = bob.post("/v1/workflows", json=body).json()["id"]
        url = bob.post(f"/v1/workflows/{made}/activate").json()["triggers"][0]["url"]
        assert bob.put(f"/v1/budgets/user/{bob_id}", json={"monthly_limit": 0}).status_code == 200
        assert ann.delete(f"/v1/teams/{team}/members/{bob_id}").status_code == 204
        talk.provider.script(Say("Hello.", prompt_tokens=50, completion_tokens=10))
        reply = stranger.post("/v1/hooks/" + url.rpartition("/")[2], json={})
        assert reply.status_code == 200, reply.text
        spent = {row["kind"]: row["spent"] for row in bob.get("/v1/budgets").json()["data"]}
        assert spent["user"] == 0
