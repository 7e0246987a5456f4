"""Invitations to teams: they wait for a person with a verified address, and become a membership."""

from datetime import datetime

import msgspec

from db.pool import Conn

_SELECT = """
SELECT i.id::text AS id, i.team_id, t."name" AS team_name, i.email, i.role::text AS role, i.invited_by, i.created_at,
       i.expires_at
FROM team_invitation i JOIN "Team" t ON t."id" = i.team_id
"""


class InvitationRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    team_id: str
    team_name: str
    email: str
    role: str
    invited_by: str | None
    created_at: datetime
    expires_at: datetime


async def insert_invitation(
    conn: Conn, *, team_id: str, email: str, role: str, invited_by: str, limit: int
) -> InvitationRow | None:
    """Invite an address; None where an invitation waits for it already, or as many as limit for others.

    Who invites into a team at once takes turns, until the transaction ends.
    """
    # Statements of their own: the next sees what those who held the lock before have committed.
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('invitations of ' || $1::text, 0))", team_id
    )
    await conn.execute(
        "DELETE FROM team_invitation WHERE team_id = $1 AND lower(email) = lower($2) AND expires_at <= now()",
        team_id,
        email,
    )
    invitation_id: str | None = await conn.fetchval(
        """
        INSERT INTO team_invitation (team_id, email, role, invited_by)
        SELECT $1, $2, $3::"TeamRole", $4
        WHERE $5 > (SELECT count(*) FROM team_invitation o WHERE o.team_id = $1 AND o.expires_at > now())
        ON CONFLICT (team_id, lower(email)) DO NOTHING
        RETURNING id::text
        """,
        team_id,
        email,
        role,
        invited_by,
        limit,
    )
    return None if invitation_id is None else await _get(conn, invitation_id)


async def renew_invitation(
    conn: Conn, *, team_id: str, email: str, role: str, invited_by: str
) -> InvitationRow | None:
    """Let an invitation begin anew, with this role: as the service; None where none waits for the address."""
    invitation_id: str | None = await conn.fetchval(
        """
        UPDATE team_invitation
        SET role = $3, invited_by = $4, created_at = now(), expires_at = now() + interval '14 days'
        WHERE team_id = $1 AND lower(email) = lower($2) RETURNING id::text
        """,
        team_id,
        email,
        role,
        invited_by,
    )
    return None if invitation_id is None else await _get(conn, invitation_id)


async def _get(conn: Conn, invitation_id: str) -> InvitationRow:
    row = await conn.fetchrow(_SELECT + "WHERE i.id = $1::uuid", invitation_id)
    if row is None:
        raise LookupError("the invitation vanished inside its own transaction")
    return InvitationRow(**row)


async def was_told_today(conn: Conn, user_id: str, team_id: str) -> bool:
    """Return whether somebody has a notification of the last 24 hours of an invitation to this team; as the service."""
    told: bool = await conn.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM "Notification"
            WHERE "userId" = $1 AND "createdAt" > now() AT TIME ZONE 'UTC' - interval '1 day'
              AND "type" = 'TEAM_INVITE' AND "data" ->> 'team_id' = $2 AND "data" ? 'invitation_id'
        )
        """,
        user_id,
        team_id,
    )
    return told


async def list_invitations(conn: Conn, team_id: str) -> list[InvitationRow]:
    """Return what waits for an answer to a team, newest first."""
    rows = await conn.fetch(
        _SELECT + "WHERE i.team_id = $1 AND i.expires_at > now() ORDER BY i.created_at DESC, i.id", team_id
    )
    return [InvitationRow(**row) for row in rows]


async def list_invitations_to(conn: Conn, user_id: str) -> list[InvitationRow]:
    """Return what waits for a person, by their verified address; the team's name is theirs to know."""
    rows = await conn.fetch(
        _SELECT
        + """
        JOIN "User" u ON u."emailVerified" AND lower(u."email") = lower(i.email)
        WHERE u."id" = $1 AND i.expires_at > now() ORDER BY i.created_at DESC, i.id
        """,
        user_id,
    )
    return [InvitationRow(**row) for row in rows]


async def delete_invitation(conn: Conn, team_id: str, invitation_id: str) -> InvitationRow | None:
    """Withdraw an invitation; None where there is none."""
    row = await conn.fetchrow(
        """
        WITH gone AS (DELETE FROM team_invitation WHERE team_id = $1 AND id::text = $2 RETURNING *)
        SELECT gone.id::text AS id, gone.team_id, t."name" AS team_name, gone.email, gone.role::text AS role,
               gone.invited_by, gone.created_at, gone.expires_at
        FROM gone JOIN "Team" t ON t."id" = gone.team_id
        """,
        team_id,
        invitation_id,
    )
    return None if row is None else InvitationRow(**row)


async def take_invitations(conn: Conn, user_id: str, invitation_id: str | None = None) -> list[InvitationRow]:
    """Remove and return what waits for a person's verified address, all of it or one: as the service, for no policy
    lets an invited person change a team's rows.
    """
    rows = await conn.fetch(
        """
        WITH gone AS (
            DELETE FROM team_invitation i USING "User" u
            WHERE u."id" = $1 AND u."emailVerified" AND lower(u."email") = lower(i.email) AND i.expires_at > now()
              AND ($2::text IS NULL OR i.id::text = $2)
            RETURNING i.*
        )
        SELECT gone.id::text AS id, gone.team_id, t."name" AS team_name, gone.email, gone.role::text AS role,
               gone.invited_by, gone.created_at, gone.expires_at
        FROM gone JOIN "Team" t ON t."id" = gone.team_id
        ORDER BY gone.created_at
        """,
        user_id,
        invitation_id,
    )
    return [InvitationRow(**row) for row in rows]


async def prune_invitations(conn: Conn) -> int:
    """Delete invitations that have expired; return how many."""
    tag: str = await conn.execute("DELETE FROM team_invitation WHERE expires_at < now()")
    return int(tag.rpartition(" ")[2])
