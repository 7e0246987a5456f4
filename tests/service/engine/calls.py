"""Turns of single nodes, without the engine: what it would give to them, and what it would do with what they return."""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from db import users
from db.pool import Conn, Pool
from db.roles import ensure_login
from db.tenancy import as_system
from service.engine import services as services_module
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import Call, Emit, Outcome, Respond, RunContext
from service.engine.services import Services
from service.runtime import open_runtime
from service.settings import load_settings
from tests.running import ENCRYPTION_KEY, SECRET, shared_embedder

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

NOWHERE = RunContext(
    execution_id="execution",
    workflow_id="workflow",
    workflow_name="Workflow",
    user_id="user",
    subject="subject",
    team_id=None,
    space_id="user",
    depth=0,
    mode="manual",
    trigger={"data": {}},
    resume_url="http://127.0.0.1:8000/v1/resume/token",
)
"""A run for nodes that touch nothing but items."""


@asynccontextmanager
async def open_services(database_url: str, home: Path, **overrides: Any) -> AsyncIterator[Services]:
    """Open what nodes work with, as the service's own role; requests and models may be on loopback."""
    settings = load_settings(
        **{
            "DOCSEARCH_HOME": home,
            "database_url": database_url,
            "secret_key": SECRET,
            "encryption_key": ENCRYPTION_KEY,
            "workflow_allowed_networks": "127.0.0.0/8",
            "model_allowed_networks": "127.0.0.0/8",
            **overrides,
        }
    )
    async with (
        open_runtime(
            settings, await ensure_login(database_url), database_url, embedder=shared_embedder(settings)
        ) as runtime,
        services_module.open_services(runtime) as services,
    ):
        yield services


async def new_run(
    services: Services, email: str = "owner@example.com", team_id: str | None = None
) -> RunContext:
    """Make a person with a workflow that runs; of a team where one is given."""
    async with as_system(services.pool) as conn:
        user = await users.create_user(conn, email=email)
        return await run_of(conn, user.id, user.clerk_id, team_id)


async def run_of(conn: Conn, user_id: str, subject: str, team_id: str | None = None) -> RunContext:
    workflow_id = await conn.fetchval(
        """
        INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "teamId")
        VALUES ('Workflow', '[]', '[]', $1, $2) RETURNING "id"
        """,
        user_id,
        team_id,
    )
    execution_id = await conn.fetchval(
        """
        INSERT INTO "WorkflowExecution" ("workflowId", "userId", "status") VALUES ($1, $2, 'RUNNING') RETURNING "id"
        """,
        workflow_id,
        user_id,
    )
    return replace(
        NOWHERE,
        execution_id=execution_id,
        workflow_id=workflow_id,
        user_id=user_id,
        subject=subject,
        team_id=team_id,
        space_id=team_id or user_id,
    )


def make_call(
    node_type: str,
    data: Mapping[str, Any],
    *items: Any,
    by_handle: Mapping[str, Sequence[Any]] | None = None,
    run: RunContext = NOWHERE,
    services: Any = None,
    key: str | None = None,
    **fields: Any,
) -> Call[Any]:
    """Return a turn of a node whose data holds no expressions."""
    named = [(name, item) for name, some in (by_handle or {"input": items}).items() for item in some]
    given = [item for _, item in named]
    return Call(
        **{
            "node_id": "node-1",
            "config": msgspec.convert(dict(data), NODE_TYPES[node_type].config),
            "item": given[0] if given else {},
            "items": given,
            "handles": [name for name, _ in named],
            "idempotency_key": key or str(uuid.uuid4()),
            "attempt": 1,
            "now": NOW,
            "run": run,
            "services": services,
            **fields,
        }
    )


async def run_node(node_type: str, data: Mapping[str, Any], *items: Any, **fields: Any) -> Outcome:
    return await NODE_TYPES[node_type].run(make_call(node_type, data, *items, **fields))


async def outputs(
    node_type: str, data: Mapping[str, Any], *items: Any, **fields: Any
) -> list[tuple[str, Any]]:
    """Run a node, commit what it changes, and return what goes on."""
    outcome = await run_node(node_type, data, *items, **fields)
    return await commit(fields.get("services"), outcome)


async def commit(services: Services | None, outcome: Outcome) -> list[tuple[str, Any]]:
    """Do what the engine does at the end of a turn."""
    assert isinstance(outcome, Emit | Respond), outcome
    going = list(outcome.outputs)
    if isinstance(outcome, Emit) and outcome.commit is not None:
        assert services is not None
        async with as_system(services.pool) as conn:
            item = await outcome.commit(conn)
        if item is not None:
            going[0] = (going[0][0], item)
    # Whatever goes on is stored as JSON.
    msgspec.json.encode(going)
    return going


async def one_row(pool: Pool, sql: str, *values: Any) -> tuple[Any, ...]:
    """Return the one row that a query gives."""
    async with pool.acquire() as conn:
        (row,) = await conn.fetch(sql, *values)
    return tuple(row)
