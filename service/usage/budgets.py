"""/v1/budgets: what AI models may cost a person, a team and an API key in a month."""

from decimal import Decimal
from typing import Annotated, Literal

from litestar import Router, delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import api_keys, budgets
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.caller import Caller
from service.errors import not_found
from service.openapi import problems
from service.schemas import Page
from service.usage.schemas import Budget, NewBudget

Kind = Annotated[Literal["user", "team", "key"], PathParameter(description="Whose: user, team or key.")]
SubjectId = Annotated[str, PathParameter(description="The id of the person, team or key.", max_length=100)]


@get("/", responses=problems(), summary="List budgets")
async def list_budgets(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> Page[Budget]:
    """Return the budgets that you work under: yours, your teams', your keys', and what the plans of these allow."""
    async with as_caller(pool, caller.subject) as conn:
        rows = await budgets.list_budgets(conn, caller.user_id, list(caller.roles))
    return Page(data=[Budget.from_row(row) for row in rows], has_more=False, next_cursor=None)


@put("/{kind:str}/{subject_id:str}", responses=problems(404), summary="Set a budget")
async def set_budget(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    kind: Kind,
    subject_id: SubjectId,
    data: JSONBody[NewBudget],
) -> Budget:
    """Set your own budget, that of a key of yours, or of a team that you own. What was spent this month counts."""
    monthly_limit = Decimal(repr(data.monthly_limit))
    async with as_caller(pool, caller.subject) as conn:
        await _require_theirs(conn, caller, kind, subject_id)
        await budgets.set_limit(conn, kind, subject_id, monthly_limit)
        row = await budgets.find_budget(conn, kind, subject_id)
        if row is None:
            raise LookupError("a budget that was set just now")
        await _audit(conn, caller, "budget.set", kind, subject_id, monthly_limit=data.monthly_limit)
    return Budget.from_row(row)


@delete("/{kind:str}/{subject_id:str}", responses=problems(404), summary="Remove a budget")
async def remove_budget(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], kind: Kind, subject_id: SubjectId
) -> None:
    """Take a limit away; what is spent goes on being counted."""
    async with as_caller(pool, caller.subject) as conn:
        await _require_theirs(conn, caller, kind, subject_id)
        if await budgets.find_budget(conn, kind, subject_id) is None:
            raise not_found("budget")
        await budgets.set_limit(conn, kind, subject_id, None)
        await _audit(conn, caller, "budget.removed", kind, subject_id)


async def _require_theirs(conn: Conn, caller: Caller, kind: budgets.Kind, subject_id: str) -> None:
    """Raise 404 for what is somebody else's, 403 for a team that the caller is in and does not own."""
    if kind == "team":
        caller.require("billing:manage", subject_id)
    elif kind == "key":
        if await api_keys.find_api_key(conn, user_id=caller.user_id, key_id=subject_id) is None:
            raise not_found("key")
    elif subject_id != caller.user_id:
        raise not_found("person")


async def _audit(
    conn: Conn, caller: Caller, action: str, kind: str, subject_id: str, **details: float
) -> None:
    async with as_service(conn):
        team_id = subject_id if kind == "team" else None
        await audit(conn, caller, action, kind, subject_id, team_id=team_id, **details)


budgets_router = Router(
    "/v1/budgets", tags=["usage"], route_handlers=[list_budgets, set_budget, remove_budget]
)
