"""What starts workflows: a row for each trigger node, found by the token of its address or the event it waits for."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from db.pool import Conn

TriggerType = Literal["WEBHOOK", "SCHEDULE", "MANUAL", "API", "EVENT"]


class TriggerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger node asks for. The tokens are taken where the node has none yet."""

    node_id: str
    type: TriggerType
    config: Mapping[str, Any]
    event_type: str | None
    token: str
    test_token: str
    active: bool


async def sync_triggers(conn: Conn, workflow_id: str, specs: Sequence[TriggerSpec]) -> None:
    """Make a workflow's rows what its nodes say; those without a node, of the web application, stay as they are."""
    await conn.execute(
        """
        WITH gone AS (
            DELETE FROM "WorkflowTrigger"
            WHERE "workflowId" = $1 AND "nodeId" IS NOT NULL AND "nodeId" <> ALL($2::text[])
        )
        INSERT INTO "WorkflowTrigger" ("workflowId", "nodeId", "type", "config", "eventType", "token", "testToken",
                                       "isActive")
        SELECT $1, s.node_id, s.type::"TriggerType", s.config, s.event_type, s.token, s.test_token, s.active
        FROM unnest($2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[], $7::text[], $8::boolean[])
             AS s (node_id, type, config, event_type, token, test_token, active)
        ON CONFLICT ("workflowId", "nodeId") DO UPDATE SET
            "type" = excluded."type", "config" = excluded."config", "eventType" = excluded."eventType",
            "isActive" = excluded."isActive",
            "token" = COALESCE("WorkflowTrigger"."token", excluded."token"),
            "testToken" = COALESCE("WorkflowTrigger"."testToken", excluded."testToken")
        """,
        workflow_id,
        [spec.node_id for spec in specs],
        [spec.type for spec in specs],
        [dict(spec.config) for spec in specs],
        [spec.event_type for spec in specs],
        [spec.token for spec in specs],
        [spec.test_token for spec in specs],
        [spec.active for spec in specs],
    )


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger whose address was called, with its workflow."""

    trigger_id: str
    node_id: str
    config: dict[str, Any]
    workflow_id: str
    user_id: str
    team_id: str | None
    space_id: str
    is_test: bool


async def find_hook(conn: Conn, token: str, *, test: bool) -> Hook | None:
    """Return the active webhook trigger of a token, or that of a test token, active or not."""
    row = await conn.fetchrow(
        """
        SELECT t."id" AS trigger_id, t."nodeId" AS node_id, t."config" AS config, w."id" AS workflow_id,
               w."userId" AS user_id, w."teamId" AS team_id, COALESCE(w."teamId", w."userId") AS space_id,
               $2::boolean AS is_test
        FROM "WorkflowTrigger" t JOIN "Workflow" w ON w."id" = t."workflowId"
        WHERE t."type" = 'WEBHOOK' AND t."nodeId" IS NOT NULL
          AND w."status" <> 'ARCHIVED'
          AND CASE WHEN $2::boolean THEN t."testToken" = $1
              ELSE t."token" = $1 AND t."isActive" AND w."isActive" AND w."status" = 'ACTIVE' END
        """,
        token,
        test,
    )
    return Hook(**row) if row else None


class EventTrigger(msgspec.Struct, frozen=True, kw_only=True):
    trigger_id: str
    node_id: str
    workflow_id: str
    user_id: str


async def list_event_triggers(conn: Conn, space_id: str, event_type: str) -> list[EventTrigger]:
    rows = await conn.fetch(
        """
        SELECT t."id" AS trigger_id, t."nodeId" AS node_id, w."id" AS workflow_id, w."userId" AS user_id
        FROM "WorkflowTrigger" t JOIN "Workflow" w ON w."id" = t."workflowId"
        WHERE (w."teamId" = $1 OR w."teamId" IS NULL AND w."userId" = $1)
          AND t."type" = 'EVENT' AND t."isActive" AND t."eventType" = $2
          AND w."isActive" AND w."status" = 'ACTIVE' AND t."nodeId" IS NOT NULL
        ORDER BY t."id"
        """,
        space_id,
        event_type,
    )
    return [EventTrigger(**row) for row in rows]


class TriggerRow(msgspec.Struct, frozen=True, kw_only=True):
    """As its workflow shows it."""

    id: str
    node_id: str | None
    type: TriggerType
    token: str | None
    test_token: str | None
    event_type: str | None
    is_active: bool


async def list_triggers(conn: Conn, workflow_id: str) -> list[TriggerRow]:
    rows = await conn.fetch(
        """
        SELECT "id" AS id, "nodeId" AS node_id, "type"::text AS type, "token" AS token, "testToken" AS test_token,
               "eventType" AS event_type, "isActive" AS is_active
        FROM "WorkflowTrigger" WHERE "workflowId" = $1 ORDER BY "createdAt", "id"
        """,
        workflow_id,
    )
    return [TriggerRow(**row) for row in rows]


async def note_fired(conn: Conn, trigger_id: str) -> None:
    """Note the time, at most once a second: a busy trigger is no hot row."""
    await conn.execute(
        """
        UPDATE "WorkflowTrigger" SET "lastFiredAt" = now() AT TIME ZONE 'UTC'
        WHERE "id" = $1 AND ("lastFiredAt" IS NULL OR "lastFiredAt" < now() AT TIME ZONE 'UTC' - interval '1 second')
        """,
        trigger_id,
    )


async def find_depth(conn: Conn, execution_id: str) -> tuple[str, int] | None:
    """Return the workflow of an execution, and how deep it was called."""
    row = await conn.fetchrow(
        "SELECT workflow_id, depth FROM workflow_run WHERE execution_id = $1", execution_id
    )
    return (row["workflow_id"], row["depth"]) if row else None
