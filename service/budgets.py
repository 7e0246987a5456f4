"""Budgets at work: what an act may cost is set aside before it begins, or it is refused.

        reserve ──► the act ──► its usage entry, which names the reservation: counted, and given back
                        └─────► release, where nothing came of it

A reservation that nobody settles stands for an hour (migration 0010), so that none is lost for good.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from uuid import UUID

import msgspec

from db import budgets
from db.budgets import Subjects
from db.errors import BudgetFacts, BudgetReached
from db.notifications import notify
from db.pool import Conn, Pool
from db.tenancy import as_system
from service.auth.caller import Caller
from service.errors import budget_reached


@dataclass(frozen=True, slots=True)
class Budgets:
    """The budgets of one database."""

    pool: Pool

    async def reserve(self, caller: Caller, team_id: str | None, estimate: float) -> UUID | None:
        """Set aside what an act may cost, in US dollars; None for what costs nothing.

        team_id is the one team whose usage it will be. Whoever gets a reservation names it in the act's UsageEntry, or
        releases it. Raises Problem 402 where the estimate would pass a budget.
        """
        amount = to_dollars(estimate)
        if not amount:
            return None
        try:
            async with as_system(self.pool) as conn:
                reservation = await budgets.reserve(conn, subjects_of(caller, team_id), amount)
                for row in reservation.low:
                    if await budgets.claim_warning(conn, row.kind, row.subject_id):
                        await _tell(conn, row.facts(), "80 % of a monthly budget is spent")
        except BudgetReached as exc:
            await self._tell_of_stop(exc.facts)
            raise budget_reached(exc.facts) from exc
        return reservation.id

    async def release(self, reservation: UUID | None) -> None:
        """Give back what was set aside for an act that did not take place."""
        if reservation is not None:
            async with self.pool.acquire() as conn:
                await budgets.release(conn, reservation)

    async def _tell_of_stop(self, facts: BudgetFacts) -> None:
        async with as_system(self.pool) as conn:
            if await budgets.claim_stop(conn, facts.kind, facts.subject_id):
                await _tell(conn, facts, "A monthly budget has stopped a request")


_BY = {"user": "", "team": " by the team", "key": " by an API key", "plan": " under the plan"}


async def _tell(conn: Conn, facts: BudgetFacts, title: str) -> None:
    """Notify whose budget it is; as the service."""
    people = await budgets.find_people(conn, facts.kind, facts.subject_id)
    message = (
        f"${facts.spent:,.2f} of ${facts.limit:,.2f} for AI models are spent this month"
        f"{_BY[facts.kind]}. It starts anew at {facts.resets_at:%Y-%m-%d %H:%M} UTC."
    )
    await notify(conn, people, "SYSTEM", title, message, msgspec.to_builtins(facts))


def subjects_of(caller: Caller, team_id: str | None) -> Subjects:
    return Subjects(user_id=caller.user_id, team_id=team_id, key_id=caller.key_id)


def to_dollars(amount: float) -> Decimal:
    """Return an amount as it is counted: to twelve places, upwards, so that what is set aside suffices."""
    return Decimal(repr(amount)).quantize(Decimal("1e-12"), ROUND_CEILING)
