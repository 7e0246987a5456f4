"""The people around a workflow: who may be told by it."""

from collections.abc import Sequence

from db.pool import Conn


async def find_owner(conn: Conn, workflow_id: str) -> str | None:
    owner: str | None = await conn.fetchval('SELECT "userId" FROM "Workflow" WHERE "id" = $1', workflow_id)
    return owner


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
