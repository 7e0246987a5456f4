"""/v1/users/me: one's own account."""

from functools import partial
from http import HTTPStatus

import msgspec
from litestar import Router, delete, get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db import accounts
from db.accounts import Account
from db.deletion import count_remaining
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.accounts.deletion import Erased, LastOwnerOf, LastOwnership, erase
from service.accounts.schemas import Confirmation, DeletionReceipt, Me, MePatch, to_me, to_receipt
from service.audit import audit
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openapi import problems


@get("/", responses=problems(404), summary="One's own account")
async def get_me(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> Me:
    async with as_caller(pool, caller.subject) as conn:
        account = await accounts.find_account(conn, caller.user_id)
    return to_me(_there(account))


@patch("/", responses=problems(404, 409), summary="Change one's own account")
async def patch_me(
    data: JSONBody[MePatch], caller: NamedDependency[Caller], pool: NamedDependency[Pool]
) -> Me:
    """Change what is given. What the identity provider says of the person replaces it when that changes there."""
    async with as_caller(pool, caller.subject) as conn:
        account = await accounts.update_account(
            conn,
            caller.user_id,
            first_name=data.first_name,
            last_name=data.last_name,
            username=data.username,
            image_url=data.image_url,
            onboarding_completed=data.onboarding_completed,
        )
        changed = [name for name in data.__struct_fields__ if getattr(data, name) is not msgspec.UNSET]
        if changed:
            async with as_service(conn):
                await audit(conn, caller, "user.updated", "user", caller.user_id, fields=changed)
    return to_me(_there(account))


@delete("/", status_code=200, responses=problems(404, 409, 422), summary="Delete one's own account")
async def delete_me(
    data: JSONBody[Confirmation], caller: NamedDependency[Caller], pool: NamedDependency[Pool]
) -> DeletionReceipt:
    """Delete the account and everything personal, for good; what belongs to a team goes to an owner of the team."""
    async with as_caller(pool, caller.subject) as conn:
        _check_confirmation(_there(await accounts.find_account(conn, caller.user_id)), data.confirm)
        async with as_service(conn):
            try:
                erased = await erase(conn, caller.user_id, LastOwnership.REFUSE, partial(audit, conn, caller))
            except LastOwnerOf as exc:
                raise _last_owner(exc) from exc
    async with pool.acquire() as conn:
        remaining = await count_remaining(conn, caller.user_id)
    return to_receipt(_erased(erased), remaining)


def _there(account: Account | None) -> Account:
    if account is None:  # deleted since the guard found them
        raise not_found("account")
    return account


def _erased(erased: Erased | None) -> Erased:
    if erased is None:
        raise not_found("account")
    return erased


def _check_confirmation(account: Account, confirm: str) -> None:
    wanted = account.address or account.id
    if confirm.strip().lower() != wanted.lower():
        what = "e-mail address" if account.address else "id"
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"This deletes the account for good: repeat its {what} in confirm.",
        )


def _last_owner(exc: LastOwnerOf) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        f"You are the only owner of {exc}: make another member an owner first, or delete the team.",
        teams=[{"id": team.team_id, "name": team.name} for team in exc.teams],
    )


accounts_router = Router("/v1/users/me", route_handlers=[get_me, patch_me, delete_me], tags=["account"])
