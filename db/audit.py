"""Who did what to which resource. Rows are only added: a trigger refuses everything else."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from db.pool import Conn

Actor = Literal["user", "key", "clerk", "stripe", "operator", "system"]


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    at: datetime
    actor: Actor
    actor_id: str | None
    key_id: str | None
    action: str
    resource_type: str
    resource_id: str
    team_id: str | None
    request_id: str | None
    details: dict[str, Any]


async def insert_audit(
    conn: Conn,
    *,
    actor: Actor,
    actor_id: str | None,
    key_id: str | None,
    action: str,
    resource_type: str,
    resource_id: str,
    team_id: str | None,
    request_id: str | None,
    details: Mapping[str, Any],
) -> None:
    await conn.execute(
        """
        INSERT INTO audit_log
            (actor, actor_id, key_id, action, resource_type, resource_id, team_id, request_id, details)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        """,
        actor,
        actor_id,
        key_id,
        action,
        resource_type,
        resource_id,
        team_id,
        request_id,
        dict(details),
    )


async def list_team_audit(conn: Conn, team_id: str, *, limit: int, before_id: int | None) -> list[AuditRow]:
    """Return up to limit rows of a team, newest first."""
    rows = await conn.fetch(
        """
        SELECT id, at, actor, actor_id, key_id, action, resource_type, resource_id, team_id, request_id, details
        FROM audit_log WHERE team_id = $1 AND ($2::bigint IS NULL OR id < $2)
        ORDER BY id DESC LIMIT $3
        """,
        team_id,
        before_id,
        limit,
    )
    return [AuditRow(**row) for row in rows]
