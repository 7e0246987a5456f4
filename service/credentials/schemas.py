"""Credentials on the wire: what goes in never comes out."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from db.credentials import Credential as CredentialRow

Kind = Literal["bearer", "basic", "header", "hmac"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253, pattern=r"^(\*\.)?[A-Za-z0-9.:-]+$")]
Hosts = Annotated[list[Host], msgspec.Meta(max_length=50)]


class NewCredential(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """value by kind: bearer {token}, basic {username, password}, header {name, value}, hmac {secret}.

    hosts: where it may be sent, as api.example.com or *.example.com; empty: anywhere.
    """

    name: Name
    kind: Kind
    value: dict[str, Any]
    hosts: Hosts = []
    team_id: str | None = None


class CredentialPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A new value replaces the old one as a whole."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    value: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    hosts: Hosts | msgspec.UnsetType = msgspec.UNSET


class Credential(msgspec.Struct, kw_only=True, frozen=True):
    """All of a credential but what it holds."""

    id: str
    name: str
    kind: Kind
    hosts: list[str]
    team_id: str | None
    user_id: str
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None

    @classmethod
    def from_row(cls, row: CredentialRow) -> "Credential":
        return cls(
            id=row.id,
            name=row.name,
            kind=row.kind,
            hosts=row.hosts,
            team_id=row.team_id,
            user_id=row.user_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
            last_used_at=row.last_used_at,
        )


class CredentialList(msgspec.Struct, kw_only=True, frozen=True):
    data: list[Credential]
