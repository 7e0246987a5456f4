"""Writing the audit log: in the transaction that does what is written down."""

from typing import Any

import structlog

from db.audit import Actor, insert_audit
from db.pool import Conn
from service.auth.caller import Caller


async def audit(
    conn: Conn,
    caller: Caller,
    action: str,
    resource_type: str,
    resource_id: str,
    *,
    team_id: str | None = None,
    **details: Any,
) -> None:
    """Write down what a caller did; conn acts for the service (db.tenancy.as_service). Details hold no secrets."""
    await insert_audit(
        conn,
        actor="user" if caller.key_id is None else "key",
        actor_id=caller.user_id,
        key_id=caller.key_id,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        team_id=team_id,
        request_id=_request_id(),
        details=details,
    )


async def audit_system(
    conn: Conn,
    actor: Actor,
    action: str,
    resource_type: str,
    resource_id: str,
    *,
    team_id: str | None = None,
    **details: Any,
) -> None:
    """Write down what somebody did who is no caller: the operator, or a provider by a signed event."""
    await insert_audit(
        conn,
        actor=actor,
        actor_id=None,
        key_id=None,
        action=action,
        resource_type=resource_type,
        resource_id=resource_id,
        team_id=team_id,
        request_id=_request_id(),
        details=details,
    )


def _request_id() -> str | None:
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found
