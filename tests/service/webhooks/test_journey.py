"""From an upload to a receiver that verifies: the whole way, over HTTP, with a worker, under row-level security."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.fakes.scripted_server import Reply
from tests.fakes.webhook_receiver import Receiver
from tests.running import Service


@pytest.fixture
def client(server: Service) -> Iterator[httpx.Client]:
    with server.client() as signed_in:
        yield signed_in


def add(client: httpx.Client, receiver: Receiver, **fields: object) -> dict[str, Any]:
    reply = client.post("/v1/webhooks", json={"url": receiver.url, **fields})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


def upload(client: httpx.Client, title: str = "Minutes", content: str = "The budget is agreed.") -> str:
    reply = client.post("/v1/documents?wait=50", json={"title": title, "content": content})
    return str(reply.json()["id"])


def until(client: httpx.Client, path: str, status: str) -> list[dict[str, Any]]:
    """Return the deliveries of a webhook once the newest is in this state."""
    for _ in range(2000):
        rows: list[dict[str, Any]] = client.get(path).json()["data"]
        if rows and rows[0]["status"] == status:
            return rows
    raise AssertionError(rows)


def test_a_document_that_becomes_ready_and_is_deleted_is_told_once_each(
    client: httpx.Client, receiver: Receiver
) -> None:
    made = add(client, receiver, events=["document.ready", "document.failed", "document.deleted"])
    document_id = upload(client)
    (ready,) = receiver.wait_for(1)
    event = ready.verify(made["secret"])
    assert event["type"] == "document.ready"
    assert event["data"]["document_id"] == document_id
    assert (event["data"]["title"], event["data"]["status"]) == ("Minutes", "ready")
    assert event["data"]["chunk_count"] == 1
    assert b"budget" not in ready.body
    failed_id = upload(client, "Empty", " ")
    failed = receiver.wait_for(2)[1].verify(made["secret"])
    assert (failed["type"], failed["data"]["document_id"]) == ("document.failed", failed_id)
    assert failed["data"]["error"]["code"] == "no_text"
    client.delete(f"/v1/documents/{document_id}").raise_for_status()
    deleted = receiver.wait_for(3)[2].verify(made["secret"])
    assert (deleted["type"], deleted["data"]["document_id"]) == ("document.deleted", document_id)
    assert deleted["data"]["reason"] == "deleted"
    rows = until(client, f"/v1/webhooks/{made['id']}/deliveries", "delivered")
    assert [row["event_type"] for row in rows] == ["document.deleted", "document.failed", "document.ready"]
    assert {row["attempts"] for row in rows} == {1}
    assert len(receiver.requests) == 3
    assert client.get(f"/v1/webhooks/{made['id']}").json()["total_calls"] == 3


def test_a_ping_arrives_and_can_be_sent_again_under_its_id(client: httpx.Client, receiver: Receiver) -> None:
    made = add(client, receiver, events=["document.ready"])
    path = f"/v1/webhooks/{made['id']}"
    client.post(f"{path}/test").raise_for_status()
    (ping,) = receiver.wait_for(1)
    assert ping.verify(made["secret"])["data"] == {"webhook_id": made["id"]}
    (row,) = until(client, f"{path}/deliveries", "delivered")
    client.post(f"{path}/deliveries/{row['id']}/replay").raise_for_status()
    _, again = receiver.wait_for(2)
    assert (again.message_id, again.body) == (ping.message_id, ping.body)


def test_a_failing_receiver_is_seen_in_the_log(client: httpx.Client, receiver: Receiver) -> None:
    receiver.otherwise = Reply(500, body=b"out of order\x00")
    made = add(client, receiver)
    path = f"/v1/webhooks/{made['id']}/deliveries"
    upload(client)
    receiver.wait_for(1)
    for _ in range(2000):
        (row,) = client.get(path).json()["data"]
        if row["attempts"]:
            break
    assert (row["status"], row["attempts"], row["response_status"]) == ("pending", 1, 500)
    assert row["next_attempt_at"] > row["last_attempt_at"]
    assert client.get(f"{path}/{row['id']}").json()["response_body"] == "out of order"


def test_a_receiver_that_is_gone_pauses_it_and_activating_resumes_it(
    client: httpx.Client, receiver: Receiver
) -> None:
    receiver.script(Reply(410))
    made = add(client, receiver)
    path = f"/v1/webhooks/{made['id']}"
    client.post(f"{path}/test").raise_for_status()
    until(client, f"{path}/deliveries", "failed")
    paused = client.get(path).json()
    assert (paused["is_active"], paused["pause_reason"]) == (False, "gone")
    upload(client)
    assert len(client.get(f"{path}/deliveries").json()["data"]) == 1
    client.patch(path, json={"is_active": True}).raise_for_status()
    client.post(f"{path}/test").raise_for_status()
    until(client, f"{path}/deliveries", "delivered")


def test_somebody_elses_documents_are_not_told(
    server: Service, client: httpx.Client, receiver: Receiver
) -> None:
    add(client, receiver)
    with server.client(server.new_user("other@example.com")) as other:
        upload(other)
    own = upload(client)
    (request,) = receiver.wait_for(1)
    assert own.encode() in request.body
    assert len(receiver.requests) == 1


def test_a_document_that_moves_is_told_where_it_was_and_where_it_is(
    server: Service, client: httpx.Client, receiver: Receiver
) -> None:
    async def found() -> str:
        async with server.runtime.pool.acquire() as conn, conn.transaction():
            team_id: str = await conn.fetchval(
                """INSERT INTO "Team" ("name", "slug") VALUES ('Readers', 'readers') RETURNING "id" """
            )
            await conn.execute(
                """
                INSERT INTO "TeamMember" ("teamId", "userId", "role")
                SELECT $1, u."id", 'OWNER' FROM "User" u
                """,
                team_id,
            )
            return team_id

    team_id = server.call(found())
    add(client, receiver)
    theirs = add(client, receiver, team_id=team_id)
    document_id = upload(client)
    receiver.wait_for(1)
    client.patch(f"/v1/documents/{document_id}", json={"team_id": team_id}).raise_for_status()
    told = [request.body for request in receiver.wait_for(3)[1:]]
    (left,) = [body for body in told if b"document.deleted" in body]
    (come,) = [body for body in told if b"document.ready" in body]
    assert b'"reason":"moved"' in left
    assert team_id.encode() not in left
    assert team_id.encode() in come
    rows = until(client, f"/v1/webhooks/{theirs['id']}/deliveries", "delivered")
    assert [row["event_type"] for row in rows] == ["document.ready"]


def test_what_happens_in_a_team_is_told_to_its_webhooks_up_to_its_end(
    server: Service, client: httpx.Client, receiver: Receiver
) -> None:
    async def verify_addresses() -> None:
        async with server.runtime.pool.acquire() as conn:
            await conn.execute('UPDATE "User" SET "emailVerified" = true')

    ben = server.client(server.new_user("ben@example.com"))
    server.call(verify_addresses())
    team_id = client.post("/v1/teams", json={"name": "Readers"}).json()["id"]
    made = add(client, receiver, team_id=team_id)
    client.post(f"/v1/teams/{team_id}/invitations", json={"email": "ben@example.com"}).raise_for_status()
    (invitation,) = ben.get("/v1/invitations").json()["data"]
    ben.post(f"/v1/invitations/{invitation['id']}/accept").raise_for_status()
    (ben_id,) = [
        member["user_id"]
        for member in client.get(f"/v1/teams/{team_id}/members").json()["data"]
        if member["email"] == "ben@example.com"
    ]
    member = f"/v1/teams/{team_id}/members/{ben_id}"
    client.patch(member, json={"role": "ADMIN"}).raise_for_status()
    ben.delete(member).raise_for_status()
    ben.close()
    client.patch(f"/v1/teams/{team_id}", json={"name": "Writers"}).raise_for_status()
    client.delete(f"/v1/teams/{team_id}").raise_for_status()
    events = sorted(
        (request.verify(made["secret"]) for request in receiver.wait_for(5)), key=lambda one: one["timestamp"]
    )
    assert [(event["type"], event["data"]) for event in events] == [
        ("team.member_added", {"team_id": team_id, "user_id": ben_id, "role": "MEMBER"}),
        ("team.member_role_changed", {"team_id": team_id, "user_id": ben_id, "role": "ADMIN"}),
        ("team.member_removed", {"team_id": team_id, "user_id": ben_id}),
        ("team.updated", {"team_id": team_id, "name": "Writers"}),
        ("team.deleted", {"team_id": team_id}),
    ]
    until(client, f"/v1/webhooks/{made['id']}/deliveries", "delivered")
