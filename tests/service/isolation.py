"""The table of expected answers: what each route tells whom, and a world to ask in.

Each case has a world of its own: a team with an owner, and an actor who is somebody to it. Whatever a route names by id
is made anew in that world, so that cases cannot help or hurt each other.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from db.ai_models import ensure_built_in
from db.pool import Conn
from service.auth.access import ROUTES, SCOPES
from service.auth.keys import hash_key, mint_key
from tests.running import Service

MARK = "hall-B-is-ours"
"""Stands in everything that belongs to the world: no stranger may ever read it."""

MODEL_MARK = "sk-of-the-model"
"""The key of an AI model, and its address: for administrators at most."""

ROLES = ("stranger", "outsider", "viewer", "member", "admin", "owner")
"""A stranger is in no team, an outsider owns another one."""


@dataclass(frozen=True, slots=True)
class Expect:
    """A route's answers to those who are not in the team, and to its VIEWER, MEMBER, ADMIN and OWNER; what is sent."""

    answers: str
    body: Mapping[str, Any] | None = None
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    owners: bool = False
    """Whether the thing belongs to the team's owner in person, not to the team."""

    def status(self, role: str) -> int:
        return int(self.answers.split()[max(0, ROLES.index(role) - 1)])


MCP_HEADERS = {
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/call",
    "Accept": "application/json, text/event-stream",
}


def mcp_call(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message that calls a tool of the MCP server, without a handshake before it."""
    about = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": about}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


TEAM = "{team_id}"
EXPECTED: Mapping[str, Expect] = {
    "POST /v1/documents": Expect("404 403 202 202 202", {"title": "t", "content": "words", "team_id": TEAM}),
    "GET /v1/documents": Expect("200 200 200 200 200"),
    "GET /v1/documents/{document_id}": Expect("404 200 200 200 200"),
    "PATCH /v1/documents/{document_id}": Expect("404 403 200 200 200", {"title": "changed"}),
    "DELETE /v1/documents/{document_id}": Expect("404 403 204 204 204"),
    "POST /v1/documents/{document_id}/retry": Expect("404 403 202 202 202"),
    "GET /v1/documents/{document_id}/content": Expect("404 200 200 200 200"),
    "GET /v1/documents/{document_id}/text": Expect("404 200 200 200 200"),
    "GET /v1/documents/{document_id}/chunks": Expect("404 200 200 200 200"),
    "GET /v1/documents/{document_id}/events": Expect("404 200 200 200 200"),
    "POST /v1/answers": Expect("404 200 200 200 200", {"question": "hall", "settings": {"team_id": TEAM}}),
    "GET /v1/models": Expect("200 200 200 200 200"),
    "GET /v1/models/{model_name}": Expect("200 200 200 200 200"),
    "POST /v1/embeddings": Expect("200 200 200 200 200", {"model": "m", "input": "hall"}),
    "POST /v1/chat/completions": Expect(
        "404 200 200 200 200",
        {
            "model": "extractive",
            "messages": [{"role": "user", "content": "hall"}],
            "retrieval": {"collection_ids": ["{vector_store_id}"]},
        },
    ),
    "POST /v1/responses": Expect(
        "404 200 200 200 200",
        {
            "model": "extractive",
            "input": "hall",
            "tools": [{"type": "file_search", "vector_store_ids": ["{vector_store_id}"]}],
        },
    ),
    "POST /v1/conversations": Expect("404 403 201 201 201", {"team_id": TEAM}),
    "GET /v1/conversations": Expect("200 200 200 200 200"),
    "GET /v1/conversations/{conversation_id}": Expect("404 200 200 200 200"),
    "GET /v1/conversations/{conversation_id}/export": Expect("404 200 200 200 200"),
    "PATCH /v1/conversations/{conversation_id}": Expect("404 403 200 200 200", {"title": "changed"}),
    "DELETE /v1/conversations/{conversation_id}": Expect("404 403 204 204 204"),
    "POST /v1/conversations/{conversation_id}/messages": Expect("404 403 200 200 200", {"content": "hall"}),
    "POST /v1/conversations/{conversation_id}/messages/{message_id}/regenerate": Expect(
        "404 403 200 200 200", {}
    ),
    "POST /v1/conversations/{conversation_id}/messages/{message_id}/stop": Expect("404 403 202 202 202"),
    "GET /v1/conversations/{conversation_id}/messages/{message_id}/events": Expect("404 200 200 200 200"),
    "POST /v1/search": Expect("404 200 200 200 200", {"query": "hall", "team_id": TEAM}),
    # 200 for strangers too: that there is no such document is then the tool's answer.
    "POST /mcp": Expect(
        "200 200 200 200 200",
        mcp_call("get_document", {"document_id": "{document_id}", "char_start": 0}),
        headers=MCP_HEADERS | {"Mcp-Name": "get_document"},
    ),
    "POST /dify/retrieval": Expect(
        "404 200 200 200 200", {"knowledge_id": "{vector_store_id}", "query": "hall"}
    ),
    "GET /v1/ai/models": Expect("200 200 200 200 200"),
    "GET /v1/ai/models/{model_id}": Expect("200 200 200 200 200"),
    # For administrators, which no role makes anybody: tests/service/ai_models.
    "POST /v1/ai/models": Expect("403 403 403 403 403", {"name": "m", "provider": "CUSTOM", "model_id": "m"}),
    "PATCH /v1/ai/models/{model_id}": Expect("403 403 403 403 403", {"name": "changed"}),
    "DELETE /v1/ai/models/{model_id}": Expect("403 403 403 403 403"),
    "POST /v1/ai/models/{model_id}/test": Expect("403 403 403 403 403"),
    "GET /v1/users/me": Expect("200 200 200 200 200"),
    "PATCH /v1/users/me": Expect("200 200 200 200 200", {"first_name": "Ann"}),
    # The owner is the team's last: who else is in it comes first.
    "DELETE /v1/users/me": Expect("200 200 200 200 409", {"confirm": "{actor_email}"}),
    "POST /v1/api-keys": Expect("201 201 201 201 201", {"name": "mine", "scopes": ["keys"]}),
    "GET /v1/api-keys": Expect("200 200 200 200 200"),
    "GET /v1/api-keys/{key_id}": Expect("404 404 404 404 200", owners=True),
    "PATCH /v1/api-keys/{key_id}": Expect("404 404 404 404 200", {"name": "x"}, owners=True),
    "DELETE /v1/api-keys/{key_id}": Expect("404 404 404 404 204", owners=True),
    "POST /v1/teams": Expect("201 201 201 201 201", {"name": "Another"}),
    "GET /v1/teams": Expect("200 200 200 200 200"),
    "GET /v1/teams/{team_id}": Expect("404 200 200 200 200"),
    "PATCH /v1/teams/{team_id}": Expect("404 403 403 200 200", {"name": "Renamed"}),
    "DELETE /v1/teams/{team_id}": Expect("404 403 403 403 204"),
    "GET /v1/teams/{team_id}/members": Expect("404 200 200 200 200"),
    "PATCH /v1/teams/{team_id}/members/{user_id}": Expect("404 403 403 200 200", {"role": "ADMIN"}),
    "DELETE /v1/teams/{team_id}/members/{user_id}": Expect("404 403 403 204 204"),
    "POST /v1/teams/{team_id}/transfer": Expect("404 403 403 403 200", {"user_id": "{user_id}"}),
    "POST /v1/teams/{team_id}/invitations": Expect("404 403 403 201 201", {"email": "new@example.com"}),
    "GET /v1/teams/{team_id}/invitations": Expect("404 403 403 200 200"),
    "DELETE /v1/teams/{team_id}/invitations/{invitation_id}": Expect("404 403 403 204 204"),
    "GET /v1/teams/{team_id}/audit": Expect("404 403 403 403 200"),
    "GET /v1/notifications": Expect("200 200 200 200 200"),
    "GET /v1/notifications/unread-count": Expect("200 200 200 200 200"),
    "GET /v1/notifications/events": Expect("200 200 200 200 200"),
    "POST /v1/notifications/read-all": Expect("200 200 200 200 200"),
    "POST /v1/notifications/{notification_id}/read": Expect("404 404 404 404 200", owners=True),
    "DELETE /v1/notifications/{notification_id}": Expect("404 404 404 404 204", owners=True),
    "GET /v1/usage": Expect("404 403 403 200 200", query="?team_id={team_id}"),
    "GET /v1/plan": Expect("404 200 200 200 200", query="?team_id={team_id}"),
    "GET /v1/budgets": Expect("200 200 200 200 200"),
    "PUT /v1/budgets/{kind}/{subject_id}": Expect("404 403 403 403 200", {"monthly_limit": 5}),
    "DELETE /v1/budgets/{kind}/{subject_id}": Expect("404 403 403 403 204"),
    "GET /v1/invitations": Expect("200 200 200 200 200"),
    "POST /v1/invitations/{invitation_id}/accept": Expect("404 404 404 404 404"),
    "POST /v1/invitations/{invitation_id}/decline": Expect("404 404 404 404 404"),
    "POST /v1/webhooks": Expect("404 403 403 201 201", {"url": "https://example.com/", "team_id": TEAM}),
    "GET /v1/webhooks": Expect("200 200 200 200 200"),
    "GET /v1/webhooks/{webhook_id}": Expect("404 404 404 200 200"),
    "PATCH /v1/webhooks/{webhook_id}": Expect("404 404 404 200 200", {"description": "changed"}),
    "DELETE /v1/webhooks/{webhook_id}": Expect("404 404 404 204 204"),
    "POST /v1/webhooks/{webhook_id}/rotate-secret": Expect("404 404 404 200 200"),
    "POST /v1/webhooks/{webhook_id}/test": Expect("404 404 404 202 202"),
    "GET /v1/webhooks/{webhook_id}/deliveries": Expect("404 404 404 200 200"),
    "GET /v1/webhooks/{webhook_id}/deliveries/{delivery_id}": Expect("404 404 404 200 200"),
    "POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay": Expect("404 404 404 202 202"),
    "POST /v1/workflows": Expect("404 403 201 201 201", {"name": "New", "team_id": TEAM}),
    "GET /v1/workflows": Expect("200 200 200 200 200"),
    "GET /v1/workflows/node-types": Expect("200 200 200 200 200"),
    "POST /v1/workflows/validate": Expect("200 200 200 200 200", {"nodes": []}),
    "POST /v1/workflows/import": Expect(
        "404 403 201 201 201", {"nodes": [], "connections": []}, query="?team_id={team_id}"
    ),
    "GET /v1/workflows/public": Expect("200 200 200 200 200"),
    # It is not public: that is something else than being in the team.
    "GET /v1/workflows/public/{workflow_id}": Expect("404 404 404 404 404"),
    "GET /v1/workflows/{workflow_id}": Expect("404 200 200 200 200"),
    "PATCH /v1/workflows/{workflow_id}": Expect("404 403 200 200 200", {"name": "changed"}),
    "DELETE /v1/workflows/{workflow_id}": Expect("404 403 204 204 204"),
    "POST /v1/workflows/{workflow_id}/activate": Expect("404 403 200 200 200"),
    "POST /v1/workflows/{workflow_id}/deactivate": Expect("404 403 200 200 200"),
    "POST /v1/workflows/{workflow_id}/clone": Expect("404 403 201 201 201", {"team_id": TEAM}),
    "GET /v1/workflows/{workflow_id}/versions": Expect("404 200 200 200 200"),
    "GET /v1/workflows/{workflow_id}/versions/{version}": Expect("404 200 200 200 200"),
    "GET /v1/workflows/{workflow_id}/compare": Expect("404 200 200 200 200", query="?from=1"),
    "POST /v1/workflows/{workflow_id}/versions/{version}/restore": Expect("404 403 200 200 200", {}),
    "GET /v1/workflows/{workflow_id}/export": Expect("404 200 200 200 200"),
    "POST /v1/workflows/{workflow_id}/run": Expect("404 403 202 202 202", {"input": {"a": 1}}),
    "POST /v1/workflows/{workflow_id}/nodes/{node_id}/run": Expect("404 403 202 202 202", {"input": {}}),
    "GET /v1/executions": Expect("404 200 200 200 200", query="?team_id={team_id}"),
    "GET /v1/executions/{execution_id}": Expect("404 200 200 200 200"),
    "DELETE /v1/executions/{execution_id}": Expect("404 403 204 204 204"),
    "GET /v1/executions/{execution_id}/logs": Expect("404 200 200 200 200"),
    "GET /v1/executions/{execution_id}/events": Expect("404 200 200 200 200"),
    # It has failed: there is nothing to cancel or to answer. tests/service/executions has those that run.
    "POST /v1/executions/{execution_id}/cancel": Expect("404 403 409 409 409"),
    "POST /v1/executions/{execution_id}/retry": Expect("404 403 202 202 202"),
    "POST /v1/executions/{execution_id}/resume": Expect("404 403 409 409 409", {"reply": 1}),
    "POST /v1/credentials": Expect(
        "404 403 403 201 201", {"name": "new", "kind": "bearer", "value": {"token": "t"}, "team_id": TEAM}
    ),
    "GET /v1/credentials": Expect("200 200 200 200 200"),
    "GET /v1/credentials/{credential_id}": Expect("404 404 200 200 200"),
    "PATCH /v1/credentials/{credential_id}": Expect("404 404 403 200 200", {"name": "changed"}),
    "DELETE /v1/credentials/{credential_id}": Expect("404 404 403 204 204"),
    "GET /v1/templates": Expect("200 200 200 200 200"),
    "GET /v1/templates/{template_id}": Expect("404 404 404 404 200", owners=True),
    "POST /v1/templates": Expect("404 403 201 201 201", {"workflow_id": "{workflow_id}"}),
    "PATCH /v1/templates/{template_id}": Expect("404 404 404 404 200", {"name": "changed"}, owners=True),
    "DELETE /v1/templates/{template_id}": Expect("404 404 404 404 204", owners=True),
    "POST /v1/templates/{template_id}/clone": Expect("404 404 404 404 201", {}, owners=True),
    # Nobody rates their own, and there is nothing to take back: tests/service/templates.
    "PUT /v1/templates/{template_id}/rating": Expect("404 404 404 404 403", {"stars": 5}, owners=True),
    "DELETE /v1/templates/{template_id}/rating": Expect("404 404 404 404 404", owners=True),
    # The body is multipart, which no row sends: whoever may upload is told so. tests/service/openai_api has the team's.
    "POST /v1/files": Expect("400 400 400 400 400"),
    "GET /v1/files": Expect("200 200 200 200 200"),
    "GET /v1/files/{file_id}": Expect("404 200 200 200 200"),
    "GET /v1/files/{file_id}/content": Expect("404 200 200 200 200"),
    "DELETE /v1/files/{file_id}": Expect("404 403 200 200 200"),
    "POST /v1/vector_stores": Expect(
        "404 403 200 200 200", {"name": "x"}, headers={"X-Docsearch-Team": TEAM}
    ),
    "GET /v1/vector_stores": Expect("200 200 200 200 200"),
    "GET /v1/vector_stores/{vector_store_id}": Expect("404 200 200 200 200"),
    "POST /v1/vector_stores/{vector_store_id}": Expect("404 403 200 200 200", {"name": "x"}),
    "DELETE /v1/vector_stores/{vector_store_id}": Expect("404 403 200 200 200"),
    "POST /v1/vector_stores/{vector_store_id}/search": Expect("404 200 200 200 200", {"query": "hall"}),
    "POST /v1/vector_stores/{vector_store_id}/files": Expect("404 403 200 200 200", {"file_id": "{file_id}"}),
    "GET /v1/vector_stores/{vector_store_id}/files": Expect("404 200 200 200 200"),
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}": Expect("404 200 200 200 200"),
    "POST /v1/vector_stores/{vector_store_id}/files/{file_id}": Expect(
        "404 403 200 200 200", {"attributes": {"a": 1}}
    ),
    "DELETE /v1/vector_stores/{vector_store_id}/files/{file_id}": Expect("404 403 200 200 200"),
    "GET /v1/vector_stores/{vector_store_id}/files/{file_id}/content": Expect("404 200 200 200 200"),
    "POST /v1/vector_stores/{vector_store_id}/file_batches": Expect(
        "404 403 200 200 200", {"file_ids": ["{file_id}"]}
    ),
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}": Expect("404 200 200 200 200"),
    "POST /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel": Expect("404 403 200 200 200"),
    "GET /v1/vector_stores/{vector_store_id}/file_batches/{batch_id}/files": Expect("404 200 200 200 200"),
}
"""Routes that need credentials. A route of the OpenAPI document without a row here fails the tests."""

ALSO_NEEDED = {"conversations:write": ("search",)}
"""Asking in a conversation looks into documents, which takes the scope for that as well."""

OTHER_ERRORS = (
    "/v1/files",
    "/v1/vector_stores",
    "/v1/chat/",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/models",
    "/dify",
)


def error_type(route: str) -> str:
    """Return what kind of content a route's errors are: OpenAI's clients and Dify read JSON of other shapes."""
    other = route.split(" ", 1)[1].startswith(OTHER_ERRORS)
    return "application/json" if other else "application/problem+json"


OPEN = {route for route, scope in ROUTES.items() if scope is None}


@dataclass(slots=True)
class World:
    service: Service
    team_id: str
    owner_id: str
    actor_id: str
    actor_email: str
    key: str
    ids: dict[str, str] = field(default_factory=dict)
    """A fresh one of whatever a path may name."""

    @property
    def people(self) -> list[str]:
        """Those whose things nobody else may touch; the actor is one of them where they are the owner."""
        return [self.owner_id, self.ids["user_id"]]

    def send(self, route: str, expect: Expect, key: str | None = "") -> httpx.Response:
        """Send the request of a route as the actor, with another key, or with none for None."""
        method, path = route.split(" ", 1)
        names = self.ids | {"team_id": self.team_id, "actor_email": self.actor_email}
        with self.service.client(self.key if key == "" else key) as client:
            content = _fill(json.dumps(expect.body), names) if expect.body is not None else None
            headers = {name: _fill(value, names) for name, value in expect.headers.items()}
            if content:
                headers["Content-Type"] = "application/json"
            request = client.build_request(
                method, _fill(path + expect.query, names), content=content, headers=headers
            )
            reply = client.send(request, stream=True)
            # A stream of events goes on for as long as somebody listens: its status and its first words will do.
            if reply.headers.get("content-type", "").startswith("text/event-stream"):
                reply.close()
            else:
                reply.read()
            return reply

    def snapshot(self) -> str:
        """Return a digest of all that belongs to the team and its people."""
        digest: str = self.service.call(_snapshot(self))
        return digest

    def secrets(self) -> list[str]:
        """What no stranger may be told: all but the AI models, which are there for everybody, and a word."""
        theirs = [
            id_
            for name, id_ in self.ids.items()
            if name not in {"model_id", "model_name", "kind", "version", "node_id"}
        ]
        return [MARK, MODEL_MARK, self.team_id, self.owner_id, *theirs]


def _fill(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace("{" + name + "}", value)
    return text


def make_world(service: Service, role: str, scopes: list[str] | None = None) -> World:
    """Return a new world in which the actor has a role in the team, or none."""
    world: World = service.call(_make_world(service, role, ["admin"] if scopes is None else scopes))
    return world


def key_of(world: World, *, scopes: list[str], state: str = "active") -> str:
    """Return another key of the actor's."""
    key: str = world.service.call(_insert_key(world.service, world.actor_id, scopes, state))
    return key


def all_but(scope: str) -> list[str]:
    return [name for name in SCOPES if name not in {scope, "admin"}]


async def _make_world(service: Service, role: str, scopes: list[str]) -> World:
    async with service.runtime.pool.acquire() as conn, conn.transaction():
        owner_id, other_id = await _person(conn), await _person(conn)
        team_id = await _team(conn, {owner_id: "OWNER", other_id: "MEMBER"})
        actor_id = owner_id
        if role != "owner":
            actor_id = await _person(conn, named="actor")
            if role == "outsider":
                await _team(conn, {actor_id: "OWNER"})
            elif role != "stranger":
                await conn.execute(
                    """INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ($1, $2, $3::"TeamRole")""",
                    team_id,
                    actor_id,
                    role.upper(),
                )
        ids = await _things(conn, team_id, owner_id) | {"user_id": other_id}
        email = await conn.fetchval('SELECT "email" FROM "User" WHERE "id" = $1', actor_id)
    storage_key = f"{ids['document_id'][:2]}/{ids['document_id']}"
    await service.runtime.originals.put(storage_key, _parts())
    key = await _insert_key(service, actor_id, scopes, "active")
    return World(service, team_id, owner_id, actor_id, email, key, ids)


async def _parts() -> Any:
    yield MARK.encode()


async def _person(conn: Conn, named: str = MARK) -> str:
    user_id: str = await conn.fetchval(
        """
        INSERT INTO "User" ("clerkId", "email", "firstName", "emailVerified")
        VALUES ($1, $1 || '@example.com', $2, true) RETURNING "id"
        """,
        f"{named}-{uuid4()}",
        named,
    )
    return user_id


async def _team(conn: Conn, members: Mapping[str, str]) -> str:
    team_id: str = await conn.fetchval(
        'INSERT INTO "Team" ("name", "slug") VALUES ($1, $2) RETURNING "id"',
        MARK if len(members) > 1 else "elsewhere",
        f"team-{uuid4()}",
    )
    for user_id, role in members.items():
        await conn.execute(
            """INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ($1, $2, $3::"TeamRole")""",
            team_id,
            user_id,
            role,
        )
    return team_id


async def _things(conn: Conn, team_id: str, owner_id: str) -> dict[str, str]:
    """Make one of each thing that a path may name: the team's, or its owner's."""
    document_id = str(uuid4())
    await conn.execute(
        """
        INSERT INTO "Document" ("id", "userId", "teamId", "title", "content") VALUES ($1, $2, $3, $4, $4)
        """,
        document_id,
        owner_id,
        team_id,
        MARK,
    )
    await conn.execute(
        """
        INSERT INTO ingestion (space_id, document_id, status, error_stage, error_code, error_detail)
        VALUES ($1, $2, 'failed', 'parse', 'no_text', 'none')
        """,
        team_id,
        document_id,
    )
    await conn.execute(
        """
        INSERT INTO original (space_id, document_id, storage_key, filename, media_type, size_bytes, sha256)
        VALUES ($1, $2, $3, 'x.txt', 'text/plain', $4, sha256($5))
        """,
        team_id,
        document_id,
        f"{document_id[:2]}/{document_id}",
        len(MARK),
        MARK.encode(),
    )
    key_id = await conn.fetchval(
        """INSERT INTO "ApiKey" ("userId", "name", "key") VALUES ($1, $2, $3) RETURNING "id" """,
        owner_id,
        MARK,
        str(uuid4()),
    )
    invitation_id = await conn.fetchval(
        """
        INSERT INTO team_invitation (team_id, email, role, invited_by) VALUES ($1, $2, 'MEMBER', $3)
        RETURNING id::text
        """,
        team_id,
        f"{MARK}@example.com",
        owner_id,
    )
    webhook_id = await conn.fetchval(
        """
        INSERT INTO "Webhook" ("userId", "teamId", "url", "secret") VALUES ($1, $2, 'https://example.com/' || $3, $3)
        RETURNING "id"
        """,
        owner_id,
        team_id,
        MARK,
    )
    delivery_id = await conn.fetchval(
        """
        INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body) VALUES ($1, $2, 'ping', $2)
        RETURNING id::text
        """,
        webhook_id,
        MARK,
    )
    notification_id = await conn.fetchval(
        """
        INSERT INTO "Notification" ("userId", "type", "title", "message") VALUES ($1, 'SYSTEM', $2, $2) RETURNING "id"
        """,
        owner_id,
        MARK,
    )
    model_id = await conn.fetchval(
        """
        INSERT INTO "AIModel" ("name", "provider", "modelId", "config")
        VALUES ('A model', 'CUSTOM', $1, jsonb_build_object('apiKey', $2::text, 'endpoint', 'https://' || $2))
        RETURNING "id"
        """,
        str(uuid4()),
        MODEL_MARK,
    )
    message_id = str(uuid4())
    conversation_id = await _conversation(conn, team_id, owner_id, message_id)
    store_id = await conn.fetchval(
        """
        INSERT INTO collection (id, user_id, team_id, name) VALUES ('vs_' || replace($1, '-', ''), $2, $3, $4)
        RETURNING id
        """,
        document_id,
        owner_id,
        team_id,
        MARK,
    )
    await conn.execute(
        "INSERT INTO collection_document (collection_id, space_id, document_id) VALUES ($1, $2, $3)",
        store_id,
        team_id,
        document_id,
    )
    batch_id = await conn.fetchval(
        """
        INSERT INTO collection_batch (id, collection_id, space_id) VALUES (replace($1, 'vs_', 'vsfb_'), $1, $2)
        RETURNING id
        """,
        store_id,
        team_id,
    )
    workflow_id = await _workflow(conn, team_id, owner_id)
    await conn.execute(
        "INSERT INTO budget (subject_kind, subject_id, monthly_limit) VALUES ('team', $1, 10), ('key', $2, 10)",
        team_id,
        key_id,
    )
    return {
        "kind": "team",
        "subject_id": team_id,
        "model_id": model_id,
        "document_id": document_id,
        "conversation_id": conversation_id,
        "template_id": await _template(conn, owner_id),
        "model_name": "extractive",
        "message_id": message_id,
        "file_id": f"file-{document_id}",
        "vector_store_id": store_id,
        "batch_id": batch_id,
        "notification_id": notification_id,
        "key_id": key_id,
        "invitation_id": invitation_id,
        "webhook_id": webhook_id,
        "delivery_id": delivery_id,
        "workflow_id": workflow_id,
        "node_id": "start",
        "execution_id": await _execution(conn, workflow_id, owner_id),
        "credential_id": await _credential(conn, team_id, owner_id),
        "version": "1",
    }


async def _execution(conn: Conn, workflow_id: str, owner_id: str) -> str:
    """Return an execution that has failed."""
    execution_id: str = await conn.fetchval(
        """
        INSERT INTO "WorkflowExecution" ("workflowId", "userId", "status", "inputData", "errorData", "logs", "version")
        VALUES ($1, $2, 'FAILED', to_jsonb($3::text), to_jsonb($3::text),
                ARRAY[jsonb_build_object('event', $3::text)], 1) RETURNING "id"
        """,
        workflow_id,
        owner_id,
        MARK,
    )
    await conn.execute(
        """
        INSERT INTO workflow_run (execution_id, workflow_id, space_id, version, root_id, state, time_left_s)
        SELECT $1, $2, "teamId", 1, $1, 'ended', 60 FROM "Workflow" WHERE "id" = $2
        """,
        execution_id,
        workflow_id,
    )
    return execution_id


async def _credential(conn: Conn, team_id: str, owner_id: str) -> str:
    credential_id: str = await conn.fetchval(
        "INSERT INTO credential (user_id, team_id, name, kind, sealed) VALUES ($1, $2, $3, 'bearer', $3) RETURNING id",
        owner_id,
        team_id,
        MARK,
    )
    return credential_id


async def _workflow(conn: Conn, team_id: str, owner_id: str) -> str:
    """Return a draft of the team's that could be activated, with its first version and its webhook's address."""
    workflow_id: str = await conn.fetchval(
        """
        INSERT INTO "Workflow" ("userId", "teamId", "name", "nodes", "connections")
        VALUES ($1, $2, $3, jsonb_build_array(jsonb_build_object(
            'id', 'start', 'type', 'trigger', 'name', $3::text, 'data', '{"kind": "webhook"}'::jsonb)), '[]')
        RETURNING "id"
        """,
        owner_id,
        team_id,
        MARK,
    )
    await conn.execute(
        """
        INSERT INTO "WorkflowVersion" ("workflowId", "version", "nodes", "connections")
        SELECT "id", 1, "nodes", "connections" FROM "Workflow" WHERE "id" = $1
        """,
        workflow_id,
    )
    await conn.execute(
        """
        INSERT INTO "WorkflowTrigger" ("workflowId", "nodeId", "type", "config", "token", "testToken")
        VALUES ($1, 'start', 'WEBHOOK', '{}', 'token-' || $1, 'test-token-' || $1)
        """,
        workflow_id,
    )
    return workflow_id


async def _template(conn: Conn, owner_id: str) -> str:
    """Return a template that its author has not published."""
    template_id: str = await conn.fetchval(
        """
        INSERT INTO "Template" ("name", "description", "category", "nodes", "connections", "authorId", "authorName")
        VALUES ($1, $1, $1, jsonb_build_array(jsonb_build_object('id', $1::text, 'type', 'trigger')), '[]', $2, $1)
        RETURNING "id"
        """,
        MARK,
        owner_id,
    )
    return template_id


async def _conversation(conn: Conn, team_id: str, owner_id: str, message_id: str) -> str:
    """Return a conversation of the team's with one question and its answer, which has this id."""
    question_id = str(uuid4())
    await ensure_built_in(conn)
    conversation_id: str = await conn.fetchval(
        """
        INSERT INTO "AIConversation" ("userId", "teamId", "modelId", "title", "messages")
        VALUES ($1, $2, 'extractive', $3, ARRAY[
            jsonb_build_object('id', $4::text, 'role', 'user', 'content', $3::text),
            jsonb_build_object('id', $5::text, 'role', 'assistant', 'content', $3::text, 'replyTo', $4::text)])
        RETURNING "id"
        """,
        owner_id,
        team_id,
        MARK,
        question_id,
        message_id,
    )
    await conn.execute(
        """
        INSERT INTO conversation_turn (id, conversation_id, question_id, user_id, team_id, model_id, status, text,
                                       message)
        SELECT $1::uuid, "id", $2::uuid, "userId", "teamId", "modelId", 'complete', $3, "messages"[2]
        FROM "AIConversation" WHERE "id" = $4
        """,
        message_id,
        question_id,
        MARK,
        conversation_id,
    )
    return conversation_id


async def _insert_key(service: Service, user_id: str, scopes: list[str], state: str) -> str:
    key = mint_key()
    async with service.runtime.pool.acquire() as conn:
        await conn.execute(
            """
            INSERT INTO "ApiKey" ("userId", "name", "key", "scopes", "isActive", "expiresAt")
            VALUES ($1, 'actor', $2, $3, $4 <> 'revoked',
                    CASE $4 WHEN 'expired' THEN now() AT TIME ZONE 'UTC' - interval '1 second' END)
            """,
            user_id,
            hash_key(service.settings.signing_secret(), key),
            scopes,
            state,
        )
    return key


async def _snapshot(world: World) -> str:
    """Digest every row of every table that names the team or one of its people, by whatever column."""
    async with world.service.runtime.pool.acquire() as conn:
        digest: str | None = await conn.fetchval(await _digest_all(conn), [world.team_id, *world.people])
    return str(digest)


_DIGESTS: dict[int, str] = {}


async def _digest_all(conn: Conn) -> str:
    """Return one statement over all tables: one after another they would take most of the time of all cases."""
    database: int = await conn.fetchval(
        "SELECT oid::bigint FROM pg_database WHERE datname = current_database()"
    )
    if database not in _DIGESTS:
        tables = await conn.fetch(
            """
            SELECT c.relname AS name FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
              AND c.relname NOT IN ('audit_log', 'rate_limit', 'pgqueuer', 'pgqueuer_log')
            """
        )
        rows = " UNION ALL ".join(
            f"SELECT '{name} ' || (to_jsonb(t) - 'lastUsedAt' - 'embedding')::text FROM \"{name}\" AS t"
            for name in (table["name"] for table in tables)
        )
        _DIGESTS[database] = f"""
            SELECT md5(string_agg(row, '|' ORDER BY row)) FROM ({rows}) AS rows (row)
            WHERE EXISTS (SELECT FROM unnest($1::text[]) AS name WHERE strpos(row, name) > 0)
        """
    return _DIGESTS[database]


async def clear(service: Service) -> None:
    """Delete every world."""
    async with service.runtime.pool.acquire() as conn, conn.transaction():
        for table in (
            '"Template"',
            '"Document"',
            '"Webhook"',
            '"AIConversation"',
            '"Workflow"',
            '"Team"',
            '"User"',
        ):
            await conn.execute(f"DELETE FROM {table}")
        # The built-in one is no world's, and is asked again by the next.
        await conn.execute("""DELETE FROM "AIModel" WHERE "id" <> 'extractive'""")
