"""Teams, members and invitations on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from db.audit import AuditRow
from db.invitations import InvitationRow
from db.teams import MemberRow, TeamRow

MAX_NAME_LENGTH = 100
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
SLUG_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$"
Slug = Annotated[str, msgspec.Meta(pattern=SLUG_PATTERN, description="Small letters, digits and hyphens.")]
Email = Annotated[
    str, msgspec.Meta(min_length=3, max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")
]
AnyRole = Literal["OWNER", "ADMIN", "MEMBER", "VIEWER"]


class NewTeam(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A team to make; without a slug, one is made of its name."""

    name: Name
    slug: Slug | None = None


class TeamPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    slug: Slug | msgspec.UnsetType = msgspec.UNSET


class Team(msgspec.Struct, kw_only=True, frozen=True):
    """A team; role is your own in it."""

    id: str
    name: str
    slug: str
    plan: str
    role: str
    member_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: TeamRow) -> "Team":
        return cls(
            id=row.id,
            name=row.name,
            slug=row.slug,
            plan=row.tier,
            role=row.role,
            member_count=row.member_count,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class Member(msgspec.Struct, kw_only=True, frozen=True):
    """A member, as the others see them."""

    user_id: str
    email: str
    first_name: str | None
    last_name: str | None
    image_url: str | None
    role: str
    joined_at: datetime

    @classmethod
    def from_row(cls, row: MemberRow) -> "Member":
        return msgspec.convert(row, cls, from_attributes=True)


class MemberPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Another role."""

    role: AnyRole


class Transfer(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The member who becomes owner; you become an admin."""

    user_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]


class NewInvitation(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Whom to invite, and as what."""

    email: Email
    role: Literal["ADMIN", "MEMBER", "VIEWER"] = "MEMBER"


class Invitation(msgspec.Struct, kw_only=True, frozen=True):
    """An invitation that waits for a person with this address to sign in, or to accept it."""

    id: str
    team_id: str
    team_name: str
    email: str
    role: str
    invited_by: str | None
    created_at: datetime
    expires_at: datetime

    @classmethod
    def from_row(cls, row: InvitationRow) -> "Invitation":
        return msgspec.convert(row, cls, from_attributes=True)


class AuditEntry(msgspec.Struct, kw_only=True, frozen=True):
    """Who (actor_id; key_id where it was a key) did what to which resource."""

    id: int
    at: datetime
    actor: str
    actor_id: str | None
    key_id: str | None
    action: str
    resource_type: str
    resource_id: str
    request_id: str | None
    details: dict[str, Any]

    @classmethod
    def from_row(cls, row: AuditRow) -> "AuditEntry":
        return msgspec.convert(row, cls, from_attributes=True)
