"""Every route against a stranger, another tenant and a key without the scope, from the routes themselves."""

import pytest

from tests.running import Service

PUBLIC = {"/healthz", "/readyz", "/metrics"}
"""Open by design: they tell nothing of anybody."""

ROUTES = {
    ("POST", "/v1/documents"): ("documents:write", 202),
    ("GET", "/v1/documents"): ("documents:read", 200),
    ("GET", "/v1/documents/{document_id}"): ("documents:read", 404),
    ("PATCH", "/v1/documents/{document_id}"): ("documents:write", 404),
    ("DELETE", "/v1/documents/{document_id}"): ("documents:write", 404),
    ("POST", "/v1/documents/{document_id}/retry"): ("documents:write", 404),
    ("GET", "/v1/documents/{document_id}/content"): ("documents:read", 404),
    ("GET", "/v1/documents/{document_id}/text"): ("documents:read", 404),
    ("GET", "/v1/documents/{document_id}/chunks"): ("documents:read", 404),
    ("GET", "/v1/documents/{document_id}/events"): ("documents:read", 404),
    ("POST", "/v1/search"): ("search", 200),
}
"""Route → the scope it needs, and what another tenant gets who names our document."""

BODIES = {
    ("POST", "/v1/documents"): {"title": "theirs", "content": "something of their own"},
    ("PATCH", "/v1/documents/{document_id}"): {"title": "taken over"},
    ("POST", "/v1/search"): {"query": "heating in hall B"},
}


def _send(server: Service, key: str | None, route: tuple[str, str], document_id: str):
    method, path = route
    with server.client(key) as client:
        return client.request(method, path.replace("{document_id}", document_id), json=BODIES.get(route))


@pytest.fixture
def document_id(server: Service) -> str:
    with server.client() as client:
        reply = client.post(
            "/v1/documents?wait=30",
            json={"title": "ours", "content": "Heating in hall B is serviced in October."},
        )
    return str(reply.json()["id"])


def test_every_route_is_in_the_table(server: Service) -> None:
    with server.client(None) as client:
        paths = client.get("/schema/openapi.json").json()["paths"]
    routes = {(method.upper(), path.rstrip("/")) for path, item in paths.items() for method in item}
    assert {route for route in routes if route[1] not in PUBLIC} == set(ROUTES)


def test_a_stranger_gets_nothing(server: Service, document_id: str) -> None:
    for route in ROUTES:
        for key in (None, "dsk_" + "A" * 43, "nonsense"):
            reply = _send(server, key, route, document_id)
            assert reply.status_code == 401, (route, key)
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert reply.headers["content-type"] == "application/problem+json"


def test_another_tenant_sees_and_changes_nothing(server: Service, document_id: str) -> None:
    other = server.new_user("other@example.com")
    for route, (_, status) in ROUTES.items():
        reply = _send(server, other, route, document_id)
        assert reply.status_code == status, (route, reply.text)
        assert "hall B" not in reply.text or route == ("POST", "/v1/search")
        if route == ("POST", "/v1/search"):
            assert reply.json()["hits"] == []
        if route == ("GET", "/v1/documents"):
            assert document_id not in reply.text
    with server.client() as client:
        assert client.get(f"/v1/documents/{document_id}").json()["title"] == "ours"


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


def test_a_key_opens_only_what_its_scopes_say(server: Service, document_id: str) -> None:
    scopes = sorted({scope for scope, _ in ROUTES.values()})
    for held in scopes:
        key = server.new_user(f"{held}@example.com", scopes=(held,))
        for route, (needed, _) in ROUTES.items():
            reply = _send(server, key, route, document_id)
            if needed == held:
                assert reply.status_code not in {401, 403}, (route, held)
            else:
                assert reply.status_code == 403, (route, held)
                assert reply.json()["required_scope"] == needed


def test_a_revoked_and_an_expired_key_open_nothing(server: Service) -> None:
    revoked = server.new_user("revoked@example.com")
    expired = server.new_user("expired@example.com")
    server.call(
        _execute(
            server,
            """
            UPDATE "ApiKey" k SET "isActive" = (u."email" <> 'revoked@example.com'),
                "expiresAt" = CASE WHEN u."email" = 'expired@example.com' THEN now() - interval '1 second' END
            FROM "User" u WHERE u."id" = k."userId" AND u."email" IN ('revoked@example.com', 'expired@example.com')
            """,
        )
    )
    for key in (revoked, expired):
        with server.client(key) as client:
            assert client.get("/v1/documents").status_code == 401


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
