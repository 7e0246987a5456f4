"""Invitations: made and withdrawn by those who manage members, answered by the person with the address."""

from http import HTTPStatus
from typing import Annotated

from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import invitations, teams, users
from db.invitations import InvitationRow
from db.notifications import notify
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.joining import accept_invitations
from service.openapi import problems
from service.schemas import Page
from service.teams.limits import MAX_PENDING_INVITATIONS
from service.teams.schemas import Invitation, NewInvitation

TeamId = Annotated[str, PathParameter(description="The team's id.", max_length=100)]
InvitationId = Annotated[str, PathParameter(description="The invitation's id.", max_length=100)]


@post("/{team_id:str}/invitations", responses=problems(404, 409), summary="Invite somebody")
async def invite(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    team_id: TeamId,
    data: JSONBody[NewInvitation],
) -> Invitation:
    """Invite an address; its owner becomes a member when they sign in. A repeat renews it, with the new role, and tells
    nobody again.

    The reply is the same whether somebody with this address is known or not.
    """
    caller.require("members:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        if any(row.email.lower() == data.email.lower() for row in await teams.list_members(conn, team_id)):
            raise Problem(HTTPStatus.CONFLICT, f"{data.email} is a member already.")
        made = await invitations.insert_invitation(
            conn,
            team_id=team_id,
            email=data.email,
            role=data.role,
            invited_by=caller.user_id,
            limit=MAX_PENDING_INVITATIONS,
        )
        async with as_service(conn):
            row = made or await invitations.renew_invitation(
                conn, team_id=team_id, email=data.email, role=data.role, invited_by=caller.user_id
            )
            if row is None:
                raise Problem(
                    HTTPStatus.CONFLICT,
                    f"{MAX_PENDING_INVITATIONS} invitations wait already: withdraw some first.",
                )
            if made is not None:
                await _tell(conn, made)
            await audit(
                conn,
                caller,
                "team.invited",
                "invitation",
                row.id,
                team_id=team_id,
                email=row.email,
                role=row.role,
            )
    return Invitation.from_row(row)


async def _tell(conn: Conn, invitation: InvitationRow) -> None:
    """Notify whoever has the address, if anybody; of one team not more than once a day, or it could pester them."""
    known = await users.find_by_verified_email(conn, invitation.email)
    if known is None or await invitations.was_told_today(conn, known.id, invitation.team_id):
        return
    await notify(
        conn,
        [known.id],
        "TEAM_INVITE",
        f"You are invited to {invitation.team_name}",
        f"The team {invitation.team_name} invites you as {invitation.role}.",
        {"team_id": invitation.team_id, "invitation_id": invitation.id, "role": invitation.role},
    )


@get("/{team_id:str}/invitations", responses=problems(404), summary="List a team's invitations")
async def list_invitations(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId
) -> Page[Invitation]:
    """Return the invitations that wait for an answer, newest first."""
    caller.require("members:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        rows = await invitations.list_invitations(conn, team_id)
    return Page(data=[Invitation.from_row(row) for row in rows], has_more=False, next_cursor=None)


@delete(
    "/{team_id:str}/invitations/{invitation_id:str}",
    responses=problems(404),
    summary="Withdraw an invitation",
)
async def withdraw(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId, invitation_id: InvitationId
) -> None:
    """Withdraw an invitation that nobody has answered yet."""
    caller.require("members:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        gone = await invitations.delete_invitation(conn, team_id, invitation_id)
        if gone is None:
            raise not_found("invitation")
        async with as_service(conn):
            await audit(
                conn, caller, "team.invitation_withdrawn", "invitation", invitation_id,
                team_id=team_id, email=gone.email,
            )  # fmt: skip


@get("/", responses=problems(), summary="List invitations to me")
async def list_my_invitations(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool]
) -> Page[Invitation]:
    """Return the invitations that wait for the caller's verified address."""
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        # As the service: the name of a team that one is not in yet is part of the invitation.
        rows = await invitations.list_invitations_to(conn, caller.user_id)
    return Page(data=[Invitation.from_row(row) for row in rows], has_more=False, next_cursor=None)


@post("/{invitation_id:str}/accept", status_code=200, responses=problems(404), summary="Accept an invitation")
async def accept(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], invitation_id: InvitationId
) -> Invitation:
    """Become a member. Who signs in through the identity provider is one without this."""
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        taken = await accept_invitations(conn, caller.user_id, invitation_id)
    if not taken:
        raise not_found("invitation")
    return Invitation.from_row(taken[0])


@post(
    "/{invitation_id:str}/decline", status_code=204, responses=problems(404), summary="Decline an invitation"
)
async def decline(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], invitation_id: InvitationId
) -> None:
    """Refuse an invitation; the team may send another."""
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        taken = await invitations.take_invitations(conn, caller.user_id, invitation_id)
        for row in taken:
            await audit(conn, caller, "team.invitation_declined", "invitation", row.id, team_id=row.team_id)
    if not taken:
        raise not_found("invitation")


invitation_routes = [
    Router("/v1/teams", tags=["teams"], route_handlers=[invite, list_invitations, withdraw]),
    Router("/v1/invitations", tags=["teams"], route_handlers=[list_my_invitations, accept, decline]),
]
