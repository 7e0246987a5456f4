"""Workflows run in the test's own loop, on a real database, without the queue in between."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from db import users
from db.pool import Pool
from db.roles import ensure_login
from db.tenancy import as_system
from service.engine.definition import read_definition
from service.engine.jobs import Workflows, open_workflows
from service.engine.starting import start_execution
from service.engine.trigger_rows import sync_triggers
from service.runtime import Runtime, open_runtime
from service.settings import load_settings
from tests.running import ENCRYPTION_KEY, SECRET, shared_embedder


@dataclass(frozen=True, slots=True)
class Engine:
    """A person with workflows, and what runs them."""

    workflows: Workflows
    runtime: Runtime
    user_id: str

    @property
    def pool(self) -> Pool:
        return self.runtime.pool

    async def draw(
        self,
        nodes: list[dict[str, Any]],
        connections: list[Any],
        *,
        settings: dict[str, Any] | None = None,
        active: bool = True,
        team_id: str | None = None,
    ) -> str:
        """Store a workflow. A connection is "a>b", or "a.handle>b.handle"."""
        edges = [connect(one) for one in connections]
        async with as_system(self.pool) as conn:
            workflow_id: str = await conn.fetchval(
                """
                INSERT INTO "Workflow" ("name", "nodes", "connections", "settings", "userId", "teamId", "status",
                                        "isActive")
                VALUES ('Drawn', $1, $2, $3, $4, $5, $6::"WorkflowStatus", $7) RETURNING "id"
                """,
                nodes,
                edges,
                settings,
                self.user_id,
                team_id,
                "ACTIVE" if active else "DRAFT",
                active,
            )
            await sync_triggers(conn, workflow_id, read_definition(nodes, edges, settings), active=active)
        return workflow_id

    async def start(self, workflow_id: str, data: Any = None, **options: Any) -> str:
        async with as_system(self.pool) as conn:
            started = await start_execution(
                conn,
                **{
                    "workflow_id": workflow_id,
                    "user_id": self.user_id,
                    "triggered_by": "manual",
                    "data": data,
                    "limits": self.workflows.limits,
                    **options,
                },
            )
        assert started is not None
        return started

    async def run(self, workflow_id: str, data: Any = None, **options: Any) -> dict[str, Any]:
        """Start a workflow, drive it once, and return its execution."""
        execution_id = await self.start(workflow_id, data, **options)
        await self.workflows.runner.run(execution_id)
        return await self.execution(execution_id)

    async def execution(self, execution_id: str) -> dict[str, Any]:
        async with self.pool.acquire() as conn:
            row = await conn.fetchrow(
                """
                SELECT e."id" AS id, e."status"::text AS status, e."outputData" AS output, e."errorData" AS error,
                       e."logs" AS logs, e."duration" AS duration, e."inputData" AS input, r.state, r.epoch
                FROM "WorkflowExecution" e LEFT JOIN workflow_run r ON r.execution_id = e."id" WHERE e."id" = $1
                """,
                execution_id,
            )
        assert row is not None
        return dict(row)

    async def drive_all(self) -> None:
        """Take whatever is queued to be run now, until nothing is."""
        while True:
            async with as_system(self.pool) as conn:
                ids = [
                    row["payload"].decode()
                    for row in await conn.fetch(
                        "DELETE FROM pgqueuer WHERE entrypoint = 'run_workflow' AND execute_after <= now() "
                        "RETURNING payload"
                    )
                ]
            if not ids:
                return
            for execution_id in dict.fromkeys(ids):
                await self.workflows.runner.run(execution_id)

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        async with as_system(self.pool) as conn:
            return [dict(row) for row in await conn.fetch(sql, *arguments)]


def connect(text: Any) -> dict[str, Any]:
    if isinstance(text, dict):
        return text
    source, _, target = text.partition(">")
    source, _, leaves_by = source.partition(".")
    target, _, enters_by = target.partition(".")
    edge = {"source": source, "target": target}
    return (
        edge
        | ({"sourceHandle": leaves_by} if leaves_by else {})
        | ({"targetHandle": enters_by} if enters_by else {})
    )


def node(node_id: str, kind: str, data: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": node_id, "type": kind, "data": data or {}, **more}


@asynccontextmanager
async def open_engine(
    database_url: str, home: Path, *, lease: timedelta = timedelta(seconds=15), **settings: Any
) -> AsyncIterator[Engine]:
    loaded = load_settings(
        **{
            "DOCSEARCH_HOME": home,
            "database_url": database_url,
            "secret_key": SECRET,
            "encryption_key": ENCRYPTION_KEY,
            "default_plan": "ENTERPRISE",
            "workflow_allowed_networks": "127.0.0.0/8",
            **settings,
        }
    )
    service_url = await ensure_login(database_url)
    async with (
        open_runtime(loaded, service_url, database_url, embedder=shared_embedder(loaded)) as runtime,
        open_workflows(runtime, lease=lease) as workflows,
    ):
        async with runtime.pool.acquire() as conn, conn.transaction():
            user = await users.create_user(conn, email="ann@example.com", tier=str(loaded.default_plan))
        yield Engine(workflows, runtime, user.id)


@pytest.fixture
async def engine(database_url: str, tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine(database_url, tmp_path / "home") as opened:
        yield opened
