"""API keys on the wire."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from db.api_keys import ApiKey as ApiKeyRow

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class NewApiKey(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A key to make; expires_in_days null is one that does not expire."""

    name: Name
    scopes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)]
    expires_in_days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None


class ApiKeyPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed: to allow more or longer, make another key."""

    name: Name


class ApiKey(msgspec.Struct, kw_only=True, frozen=True):
    """A key without the key: prefix is how it begins, to tell it from others."""

    id: str
    name: str
    prefix: str | None
    scopes: list[str]
    status: Literal["active", "revoked", "expired"]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def from_row(cls, row: ApiKeyRow) -> "ApiKey":
        return cls(
            id=row.id,
            name=row.name,
            prefix=row.prefix,
            scopes=row.scopes,
            status=status_of(row),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )


class CreatedApiKey(msgspec.Struct, kw_only=True, frozen=True):
    """A new key, shown this once: only a hash of it is kept."""

    key: str
    api_key: ApiKey


def status_of(row: ApiKeyRow) -> Literal["active", "revoked", "expired"]:
    if not row.is_active:
        return "revoked"
    expired = row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return "expired" if expired else "active"
