"""Teams and their members. A team with members always has an owner: a trigger holds it (migration 0005)."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from db.pool import Conn


class TeamRow(msgspec.Struct, frozen=True, kw_only=True):
    """role is the asker's own in the team."""

    id: str
    name: str
    slug: str
    tier: str
    role: str
    member_count: int
    created_at: datetime
    updated_at: datetime


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    user_id: str
    email: str
    first_name: str | None
    last_name: str | None
    image_url: str | None
    role: str
    joined_at: datetime


class Cursor(NamedTuple):
    """The last row of a page of teams: newest first, ties by id."""

    created_at: datetime
    id: str


_SELECT = """
SELECT t."id" AS id, t."name" AS name, t."slug" AS slug, t."subscriptionTier"::text AS tier, m."role"::text AS role,
       (SELECT count(*) FROM "TeamMember" o WHERE o."teamId" = t."id") AS member_count,
       t."createdAt" AS created_at, t."updatedAt" AS updated_at
FROM "Team" t JOIN "TeamMember" m ON m."teamId" = t."id" AND m."userId" = $1
"""


async def found_team(conn: Conn, *, name: str, slug: str) -> str:
    """Make a team with the caller of the transaction as its owner; return its id. Raises Taken for a taken slug."""
    team_id: str = await conn.fetchval("SELECT docsearch_found_team($1, $2)", name, slug)
    return team_id


async def set_tier(conn: Conn, team_id: str, tier: str) -> None:
    await conn.execute(
        'UPDATE "Team" SET "subscriptionTier" = $2::"SubscriptionTier" WHERE "id" = $1', team_id, tier
    )


async def count_owned(conn: Conn, user_id: str) -> int:
    """Return how many teams a person owns; who makes several at once takes turns, until the transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('teams of ' || $1, 0))", user_id)
    count: int = await conn.fetchval(
        """SELECT count(*) FROM "TeamMember" WHERE "userId" = $1 AND "role" = 'OWNER'""", user_id
    )
    return count


async def find_team(conn: Conn, user_id: str, team_id: str) -> TeamRow | None:
    """Return a team that the person is a member of."""
    row = await conn.fetchrow(_SELECT + 'WHERE t."id" = $2', user_id, team_id)
    return None if row is None else TeamRow(**row)


async def list_teams(conn: Conn, user_id: str, *, limit: int, after: Cursor | None) -> list[TeamRow]:
    """Return up to limit of a person's teams, newest first."""
    rows = await conn.fetch(
        _SELECT
        + """
        WHERE $2::timestamptz IS NULL OR (t."createdAt", t."id") < ($2::timestamptz AT TIME ZONE 'UTC', $3::text)
        ORDER BY t."createdAt" DESC, t."id" DESC LIMIT $4
        """,
        user_id,
        after.created_at if after else None,
        after.id if after else None,
        limit,
    )
    return [TeamRow(**row) for row in rows]


async def slugs_like(conn: Conn, slug: str) -> set[str]:
    """Return the slugs in use that are this one, or this one with a number after it."""
    rows = await conn.fetch(
        """SELECT "slug" FROM "Team" WHERE "slug" = $1 OR "slug" ~ ('^' || $1 || '-[0-9]+$')""", slug
    )
    return {row["slug"] for row in rows}


async def update_team(conn: Conn, team_id: str, *, name: str | None, slug: str | None) -> bool:
    """Change what is given; False where the team is not there. Raises Taken for a slug that is taken."""
    tag: str = await conn.execute(
        'UPDATE "Team" SET "name" = COALESCE($2, "name"), "slug" = COALESCE($3, "slug") WHERE "id" = $1',
        team_id,
        name,
        slug,
    )
    return tag == "UPDATE 1"


async def delete_team(conn: Conn, team_id: str) -> bool:
    """Delete a team; its documents, workflows and conversations return to the people whose they are."""
    tag: str = await conn.execute('DELETE FROM "Team" WHERE "id" = $1', team_id)
    return tag == "DELETE 1"


async def list_members(conn: Conn, team_id: str) -> list[MemberRow]:
    """Return the members of a team of the caller's, owners first, then as they joined."""
    rows = await conn.fetch(
        """
        SELECT user_id, email, first_name, last_name, image_url, role::text AS role, joined_at
        FROM docsearch_team_members($1) ORDER BY docsearch_team_members.role, joined_at, user_id
        """,
        team_id,
    )
    return [MemberRow(**row) for row in rows]


async def member_ids(conn: Conn, team_id: str, roles: Sequence[str]) -> list[str]:
    """Return who has one of these roles in a team, the longest-standing first."""
    rows = await conn.fetch(
        """
        SELECT "userId" FROM "TeamMember" WHERE "teamId" = $1 AND "role"::text = ANY($2::text[])
        ORDER BY "joinedAt", "id"
        """,
        team_id,
        list(roles),
    )
    return [row["userId"] for row in rows]


async def lock_and_count(conn: Conn, team_id: str) -> int:
    """Return how many members a team has, and hold it until the transaction ends: who leaves at once takes turns."""
    await conn.execute('SELECT FROM "Team" WHERE "id" = $1 FOR NO KEY UPDATE', team_id)
    count: int = await conn.fetchval('SELECT count(*) FROM "TeamMember" WHERE "teamId" = $1', team_id)
    return count


async def member_role(conn: Conn, team_id: str, user_id: str) -> str | None:
    role: str | None = await conn.fetchval(
        'SELECT "role"::text FROM "TeamMember" WHERE "teamId" = $1 AND "userId" = $2', team_id, user_id
    )
    return role


async def insert_member(conn: Conn, team_id: str, user_id: str, role: str) -> bool:
    """Add a member, as the service; False for one who is a member already, whose role stays."""
    tag: str = await conn.execute(
        """
        INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ($1, $2, $3::"TeamRole")
        ON CONFLICT ("teamId", "userId") DO NOTHING
        """,
        team_id,
        user_id,
        role,
    )
    return tag == "INSERT 0 1"


async def set_role(conn: Conn, team_id: str, user_id: str, role: str) -> bool:
    """Change a member's role; False where no such member may be changed. Raises LastOwner at the commit."""
    tag: str = await conn.execute(
        'UPDATE "TeamMember" SET "role" = $3::"TeamRole" WHERE "teamId" = $1 AND "userId" = $2',
        team_id,
        user_id,
        role,
    )
    return tag == "UPDATE 1"


async def delete_member(conn: Conn, team_id: str, user_id: str) -> bool:
    """Remove a member; False where no such member may be removed. Raises LastOwner at the commit."""
    tag: str = await conn.execute(
        'DELETE FROM "TeamMember" WHERE "teamId" = $1 AND "userId" = $2', team_id, user_id
    )
    return tag == "DELETE 1"
