"""Plans and usage on the wire."""

from datetime import date, datetime
from typing import Annotated

import msgspec

from db.budgets import BudgetRow, Kind
from db.plans import PlanRow
from db.usage import UsageSum


class Allowance(msgspec.Struct, kw_only=True, frozen=True):
    """Of one thing: how much is used, and how much there may be; null is no limit."""

    used: int
    limit: int | None
    resets_at: datetime | None


class PlanReply(msgspec.Struct, kw_only=True, frozen=True):
    """A plan; effective_tier is what the subscription is worth today.

    Requests are those that the caller may send, whosever plan it is; null is no limit.
    """

    tier: str
    effective_tier: str
    status: str
    ends_at: datetime | None
    storage_bytes: Allowance
    workflows: Allowance
    executions: Allowance
    requests_per_minute: int | None
    requests_per_hour: int | None

    @classmethod
    def from_row(
        cls, row: PlanRow, *, requests_per_minute: int | None, requests_per_hour: int | None
    ) -> "PlanReply":
        return cls(
            tier=row.tier,
            effective_tier=row.effective_tier,
            status=row.status,
            ends_at=row.ends_at,
            storage_bytes=Allowance(used=row.storage_used, limit=row.storage_limit, resets_at=None),
            workflows=Allowance(used=row.workflows_used, limit=row.workflow_limit, resets_at=None),
            executions=Allowance(
                used=row.executions_used, limit=row.executions_limit, resets_at=row.executions_reset_at
            ),
            requests_per_minute=requests_per_minute,
            requests_per_hour=requests_per_hour,
        )


class UsageGroup(msgspec.Struct, kw_only=True, frozen=True):
    """What one group comes to; what was not grouped by is null. Cost is in US dollars."""

    day: date | None
    kind: str | None
    team_id: str | None
    key_id: str | None
    requests: int
    tokens: int
    bytes: int
    cost: float

    @classmethod
    def from_sum(cls, found: UsageSum) -> "UsageGroup":
        return cls(
            day=found.day,
            kind=found.kind,
            team_id=found.team_id,
            key_id=found.key_id,
            requests=found.requests,
            tokens=found.tokens,
            bytes=found.size_bytes,
            cost=found.cost,
        )


class UsageReply(msgspec.Struct, kw_only=True, frozen=True):
    """Usage of the UTC days from..to, both included, in groups."""

    from_: date = msgspec.field(name="from")
    to: date
    data: list[UsageGroup]


class NewBudget(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """US dollars a month; 0 stops everything that has a price."""

    monthly_limit: Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]


class Budget(msgspec.Struct, kw_only=True, frozen=True):
    """What AI models may cost in a month of UTC, in US dollars; reserved is set aside for what is under way."""

    kind: Kind
    subject_id: str
    monthly_limit: float
    spent: float
    reserved: float
    resets_at: datetime

    @classmethod
    def from_row(cls, row: BudgetRow) -> "Budget":
        return cls(
            kind=row.kind,
            subject_id=row.subject_id,
            monthly_limit=float(row.monthly_limit or 0),
            spent=float(row.spent),
            reserved=float(row.reserved),
            resets_at=row.resets_at,
        )
