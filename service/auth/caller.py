"""Who is asking, and what they may see and change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from service.auth.access import PERMISSIONS, SCOPES, Role
from service.errors import Problem, not_found

ALL_SCOPES = frozenset(SCOPES)


@dataclass(frozen=True, slots=True)
class Caller:
    user_id: str
    subject: str
    """Their "clerkId": what the claims of their transactions say (db/tenancy.py)."""
    key_id: str | None
    """The key they came with; None for a person who is signed in."""
    expires_at: datetime | None
    """When that key expires; None for never."""
    scopes: frozenset[str]
    roles: Mapping[str, Role]
    """Their role in each of their teams, by id."""
    is_administrator: bool = False
    """Whether they may change what belongs to nobody and is there for all, such as the AI models."""

    @property
    def own_space(self) -> str:
        return self.user_id

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces that the caller may read: their own, then their teams'."""
        return (self.user_id, *self.roles)

    @property
    def writable_spaces(self) -> tuple[str, ...]:
        """Those of them where the caller may add, change and delete documents."""
        return (self.user_id, *self.teams_with("documents:write"))

    def teams_with(self, permission: str) -> list[str]:
        """Return the teams in which the caller may do something."""
        least = PERMISSIONS[permission]
        return [team_id for team_id, role in self.roles.items() if role.includes(least)]

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def require_administrator(self) -> None:
        """Raise 403 for everybody but the local owner and those of the setting ADMINISTRATORS."""
        if not self.is_administrator:
            raise Problem(
                HTTPStatus.FORBIDDEN,
                "This is for administrators: the local owner, and those whose verified e-mail address is in "
                "ADMINISTRATORS.",
            )

    def require(self, permission: str, team_id: str) -> None:
        """Raise 404 for a team that the caller is not in, 403 where their role does not go so far."""
        role = self.roles.get(team_id)
        if role is None:
            raise not_found("team")
        least = PERMISSIONS[permission]
        if not role.includes(least):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"This needs the role {least} in the team; yours is {role}.",
                required_role=least.value,
            )
