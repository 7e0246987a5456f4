"""Events for webhooks: written down by the transaction that causes them, with the jobs that send them.

A rollback takes both along, and a commit loses neither. Where no webhook wants an event, all it costs is one look
into an index.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from db.jobs import FiredEvent, enqueue_deliveries, enqueue_event
from db.pool import Conn

EventType = Literal[
    "document.ready",
    "document.failed",
    "document.deleted",
    "team.updated",
    "team.deleted",
    "team.member_added",
    "team.member_removed",
    "team.member_role_changed",
    "workflow.completed",
    "workflow.failed",
    "ping",
]
DocumentEvent = Literal["document.ready", "document.failed", "document.deleted"]


async def emit(conn: Conn, space_id: str, event_type: EventType, data: Mapping[str, Any]) -> int:
    """Tell the webhooks of a space, a team's id or a person's, and return how many there are to tell.

    conn acts for the service, in the transaction that causes the event. data holds ids, names and states, never
    text of documents. team.deleted is told before the team is deleted.
    """
    webhooks, _ = await _listening(conn, space_id, event_type)
    if webhooks:
        await _write(conn, webhooks, event_type, data)
        if event_type == "team.deleted":
            await _outlive_team(conn, space_id, webhooks)
    return len(webhooks)


async def emit_document(
    conn: Conn, space_id: str, event_type: DocumentEvent, document_id: str, *, reason: str | None = None
) -> int:
    """Tell the webhooks of a space, and the workflows that wait for such an event, of one of its documents.

    It is looked at only where there is somebody to tell. document.deleted is told before the document is deleted, or
    moved away; reason says which.
    """
    webhooks, has_workflows = await _listening(conn, space_id, event_type)
    if webhooks or has_workflows:
        data = await _describe(conn, space_id, document_id)
        if data is None:
            return 0
        origin = data.pop("origin")
        if event_type == "document.deleted":
            data |= {"status": "deleted", "error": None, "reason": reason or "deleted"}
        if webhooks:
            await _write(conn, webhooks, event_type, data)
        if has_workflows:
            await enqueue_event(
                conn, FiredEvent(f"evt_{uuid.uuid4().hex}", event_type, space_id, data, origin)
            )
    return len(webhooks)


async def emit_to(conn: Conn, webhook_id: str, event_type: EventType, data: Mapping[str, Any]) -> str:
    """Tell one webhook, whatever it wants to hear; return the id of the delivery."""
    (delivery_id,) = await _write(conn, [webhook_id], event_type, data)
    return delivery_id


async def _listening(conn: Conn, space_id: str, event_type: EventType) -> tuple[list[str], bool]:
    """Return the webhooks that want to hear of it, and whether any workflow does."""
    row = await conn.fetchrow(
        """
        SELECT ARRAY(
                   SELECT w."id" FROM "Webhook" w
                   WHERE (w."teamId" = $1 OR w."teamId" IS NULL AND w."userId" = $1)
                     AND w."isActive" AND (w."events" = '{}' OR w."events" IS NULL OR $2 = ANY(w."events"))
               ) AS webhooks,
               EXISTS (
                   SELECT FROM "Workflow" f JOIN "WorkflowTrigger" t ON t."workflowId" = f."id"
                   WHERE (f."teamId" = $1 OR f."teamId" IS NULL AND f."userId" = $1)
                     AND t."type" = 'EVENT' AND t."isActive" AND t."eventType" = $2
               ) AS has_workflows
        """,
        space_id,
        event_type,
    )
    return (list(row["webhooks"]), bool(row["has_workflows"])) if row else ([], False)


async def _describe(conn: Conn, space_id: str, document_id: str) -> dict[str, Any] | None:
    row = await conn.fetchrow(
        """
        SELECT d."id" AS document_id, d."title" AS title, i.status, d."teamId" AS team_id,
               d."sourceType" AS source_type, d."sourceUrl" AS source_url, i.page_count, i.chunk_count, i.token_count,
               i.error_stage, i.error_code, i.error_detail,
               (SELECT o.execution_id FROM workflow_document o WHERE o.document_id = d."id") AS origin
        FROM "Document" d JOIN ingestion i ON i.space_id = d."spaceId" AND i.document_id = d."id"
        WHERE d."spaceId" = $1 AND d."id" = $2
        """,
        space_id,
        document_id,
    )
    if row is None:
        return None
    data = dict(row)
    stage, code, detail = (data.pop(name) for name in ("error_stage", "error_code", "error_detail"))
    return data | {"error": None if code is None else {"stage": stage, "code": code, "detail": detail}}


async def _write(
    conn: Conn, webhooks: Sequence[str], event_type: EventType, data: Mapping[str, Any]
) -> list[str]:
    # The whole of it is written here, and signed and sent as it stands: every attempt sends the same bytes.
    body = msgspec.json.encode({"type": event_type, "timestamp": datetime.now(UTC), "data": dict(data)})
    rows = await conn.fetch(
        """
        INSERT INTO webhook_delivery (webhook_id, event_id, event_type, body, next_attempt_at)
        SELECT webhook_id, $2, $3, $4, now() FROM unnest($1::text[]) AS webhook_id
        RETURNING id::text AS id
        """,
        list(webhooks),
        f"msg_{uuid.uuid4().hex}",
        event_type,
        body.decode(),
    )
    deliveries = [row["id"] for row in rows]
    await enqueue_deliveries(conn, deliveries)
    return deliveries


async def _outlive_team(conn: Conn, team_id: str, webhooks: Sequence[str]) -> None:
    """Leave a team's webhooks to an owner of it, wanting nothing but this: else they would go before it is sent."""
    await conn.execute(
        """
        UPDATE "Webhook" w
        SET "teamId" = NULL, "events" = '{team.deleted}', "updatedAt" = now() AT TIME ZONE 'UTC',
            "userId" = COALESCE((SELECT m."userId" FROM "TeamMember" m WHERE m."teamId" = $1 AND m."role" = 'OWNER'
                                 ORDER BY m."userId" = w."userId" DESC, m."joinedAt", m."id" LIMIT 1), w."userId")
        WHERE w."id" = ANY($2::text[]) AND w."teamId" = $1
        """,
        team_id,
        list(webhooks),
    )
