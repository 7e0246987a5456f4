"""Workflows: rows of "Workflow", whose they are, and what may be changed of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from db.pool import Conn

Status = Literal["DRAFT", "ACTIVE", "PAUSED", "ARCHIVED"]
ExecutionStatus = Literal["RUNNING", "SUCCESS", "FAILED", "CANCELED", "TIMEOUT"]

# One definition of whose workflows one may see; the same as the policies say.
_WHOSE = '(w."teamId" = ANY($2::text[]) OR w."teamId" IS NULL AND w."userId" = $1)'
_PUBLIC = """w."isPublic" AND w."status" = 'ACTIVE'"""
_COLUMNS = """
w."id" AS id, w."userId" AS user_id, w."teamId" AS team_id, w."name" AS name, w."description" AS description,
w."status"::text AS status, w."isActive" AS is_active, w."isPublic" AS is_public, w."category" AS category,
COALESCE(w."tags", '{}') AS tags, w."revision" AS revision,
w."totalExecutions" AS total, w."successfulExecutions" AS successful, w."failedExecutions" AS failed,
w."lastExecutedAt" AS last_executed_at, w."createdAt" AS created_at, w."updatedAt" AS updated_at,
w."publishedAt" AS published_at,
(SELECT max(v."version") FROM "WorkflowVersion" v WHERE v."workflowId" = w."id") AS version
"""
_DRAWN = _COLUMNS + ', w."nodes" AS nodes, w."connections" AS connections, w."settings" AS settings'


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose workflows: a person's own, and these teams'."""

    user_id: str
    team_ids: Sequence[str]

    @property
    def arguments(self) -> tuple[str, list[str]]:
        """The values of $1 and $2."""
        return self.user_id, list(self.team_ids)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    user_id: str
    team_id: str | None
    name: str
    description: str | None
    status: Status
    is_active: bool
    is_public: bool
    category: str | None
    tags: list[str]
    revision: int
    """Goes up with every edit, by whomever."""
    version: int | None
    """The newest; None where the web application made the workflow and it has not run."""
    total: int
    successful: int
    failed: int
    last_executed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None


class WorkflowRow(_Row, frozen=True, kw_only=True):
    nodes: Any
    connections: Any
    settings: Any


class LatestExecution(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: ExecutionStatus
    triggered_by: str | None
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None


class ListedRow(_Row, frozen=True, kw_only=True):
    """As lists show one: without what is drawn."""

    node_count: int
    latest_executions: list[LatestExecution]


class Cursor(NamedTuple):
    """The last row of a page: lists are newest first."""

    created_at: datetime
    id: str


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which workflows of a list; None asks for nothing."""

    status: Status | None = None
    category: str | None = None
    tag: str | None = None
    team_id: str | None = None
    text: str | None = None
    """In name or description."""


async def insert_workflow(
    conn: Conn,
    *,
    user_id: str,
    team_id: str | None,
    name: str,
    description: str | None,
    nodes: Sequence[Any],
    connections: Sequence[Any],
    settings: Any,
    category: str | None,
    tags: Sequence[str],
    is_public: bool,
) -> str:
    workflow_id: str = await conn.fetchval(
        """
        INSERT INTO "Workflow" ("userId", "teamId", "name", "description", "nodes", "connections", "settings",
                                "category", "tags", "isPublic")
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING "id"
        """,
        user_id,
        team_id,
        name,
        description,
        list(nodes),
        list(connections),
        settings,
        category,
        list(tags),
        is_public,
    )
    return workflow_id


async def find_workflow(
    conn: Conn, owners: Owners, workflow_id: str, *, lock: bool = False
) -> WorkflowRow | None:
    """lock holds it until the transaction ends; who may not change it does not find it then."""
    row = await conn.fetchrow(
        f"""
        SELECT {_DRAWN} FROM "Workflow" w WHERE {_WHOSE} AND w."id" = $3 {"FOR NO KEY UPDATE" if lock else ""}
        """,  # noqa: S608 - constants
        *owners.arguments,
        workflow_id,
    )
    return None if row is None else WorkflowRow(**row)


async def list_workflows(
    conn: Conn, owners: Owners, wanted: Wanted, *, limit: int, after: Cursor | None, executions: int
) -> list[ListedRow]:
    """Return up to limit, newest first, each with its latest executions, as many as asked for."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS}, latest.executions AS latest_executions,
               CASE jsonb_typeof(w."nodes") WHEN 'array' THEN jsonb_array_length(w."nodes") ELSE 0 END AS node_count
        FROM "Workflow" w
        -- By (workflowId, startedAt): as many entries of the index as are asked for, for each row of the page.
        CROSS JOIN LATERAL (
            SELECT COALESCE(jsonb_agg(jsonb_build_object(
                'id', e."id", 'status', e."status", 'triggered_by', e."triggeredBy",
                'started_at', e."startedAt" AT TIME ZONE 'UTC', 'finished_at', e."finishedAt" AT TIME ZONE 'UTC',
                'duration_ms', e."duration") ORDER BY e."startedAt" DESC, e."id" DESC), '[]') AS executions
            FROM (
                SELECT "id", "status", "triggeredBy", "startedAt", "finishedAt", "duration"
                FROM "WorkflowExecution" WHERE "workflowId" = w."id"
                ORDER BY "startedAt" DESC, "id" DESC LIMIT $11
            ) e
        ) latest
        WHERE {_WHOSE}
          AND ($3::timestamptz IS NULL OR (w."createdAt", w."id") < ($3::timestamptz AT TIME ZONE 'UTC', $4::text))
          AND ($5::text IS NULL OR w."status"::text = $5)
          AND ($6::text IS NULL OR w."category" = $6)
          AND ($7::text IS NULL OR w."tags" @> ARRAY[$7])
          AND ($8::text IS NULL OR w."teamId" = $8)
          AND ($9::text IS NULL OR strpos(lower(w."name" || ' ' || COALESCE(w."description", '')), lower($9)) > 0)
        ORDER BY w."createdAt" DESC, w."id" DESC LIMIT $10
        """,  # noqa: S608 - constants
        *owners.arguments,
        after and after.created_at,
        after and after.id,
        wanted.status,
        wanted.category,
        wanted.tag,
        wanted.team_id,
        wanted.text,
        limit,
        executions,
    )
    return [_listed(dict(row)) for row in rows]


def _listed(row: dict[str, Any]) -> ListedRow:
    row["latest_executions"] = msgspec.convert(row["latest_executions"], list[LatestExecution])
    return ListedRow(**row)


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed of a workflow; UNSET stays as it is."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    nodes: Any = msgspec.UNSET
    connections: Any = msgspec.UNSET
    settings: Any = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET
    """With it goes whether it is active; the first time that it is counts as published."""
    is_public: bool | msgspec.UnsetType = msgspec.UNSET
    category: str | msgspec.UnsetType | None = msgspec.UNSET
    tags: Sequence[str] | msgspec.UnsetType = msgspec.UNSET


async def update_workflow(conn: Conn, workflow_id: str, changes: Changes) -> None:
    """Change a workflow that was found and is held."""
    given = {name for name in changes.__struct_fields__ if getattr(changes, name) is not msgspec.UNSET}
    values = {name: getattr(changes, name) if name in given else None for name in changes.__struct_fields__}
    await conn.execute(
        """
        UPDATE "Workflow" SET
            "name" = CASE WHEN 'name' = ANY($2::text[]) THEN $3 ELSE "name" END,
            "description" = CASE WHEN 'description' = ANY($2) THEN $4 ELSE "description" END,
            "nodes" = CASE WHEN 'nodes' = ANY($2) THEN $5::jsonb ELSE "nodes" END,
            "connections" = CASE WHEN 'connections' = ANY($2) THEN $6::jsonb ELSE "connections" END,
            "settings" = CASE WHEN 'settings' = ANY($2) THEN $7::jsonb ELSE "settings" END,
            "status" = CASE WHEN 'status' = ANY($2) THEN $8::text::"WorkflowStatus" ELSE "status" END,
            "isActive" = CASE WHEN 'status' = ANY($2) THEN $8 = 'ACTIVE' ELSE "isActive" END,
            "publishedAt" = CASE WHEN $8 = 'ACTIVE' THEN COALESCE("publishedAt", now() AT TIME ZONE 'UTC')
                            ELSE "publishedAt" END,
            "isPublic" = CASE WHEN 'is_public' = ANY($2) THEN $9::boolean ELSE "isPublic" END,
            "category" = CASE WHEN 'category' = ANY($2) THEN $10 ELSE "category" END,
            "tags" = CASE WHEN 'tags' = ANY($2) THEN $11::text[] ELSE "tags" END
        WHERE "id" = $1
        """,
        workflow_id,
        list(given),
        values["name"],
        values["description"],
        values["nodes"],
        values["connections"],
        values["settings"],
        values["status"],
        values["is_public"],
        values["category"],
        values["tags"],
    )


async def delete_workflow(conn: Conn, workflow_id: str) -> None:
    """Delete a workflow that was found, with its versions and executions."""
    await conn.execute('DELETE FROM "Workflow" WHERE "id" = $1', workflow_id)


class PublicRow(msgspec.Struct, frozen=True, kw_only=True):
    """What everybody may see of a public workflow; the nodes still have what is secret in them."""

    id: str
    name: str
    description: str | None
    category: str | None
    tags: list[str]
    nodes: Any
    connections: Any
    settings: Any
    created_at: datetime
    updated_at: datetime


_PUBLIC_COLUMNS = """
w."id" AS id, w."name" AS name, w."description" AS description, w."category" AS category,
COALESCE(w."tags", '{}') AS tags, w."createdAt" AS created_at, w."updatedAt" AS updated_at
"""


async def find_public(conn: Conn, workflow_id: str) -> PublicRow | None:
    """Return a workflow that is public and active, whosever it is; conn is the system's."""
    row = await conn.fetchrow(
        f"""
        SELECT {_PUBLIC_COLUMNS}, w."nodes" AS nodes, w."connections" AS connections, w."settings" AS settings
        FROM "Workflow" w WHERE {_PUBLIC} AND w."id" = $1
        """,  # noqa: S608 - constants
        workflow_id,
    )
    return None if row is None else PublicRow(**row)


class PublicListedRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str | None
    category: str | None
    tags: list[str]
    node_count: int
    created_at: datetime
    updated_at: datetime


async def list_public(
    conn: Conn, wanted: Wanted, *, limit: int, after: Cursor | None
) -> list[PublicListedRow]:
    """Return up to limit public workflows that are active, newest first; conn is the system's."""
    rows = await conn.fetch(
        f"""
        SELECT {_PUBLIC_COLUMNS},
               CASE jsonb_typeof(w."nodes") WHEN 'array' THEN jsonb_array_length(w."nodes") ELSE 0 END AS node_count
        FROM "Workflow" w
        WHERE {_PUBLIC}
          AND ($1::timestamptz IS NULL OR (w."createdAt", w."id") < ($1::timestamptz AT TIME ZONE 'UTC', $2::text))
          AND ($3::text IS NULL OR w."category" = $3)
          AND ($4::text IS NULL OR w."tags" @> ARRAY[$4])
          AND ($5::text IS NULL OR strpos(lower(w."name" || ' ' || COALESCE(w."description", '')), lower($5)) > 0)
        ORDER BY w."createdAt" DESC, w."id" DESC LIMIT $6
        """,  # noqa: S608 - constants
        after and after.created_at,
        after and after.id,
        wanted.category,
        wanted.tag,
        wanted.text,
        limit,
    )
    return [PublicListedRow(**row) for row in rows]
