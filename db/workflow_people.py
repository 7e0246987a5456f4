"""The people around a workflow: who may be told by it."""

from collections.abc import Sequence

from db.pool import Conn


async def find_owner(conn: Conn, workflow_id: str) -> str | None:
    """Return whose a workflow is; None for somebody who is not in its team any more."""
    owner: str | None = await conn.fetchval(
        """
        SELECT w."userId" FROM "Workflow" w
        WHERE w."id" = $1 AND (w."teamId" IS NULL OR EXISTS (
            SELECT FROM "TeamMember" m WHERE m."teamId" = w."teamId" AND m."userId" = w."userId"))
        """,
        workflow_id,
    )
    return owner


async def is_in_team(conn: Conn, team_id: str, user_id: str) -> bool:
    found: bool = await conn.fetchval(
        'SELECT EXISTS (SELECT FROM "TeamMember" WHERE "teamId" = $1 AND "userId" = $2)', team_id, user_id
    )
    return found


async def list_people(
    conn: Conn, team_id: str | None, space_id: str, emails: Sequence[str] | None = None
) -> dict[str, str]:
    """Return the people of a space by id, with their addresses in lower case; of some addresses, or all of them.

    They are the members of its team, or the one whose own space it is.
    """
    rows = await conn.fetch(
        """
        SELECT u."id" AS id, lower(u."email") AS email FROM "User" u
        WHERE CASE WHEN $1::text IS NULL THEN u."id" = $2
                   ELSE u."id" IN (SELECT "userId" FROM "TeamMember" WHERE "teamId" = $1) END
          AND ($3::text[] IS NULL OR lower(u."email") = ANY($3))
        ORDER BY u."id"
        """,
        team_id,
        space_id,
        None if emails is None else [email.lower() for email in emails],
    )
    return {row["id"]: row["email"] for row in rows}
