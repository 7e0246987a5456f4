"""What the table of routes (test_isolation.py) cannot say: searches across tenants, and a team as members live it."""

import pytest

from tests.running import Service


@pytest.fixture
def document_id(server: Service) -> str:
    with server.client() as client:
        reply = client.post(
            "/v1/documents?wait=30",
            json={"title": "ours", "content": "Heating in hall B is serviced in October."},
        )
    return str(reply.json()["id"])


def test_another_tenant_cannot_search_a_document_by_its_id(server: Service, document_id: str) -> None:
    other = server.new_user("other@example.com")
    with server.client(other) as client:
        reply = client.post("/v1/search", json={"query": "heating", "document_ids": [document_id]})
        assert reply.json()["hits"] == []
        owner_id = server.call(_user_of(server, document_id))
        named = client.post("/v1/search", json={"query": "heating", "team_id": owner_id})
        assert named.status_code == 404


async def _user_of(server: Service, document_id: str) -> str:
    async with server.runtime.pool.acquire() as conn:
        return str(await conn.fetchval('SELECT "userId" FROM "Document" WHERE "id" = $1', document_id))


async def _execute(server: Service, sql: str) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute(sql)


def test_a_viewer_of_a_team_reads_and_does_not_write(server: Service) -> None:
    viewer, member = server.new_user("viewer@example.com"), server.new_user("member@example.com")
    server.call(
        _execute(
            server,
            """
            INSERT INTO "Team" ("id", "name", "slug") VALUES ('team-1', 'Team', 'team');
            INSERT INTO "TeamMember" ("teamId", "userId", "role")
            SELECT 'team-1', "id", (CASE "email" WHEN 'viewer@example.com' THEN 'VIEWER' ELSE 'MEMBER' END)::"TeamRole"
            FROM "User" WHERE "email" IN ('viewer@example.com', 'member@example.com')
            """,
        )
    )
    text = {"title": "shared", "content": "The team meets in hall B.", "team_id": "team-1"}
    with server.client(member) as client:
        location = client.post("/v1/documents?wait=30", json=text).headers["location"]
    with server.client(viewer) as client:
        assert client.get(location).json()["team_id"] == "team-1"
        assert client.post("/v1/search", json={"query": "hall B"}).json()["hits"]
        assert client.post("/v1/search", json={"query": "hall B", "team_id": "team-1"}).json()["hits"]
        assert client.post("/v1/documents", json=text).status_code == 403
        assert client.patch(location, json={"title": "x"}).status_code == 403
        assert client.delete(location).status_code == 403
    with server.client() as client:
        assert client.get(location).status_code == 404
        assert client.post("/v1/search", json={"query": "hall B"}).json()["hits"] == []
    with server.client(member) as client:
        assert client.delete(location).status_code == 204
