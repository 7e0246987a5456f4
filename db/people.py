"""The people of a space: its person, or the members of its team."""

from collections.abc import Sequence

from db.pool import Conn


async def find_members(conn: Conn, space_id: str, emails: Sequence[str] | None) -> list[str]:
    """Return the ids of all of them, or of those with one of these verified addresses, in small letters."""
    rows = await conn.fetch(
        """
        SELECT u."id" FROM "User" u
        WHERE (u."id" = $1 OR EXISTS (SELECT FROM "TeamMember" m WHERE m."teamId" = $1 AND m."userId" = u."id"))
          AND ($2::text[] IS NULL OR lower(u."email") = ANY($2) AND u."emailVerified")
        ORDER BY u."id"
        """,
        space_id,
        None if emails is None else list(emails),
    )
    return [row["id"] for row in rows]
