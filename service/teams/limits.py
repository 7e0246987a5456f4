"""How many teams and invitations there may be, so that free plans cannot be stacked nor strangers pestered."""

from http import HTTPStatus

from service.auth.access import Role
from service.auth.caller import Caller
from service.errors import Problem

MAX_OWNED_TEAMS = 20
MAX_PENDING_INVITATIONS = 100
"""Of one team."""


def require_room_for_team(caller: Caller) -> None:
    owned = sum(role is Role.OWNER for role in caller.roles.values())
    if owned >= MAX_OWNED_TEAMS:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"You own {owned} teams, and {MAX_OWNED_TEAMS} is the most: delete or hand over one first.",
        )
