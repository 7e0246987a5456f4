"""/v1/teams/{team_id}/members: list, change roles, remove, leave, hand over."""

from http import HTTPStatus
from typing import Annotated

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import JSONBody, PathParameter

from db import teams
from db.outbox import emit
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.access import Role
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openapi import problems
from service.schemas import Page
from service.teams.schemas import Member, MemberPatch, Transfer

TeamId = Annotated[str, PathParameter(description="The team's id.", max_length=100)]
UserId = Annotated[str, PathParameter(description="The member's user id.", max_length=100)]


@get("/{team_id:str}/members", responses=problems(404), summary="List the members")
async def list_members(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId
) -> Page[Member]:
    """Return all members, owners first."""
    caller.require("team:read", team_id)
    async with as_caller(pool, caller.subject) as conn:
        rows = await teams.list_members(conn, team_id)
    return Page(data=[Member.from_row(row) for row in rows], has_more=False, next_cursor=None)


@patch("/{team_id:str}/members/{user_id:str}", responses=problems(404, 409), summary="Change a member's role")
async def change_role(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    team_id: TeamId,
    user_id: UserId,
    data: JSONBody[MemberPatch],
) -> Member:
    """Give a member another role. Owners are made and unmade by owners."""
    caller.require("members:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        before = await _role_of(conn, team_id, user_id)
        if Role.OWNER in {before, data.role}:
            caller.require("owners:manage", team_id)
        if not await teams.set_role(conn, team_id, user_id, data.role):
            raise not_found("member")
        async with as_service(conn):
            await audit(
                conn, caller, "team.member_role_changed", "user", user_id,
                team_id=team_id, before=before, after=data.role,
            )  # fmt: skip
            await _emit_role(conn, team_id, user_id, data.role)
        found = [row for row in await teams.list_members(conn, team_id) if row.user_id == user_id]
    return Member.from_row(found[0])


@delete(
    "/{team_id:str}/members/{user_id:str}", responses=problems(404, 409), summary="Remove a member, or leave"
)
async def remove_member(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId, user_id: UserId
) -> None:
    """Remove a member; with one's own id, leave. What they put into the team stays the team's."""
    leaving = user_id == caller.user_id
    caller.require("team:read" if leaving else "members:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        role = await _role_of(conn, team_id, user_id)
        if role == Role.OWNER and not leaving:
            caller.require("owners:manage", team_id)
        async with as_service(conn):
            others = await teams.lock_and_count(conn, team_id) - 1
        if others == 0:
            raise Problem(
                HTTPStatus.CONFLICT, "You are the only member: delete the team instead of leaving it."
            )
        if not await teams.delete_member(conn, team_id, user_id):
            raise not_found("member")
        async with as_service(conn):
            await audit(
                conn, caller, "team.member_left" if leaving else "team.member_removed", "user", user_id,
                team_id=team_id, role=role,
            )  # fmt: skip
            await emit(conn, team_id, "team.member_removed", {"team_id": team_id, "user_id": user_id})


@post("/{team_id:str}/transfer", status_code=200, responses=problems(404), summary="Hand a team over")
async def transfer_team(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId, data: JSONBody[Transfer]
) -> Page[Member]:
    """Make another member the owner and become an admin; return the members."""
    caller.require("owners:manage", team_id)
    if data.user_id == caller.user_id:
        raise Problem(HTTPStatus.BAD_REQUEST, "user_id: is your own; name the member who takes over.")
    async with as_caller(pool, caller.subject) as conn:
        before = await _role_of(conn, team_id, data.user_id)
        await teams.set_role(conn, team_id, data.user_id, Role.OWNER)
        await teams.set_role(conn, team_id, caller.user_id, Role.ADMIN)
        async with as_service(conn):
            await audit(
                conn, caller, "team.transferred", "user", data.user_id, team_id=team_id, before=before
            )
            await _emit_role(conn, team_id, data.user_id, Role.OWNER)
            await _emit_role(conn, team_id, caller.user_id, Role.ADMIN)
        rows = await teams.list_members(conn, team_id)
    return Page(data=[Member.from_row(row) for row in rows], has_more=False, next_cursor=None)


async def _emit_role(conn: Conn, team_id: str, user_id: str, role: str) -> None:
    await emit(
        conn, team_id, "team.member_role_changed", {"team_id": team_id, "user_id": user_id, "role": role}
    )


async def _role_of(conn: Conn, team_id: str, user_id: str) -> str:
    role = await teams.member_role(conn, team_id, user_id)
    if role is None:
        raise not_found("member")
    return role


member_routes: list[BaseRouteHandler] = [list_members, change_role, remove_member, transfer_team]
