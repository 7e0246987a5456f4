"""GET /v1/usage and GET /v1/plan: what has been used, and what may be."""

from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Annotated, Literal

from litestar import get
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from db import plans, usage
from db.pool import Pool
from db.tenancy import as_caller
from service.auth.caller import Caller
from service.auth.rates import requests_allowed
from service.errors import Problem, not_found
from service.openapi import problems
from service.usage.schemas import PlanReply, UsageGroup, UsageReply

MAX_DAYS = 366
DEFAULT_DAYS = 30
MAX_GROUPS = 10_000

GroupBy = Literal["day", "kind", "team", "key"]
TeamId = Annotated[str | None, QueryParameter(max_length=100, description="A team's; unset: your own.")]


@get("/v1/usage", tags=["usage"], responses=problems(404, 422), summary="Read usage")
async def read_usage(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    since: Annotated[
        date | None, QueryParameter(name="from", description="First day, UTC; unset: 29 days before `to`.")
    ] = None,
    until: Annotated[
        date | None, QueryParameter(name="to", description="Last day, UTC; unset: today.")
    ] = None,
    group_by: Annotated[
        list[GroupBy] | None, QueryParameter(description="Any of day, kind, team, key.")
    ] = None,
    team_id: TeamId = None,
) -> UsageReply:
    """Return sums of requests, tokens, bytes and cost: your own, or for its admins a team's."""
    if team_id is not None:
        caller.require("usage:read", team_id)
    last = until or datetime.now(UTC).date()
    first = since or _days_before(last, DEFAULT_DAYS - 1)
    if not 0 <= (last - first).days < MAX_DAYS or last == date.max:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"from, to: at most {MAX_DAYS} days, in this order.")
    wanted = set(group_by or ())
    async with as_caller(pool, caller.subject) as conn:
        sums = await usage.sum_usage(
            conn,
            user_id=caller.user_id if team_id is None else None,
            team_id=team_id,
            since=datetime.combine(first, time(), UTC),
            until=datetime.combine(last + timedelta(days=1), time(), UTC),
            by_day="day" in wanted,
            by_kind="kind" in wanted,
            by_team="team" in wanted,
            by_key="key" in wanted,
            limit=MAX_GROUPS,
        )
    return UsageReply(from_=first, to=last, data=[UsageGroup.from_sum(found) for found in sums])


def _days_before(day: date, days: int) -> date:
    return max(day, date.min + timedelta(days=days)) - timedelta(days=days)


@get("/v1/plan", tags=["usage"], responses=problems(404), summary="Read the plan")
async def read_plan(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], state: State, team_id: TeamId = None
) -> PlanReply:
    """Return your plan or a team's: what it allows, what is used, and when what resets does; and your rates."""
    if team_id is not None:
        caller.require("team:read", team_id)
    async with as_caller(pool, caller.subject) as conn:
        row = await (
            plans.find_user_plan(conn, caller.user_id)
            if team_id is None
            else plans.find_team_plan(conn, team_id)
        )
    if row is None:
        raise not_found("account")
    by_key = caller.key_id is not None
    return PlanReply.from_row(
        row,
        requests_per_minute=requests_allowed(state.rate_limits, 60, by_key=by_key),
        requests_per_hour=requests_allowed(state.rate_limits, 3600, by_key=by_key),
    )


usage_routes = [read_usage, read_plan]
