"""Events as Clerk sends them, signed by Svix's own library."""

import json
from datetime import UTC, datetime
from typing import Any

from svix.webhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def user_event(
    kind: str, clerk_id: str = "user_ann", *, at_ms: int = 1_700_000_000_000, **changes: Any
) -> bytes:
    """Return the body of user.created or user.updated; changes are to its data."""
    data: dict[str, Any] = {
        "id": clerk_id,
        "object": "user",
        "primary_email_address_id": "idn_1",
        "email_addresses": [email_address("ann@example.com")],
        "first_name": "Ann",
        "last_name": "Lee",
        "username": None,
        "image_url": "https://img.clerk.com/ann",
        "created_at": 1_600_000_000_000,
        "updated_at": at_ms,
        "public_metadata": {},
    }
    return _event(kind, data | changes, at_ms)


def deletion_event(clerk_id: str = "user_ann", *, at_ms: int = 1_700_000_000_000) -> bytes:
    return _event("user.deleted", {"id": clerk_id, "object": "user", "deleted": True}, at_ms)


def email_address(address: str, address_id: str = "idn_1", status: str = "verified") -> dict[str, Any]:
    return {
        "id": address_id,
        "object": "email_address",
        "email_address": address,
        "linked_to": [],
        "verification": {"status": status, "strategy": "email_code"},
    }


def _event(kind: str, data: dict[str, Any], at_ms: int) -> bytes:
    event = {"object": "event", "type": kind, "data": data, "timestamp": at_ms, "instance_id": "ins_1"}
    return json.dumps(event).encode()


def signed_headers(
    body: bytes,
    *,
    message_id: str = "msg_1",
    secret: str = SECRET,
    sent_at: datetime | None = None,
) -> dict[str, str]:
    sent_at = sent_at or datetime.now(UTC)
    return {
        "svix-id": message_id,
        "svix-timestamp": str(int(sent_at.timestamp())),
        "svix-signature": Webhook(secret).sign(message_id, sent_at, body.decode()),
    }
