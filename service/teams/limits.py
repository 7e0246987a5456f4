"""How many teams and invitations there may be, so that free plans cannot be stacked nor strangers pestered."""

from http import HTTPStatus

from db.errors import PlanFacts
from db.plans import PlanRow
from service.errors import Problem, plan_limit_reached

MAX_OWNED_TEAMS = 20
MAX_PENDING_INVITATIONS = 100
"""Of one team."""


def require_room_for_team(owned: int) -> None:
    if owned >= MAX_OWNED_TEAMS:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"You own {owned} teams, and {MAX_OWNED_TEAMS} is the most: delete or hand over one first.",
        )


def require_within_plan(plan: PlanRow | None) -> None:
    """Raise 402 for somebody who has more than their plan allows: teams are not a way to add to it.

    A team that is deleted returns its documents to them, limit or not: a new one each time would store without end.
    """
    if plan is None or plan.storage_limit is None or plan.storage_used <= plan.storage_limit:
        return
    raise plan_limit_reached(
        PlanFacts(
            resource="storage",
            tier=plan.effective_tier,
            used=plan.storage_used,
            limit=plan.storage_limit,
            resets_at=None,
        )
    )
