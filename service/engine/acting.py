"""Who a run is: the owner of its space, who may work in this space alone; and what its refusals mean to a node."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from db.errors import BudgetReached, PlanLimitReached
from db.executions import find_key
from ingest.errors import IngestError
from search.answer.model import ModelFailed
from search.errors import SearchError
from service.auth.access import Role
from service.auth.caller import ALL_SCOPES, Caller
from service.engine.errors import NodeError
from service.errors import Problem, budget_reached, plan_limit_reached

if TYPE_CHECKING:
    # Its package imports the node types, which import this.
    from service.engine.nodes.base import RunContext
    from service.engine.services import Services


def caller_of(run: "RunContext") -> Caller:
    """Return the caller that a run acts as: a member of its team, or the owner of a space of their own."""
    is_own = run.team_id is None
    return Caller(
        # In somebody's own space whoever started it works on the owner's behalf, and account.
        user_id=run.space_id if is_own else run.user_id,
        subject=run.subject,
        key_id=None,
        expires_at=None,
        scopes=ALL_SCOPES,
        roles={} if run.team_id is None else {run.team_id: Role.MEMBER},
    )


async def payer_of(services: "Services", run: "RunContext") -> Caller:
    """Return the same caller with the API key that the run was started with, whose budget counts too."""
    async with services.pool.acquire() as conn:
        return replace(caller_of(run), key_id=await find_key(conn, run.execution_id))


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what search, models, budgets and plans refuse with into a NodeError; all else passes."""
    try:
        yield
    except (Problem, ModelFailed, SearchError, IngestError, BudgetReached, PlanLimitReached) as exc:
        raise as_node_error(exc) from exc


def as_node_error(exc: Exception) -> NodeError:
    match exc:
        case ModelFailed():
            return NodeError(
                exc.detail, code="model_failed", retryable=exc.retryable, retry_after_s=exc.retry_after_s
            )
        case IngestError():
            return NodeError(exc.detail, code=exc.code, retryable=exc.retryable)
        case BudgetReached():
            return NodeError(budget_reached(exc.facts).detail, code="budget_reached")
        case PlanLimitReached():
            return NodeError(plan_limit_reached(exc.facts).detail, code="plan_limit")
        case Problem():
            return NodeError(exc.detail, code=_code(exc))
        case _:
            return NodeError(str(exc), code="invalid_query")


def _code(problem: Problem) -> str:
    extra = problem.extra if isinstance(problem.extra, dict) else {}
    if "code" in extra:
        return str(extra["code"])
    return {
        HTTPStatus.NOT_FOUND: "not_found",
        HTTPStatus.PAYMENT_REQUIRED: "plan_limit",
        HTTPStatus.UNPROCESSABLE_ENTITY: "bad_config",
    }.get(HTTPStatus(problem.status_code), "refused")
