"""Workflows put into a running service, as the web application would, and their runs waited for."""

from typing import Any

import httpx

from db.tenancy import as_system
from service.engine.definition import read_definition
from service.engine.trigger_rows import sync_triggers
from tests.running import Service
from tests.service.engine.conftest import connect, node

__all__ = ["draw", "node", "run", "tokens_of"]


def draw(
    service: Service,
    nodes: list[dict[str, Any]],
    connections: list[Any],
    *,
    settings: dict[str, Any] | None = None,
    active: bool = True,
    email: str | None = None,
    team_id: str | None = None,
) -> str:
    """Store a workflow of the owner's, or of the person with an address; return its id."""
    edges = [connect(one) for one in connections]

    async def store() -> str:
        async with as_system(service.runtime.pool) as conn:
            workflow_id: str = await conn.fetchval(
                """
                INSERT INTO "Workflow" ("name", "nodes", "connections", "settings", "userId", "teamId", "status",
                                        "isActive")
                SELECT 'Drawn', $1, $2, $3, "id", $4, $5::"WorkflowStatus", $6 FROM "User"
                WHERE CASE WHEN $7::text IS NULL THEN "clerkId" = 'local-owner' ELSE "email" = $7 END
                RETURNING "id"
                """,
                nodes,
                edges,
                settings,
                team_id,
                "ACTIVE" if active else "DRAFT",
                active,
                email,
            )
            await sync_triggers(conn, workflow_id, read_definition(nodes, edges, settings), active=active)
        return workflow_id

    stored: str = service.call(store())
    return stored


def tokens_of(service: Service, workflow_id: str) -> tuple[str, str]:
    """Return the token of a workflow's webhook, and that of its test."""

    async def look() -> tuple[str, str]:
        async with as_system(service.runtime.pool) as conn:
            row = await conn.fetchrow(
                'SELECT "token", "testToken" FROM "WorkflowTrigger" WHERE "workflowId" = $1 '
                """ORDER BY "type" <> 'WEBHOOK' """,
                workflow_id,
            )
        assert row is not None
        return row["token"], row["testToken"]

    found: tuple[str, str] = service.call(look())
    return found


def run(client: httpx.Client, workflow_id: str, data: Any = None, **body: Any) -> dict[str, Any]:
    """Run a workflow to its end and return the execution."""
    reply = client.post(f"/v1/workflows/{workflow_id}/run?wait=30", json={"input": data, **body})
    assert reply.status_code == 200, reply.text
    execution: dict[str, Any] = reply.json()
    return execution
