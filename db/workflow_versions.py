"""Versions of workflows: what their nodes and connections were."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from db.pool import Conn


async def ensure_version(conn: Conn, workflow_id: str, changelog: str | None = None) -> int | None:
    """Return the number of the newest version, made now where nodes or connections are not what it says.

    The web application changes workflows without one. Holds the workflow's row; returns None where it is gone.
    """
    locked = await conn.fetchval('SELECT true FROM "Workflow" WHERE "id" = $1 FOR NO KEY UPDATE', workflow_id)
    if not locked:
        return None
    # A statement of its own: it sees the version of whoever the lock had to wait for.
    number: int = await conn.fetchval(
        """
        WITH newest AS (
            SELECT v."version", v."nodes", v."connections" FROM "WorkflowVersion" v
            WHERE v."workflowId" = $1 ORDER BY v."version" DESC LIMIT 1
        ),
        added AS (
            INSERT INTO "WorkflowVersion" ("workflowId", "version", "nodes", "connections", "changelog")
            SELECT w."id", COALESCE((SELECT "version" FROM newest), 0) + 1, w."nodes", w."connections", $2
            FROM "Workflow" w
            WHERE w."id" = $1 AND NOT EXISTS (
                SELECT FROM newest n WHERE n."nodes" = w."nodes" AND n."connections" = w."connections")
            RETURNING "version"
        )
        SELECT COALESCE((SELECT "version" FROM added), (SELECT "version" FROM newest))
        """,
        workflow_id,
        changelog,
    )
    return number


async def find_start(
    conn: Conn, workflow_id: str, version: int, node_id: str
) -> Literal["there", "disabled", "gone"]:
    """Return how the node that a run is to begin at stands in a version."""
    is_disabled: bool | None = await conn.fetchval(
        """
        SELECT COALESCE(node -> 'disabled' = 'true', false)
        FROM "WorkflowVersion" v,
             jsonb_path_query(v."nodes", '$[*] ? (@.id == $id)', jsonb_build_object('id', $3::text)) AS node
        WHERE v."workflowId" = $1 AND v."version" = $2 LIMIT 1
        """,
        workflow_id,
        version,
        node_id,
    )
    if is_disabled is None:
        return "gone"
    return "disabled" if is_disabled else "there"


class ListedVersion(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    changelog: str | None
    node_count: int
    created_at: datetime


class VersionRow(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    changelog: str | None
    nodes: Any
    connections: Any
    created_at: datetime


async def list_versions(
    conn: Conn, workflow_id: str, *, limit: int, before: int | None
) -> list[ListedVersion]:
    """Return up to limit versions of a workflow that was found, newest first."""
    rows = await conn.fetch(
        """
        SELECT "version" AS version, "changelog" AS changelog, "createdAt" AS created_at,
               CASE jsonb_typeof("nodes") WHEN 'array' THEN jsonb_array_length("nodes") ELSE 0 END AS node_count
        FROM "WorkflowVersion" WHERE "workflowId" = $1 AND ($2::integer IS NULL OR "version" < $2)
        ORDER BY "version" DESC LIMIT $3
        """,
        workflow_id,
        before,
        limit,
    )
    return [ListedVersion(**row) for row in rows]


async def find_version(conn: Conn, workflow_id: str, version: int) -> VersionRow | None:
    row = await conn.fetchrow(
        """
        SELECT "version" AS version, "changelog" AS changelog, "nodes" AS nodes, "connections" AS connections,
               "createdAt" AS created_at
        FROM "WorkflowVersion" WHERE "workflowId" = $1 AND "version" = $2
        """,
        workflow_id,
        version,
    )
    return None if row is None else VersionRow(**row)
