"""Webhooks and deliveries on the wire."""

from datetime import datetime
from typing import Annotated, Any, Self

import msgspec

from db.deliveries import DeliveryRow, DeliveryStatus
from db.webhooks import WebhookRow

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
# Names are checked by the rules of the slice, which can say which there are.
Events = Annotated[list[str], msgspec.Meta(max_length=100)]


class NewWebhook(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Where to send which events; no events means all of them, no team your own."""

    url: Url
    events: Events = []
    description: Description | None = None
    team_id: str | None = None


class WebhookPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; is_active resumes a webhook that was paused, or pauses it."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: Events | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class Webhook(msgspec.Struct, kw_only=True, frozen=True):
    """A webhook, without its secret."""

    id: str
    url: str
    events: list[str]
    description: str | None
    team_id: str | None
    is_active: bool
    total_calls: int
    last_called_at: datetime | None
    failing_since: datetime | None
    paused_at: datetime | None
    pause_reason: str | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: WebhookRow) -> "Webhook":
        return cls(**_fields(row))


class WebhookWithSecret(Webhook, kw_only=True, frozen=True):
    """A webhook with the secret that its receiver verifies with: shown this once."""

    secret: str

    @classmethod
    def with_secret(cls, row: WebhookRow, secret: str) -> "WebhookWithSecret":
        return cls(**_fields(row), secret=secret)


def _fields(row: WebhookRow) -> dict[str, Any]:
    fields = msgspec.structs.asdict(row)
    del fields["user_id"]
    return fields


class Delivery(msgspec.Struct, kw_only=True, frozen=True):
    """An event on its way to a webhook, and how the last attempt went."""

    id: str
    event_id: str
    event_type: str
    status: DeliveryStatus
    attempts: int
    response_status: int | None
    error: str | None
    duration_ms: int | None
    created_at: datetime
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def from_row(cls, row: DeliveryRow) -> Self:
        return cls(**{name: getattr(row, name) for name in cls.__struct_fields__})


class DeliveryDetail(Delivery, kw_only=True, frozen=True):
    """A delivery with what is sent, byte for byte, and the beginning of what was answered."""

    body: str
    response_body: str | None
