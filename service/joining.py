"""Becoming a member: an invitation meets the person it waits for, at sign-in or because they accept it."""

from db.invitations import InvitationRow, take_invitations
from db.notifications import notify
from db.outbox import emit
from db.pool import Conn
from db.teams import insert_member
from service.audit import audit_system


async def accept_invitations(
    conn: Conn, user_id: str, invitation_id: str | None = None
) -> list[InvitationRow]:
    """Make a person a member by what waits for their verified address, all of it or one invitation.

    conn acts for the service. Running it twice is harmless: an invitation that was taken is gone.
    """
    taken = await take_invitations(conn, user_id, invitation_id)
    for invitation in taken:
        if not await insert_member(conn, invitation.team_id, user_id, invitation.role):
            continue
        await notify(
            conn,
            [user_id],
            "TEAM_INVITE",
            f"You are in {invitation.team_name}",
            f"You have joined the team {invitation.team_name} with the role {invitation.role}.",
            {"team_id": invitation.team_id, "role": invitation.role},
        )
        await emit(
            conn,
            invitation.team_id,
            "team.member_added",
            {"team_id": invitation.team_id, "user_id": user_id, "role": invitation.role},
        )
        await audit_system(
            conn,
            "system",
            "team.member_added",
            "user",
            user_id,
            team_id=invitation.team_id,
            role=invitation.role,
            invited_by=invitation.invited_by,
        )
    return taken
