"""Deleting a person: what is theirs goes, what is a team's is handed over to an heir in the team.

Used in the order of this file, within one transaction, by service/accounts/deletion.py. An id of a person stands in
many columns without a foreign key, and a new table adds another: a test walks the catalogue and finds those forgotten.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from db.pool import Conn

_SOMEBODY = "[deleted]"
"""What stands where a person was named."""

# Where somebody who is being deleted has left something in a team: as its member, or from the time when they were.
_INVOLVED = """
    SELECT "teamId" FROM "TeamMember" WHERE "userId" = $1
    UNION SELECT "teamId" FROM "Document" WHERE "userId" = $1
    UNION SELECT "teamId" FROM "Workflow" WHERE "userId" = $1
    UNION SELECT w."teamId" FROM "WorkflowExecution" e JOIN "Workflow" w ON w."id" = e."workflowId"
          WHERE e."userId" = $1
    UNION SELECT "teamId" FROM "AIConversation" WHERE "userId" = $1
    UNION SELECT "teamId" FROM "Webhook" WHERE "userId" = $1
    UNION SELECT team_id FROM collection WHERE user_id = $1
    UNION SELECT team_id FROM credential WHERE user_id = $1
    UNION SELECT "teamId" FROM "UsageLog" WHERE "userId" = $1
    UNION SELECT team_id FROM team_invitation WHERE invited_by = $1
"""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that names somebody in the database."""

    user_id: str
    subject: str
    email: str


class TeamShare(msgspec.Struct, frozen=True, kw_only=True):
    """A team that somebody left something in."""

    team_id: str
    name: str
    role: str | None
    """Theirs; None for a team that they are no longer in."""
    heir_id: str | None
    """Who else is there longest, owners first, then admins, members, viewers; None for nobody."""
    heir_role: str | None


class Removed(NamedTuple):
    documents: int
    storage_keys: list[str]
    """Of the originals, which lie in the object store until somebody deletes them there."""


async def lock_person(conn: Conn, user_id: str) -> Person | None:
    """Keep everybody from giving a person anything new, until the end of the transaction."""
    row = await conn.fetchrow(
        """
        SELECT "id" AS user_id, "clerkId" AS subject, "email" AS email FROM "User" WHERE "id" = $1 FOR UPDATE
        """,
        user_id,
    )
    return None if row is None else Person(**row)


async def lock_teams(conn: Conn, user_id: str) -> list[TeamShare]:
    """Return the teams that somebody left something in; their owners cannot leave meanwhile."""
    await conn.execute(
        f'SELECT FROM "Team" WHERE "id" IN ({_INVOLVED}) ORDER BY "id" FOR NO KEY UPDATE',
        user_id,
    )
    # A statement of its own: it sees what those did for whom the locks had to wait.
    rows = await conn.fetch(
        f"""
        SELECT t."id" AS team_id, t."name" AS name, me."role"::text AS role, heir.user_id AS heir_id,
               heir."role"::text AS heir_role
        FROM "Team" t
        LEFT JOIN "TeamMember" me ON me."teamId" = t."id" AND me."userId" = $1
        LEFT JOIN LATERAL (
            SELECT m."userId" AS user_id, m."role" FROM "TeamMember" m
            WHERE m."teamId" = t."id" AND m."userId" <> $1
            ORDER BY m."role", m."joinedAt", m."id" LIMIT 1
        ) AS heir ON true
        WHERE t."id" IN ({_INVOLVED}) ORDER BY t."id"
        """,  # noqa: S608
        user_id,
    )
    return [TeamShare(**row) for row in rows]


async def promote_to_owner(conn: Conn, team_id: str, user_id: str) -> None:
    await conn.execute(
        'UPDATE "TeamMember" SET "role" = \'OWNER\' WHERE "teamId" = $1 AND "userId" = $2', team_id, user_id
    )


async def hand_over(conn: Conn, user_id: str, heirs: Mapping[str, str]) -> dict[str, int]:
    """Give what somebody has in teams to each team's heir; return how many rows of each kind.

    What they have made goes as when they leave (hand_over, migration 0011). Usage keeps counting for the team, and no
    longer names the key.
    """
    row = await conn.fetchrow(
        """
        WITH heir AS (SELECT * FROM unnest($2::text[], $3::text[]) AS h (team_id, user_id)),
        given AS (SELECT g.* FROM heir, hand_over($1, heir.team_id, heir.user_id) AS g),
        invitations AS (
            UPDATE team_invitation i SET invited_by = heir.user_id FROM heir
            WHERE i.invited_by = $1 AND i.team_id = heir.team_id RETURNING 1
        ),
        usage AS (
            UPDATE "UsageLog" l SET "userId" = heir.user_id, "keyId" = NULL FROM heir
            WHERE l."userId" = $1 AND l."teamId" = heir.team_id RETURNING 1
        )
        SELECT COALESCE(sum(documents), 0)::bigint AS documents, COALESCE(sum(workflows), 0)::bigint AS workflows,
               COALESCE(sum(executions), 0)::bigint AS executions,
               COALESCE(sum(conversations), 0)::bigint AS conversations,
               COALESCE(sum(webhooks), 0)::bigint AS webhooks, (SELECT count(*) FROM invitations) AS invitations,
               COALESCE(sum(collections), 0)::bigint AS collections,
               COALESCE(sum(credentials), 0)::bigint AS credentials, (SELECT count(*) FROM usage) AS usage
        FROM given
        """,
        user_id,
        list(heirs.keys()),
        list(heirs.values()),
    )
    return dict(row or {})


async def anonymise_templates(conn: Conn, user_id: str) -> int:
    """Let published templates stay without their author's name; return how many."""
    tag: str = await conn.execute(
        """
        UPDATE "Template" SET "authorId" = $2, "authorName" = 'Former author' WHERE "authorId" = $1 AND "isPublished"
        """,
        user_id,
        _SOMEBODY,
    )
    return int(tag.rpartition(" ")[2])


async def delete_belongings(conn: Conn, person: Person, team_ids: Sequence[str]) -> dict[str, int]:
    """Delete what is somebody's or belongs to the teams, all but documents; return how many rows of each kind."""
    row = await conn.fetchrow(
        """
        WITH executions AS (
            DELETE FROM "WorkflowExecution" e WHERE e."userId" = $1 OR e."workflowId" IN (
                SELECT "id" FROM "Workflow" WHERE "userId" = $1 OR "teamId" = ANY($3::text[]))
            RETURNING 1
        ),
        conversations AS (
            DELETE FROM "AIConversation" WHERE "userId" = $1 OR "teamId" = ANY($3::text[]) RETURNING 1
        ),
        templates AS (DELETE FROM "Template" WHERE "authorId" = $1 RETURNING 1),
        webhooks AS (DELETE FROM "Webhook" WHERE "userId" = $1 OR "teamId" = ANY($3::text[]) RETURNING 1),
        collections AS (DELETE FROM collection WHERE user_id = $1 OR team_id = ANY($3::text[]) RETURNING 1),
        credentials AS (DELETE FROM credential WHERE user_id = $1 OR team_id = ANY($3::text[]) RETURNING 1),
        ratings AS (DELETE FROM template_rating WHERE user_id = $1 RETURNING 1),
        api_keys AS (DELETE FROM "ApiKey" WHERE "userId" = $1 RETURNING "id"),
        notifications AS (DELETE FROM "Notification" WHERE "userId" = $1 RETURNING 1),
        usage AS (DELETE FROM "UsageLog" WHERE "userId" = $1 RETURNING 1),
        invitations AS (
            DELETE FROM team_invitation WHERE invited_by = $1 OR lower(email) = lower($2) OR team_id = ANY($3::text[])
            RETURNING 1
        ),
        repeats AS (DELETE FROM idempotency_key WHERE user_id = $1),
        turns AS (DELETE FROM conversation_turn WHERE user_id = $1),
        rates AS (
            DELETE FROM rate_limit WHERE subject = 'user:' || $1
                OR subject IN (SELECT 'key:' || "id" FROM "ApiKey" WHERE "userId" = $1)
        )
        SELECT (SELECT count(*) FROM executions) AS executions, (SELECT count(*) FROM conversations) AS conversations,
               (SELECT count(*) FROM templates) AS templates, (SELECT count(*) FROM webhooks) AS webhooks,
               (SELECT count(*) FROM collections) AS collections, (SELECT count(*) FROM credentials) AS credentials,
               (SELECT count(*) FROM ratings) AS ratings, (SELECT count(*) FROM api_keys) AS api_keys,
               (SELECT count(*) FROM notifications) AS notifications,
               (SELECT count(*) FROM usage) AS usage, (SELECT count(*) FROM invitations) AS invitations
        """,
        person.user_id,
        person.email,
        list(team_ids),
    )
    return dict(row or {})


async def delete_workflows(conn: Conn, user_id: str, team_ids: Sequence[str]) -> int:
    tag: str = await conn.execute(
        'DELETE FROM "Workflow" WHERE "userId" = $1 OR "teamId" = ANY($2::text[])', user_id, list(team_ids)
    )
    return int(tag.rpartition(" ")[2])


async def delete_person(conn: Conn, user_id: str) -> int:
    """Delete the account itself; return of how many teams it was a member.

    Before the documents: each of those would count its bytes out of the account's row, a new version of the same
    row for every document.
    """
    memberships: int = await conn.fetchval(
        """
        WITH gone AS (DELETE FROM "User" WHERE "id" = $1)
        SELECT count(*) FROM "TeamMember" WHERE "userId" = $1
        """,
        user_id,
    )
    return memberships


async def delete_documents_of(conn: Conn, user_id: str, team_ids: Sequence[str]) -> Removed:
    """Delete somebody's documents and those of the teams; every trace of them in search goes along."""
    row = await conn.fetchrow(
        """
        WITH kept AS (
            SELECT o.storage_key FROM original o
            JOIN "Document" d ON d."spaceId" = o.space_id AND d."id" = o.document_id
            WHERE d."userId" = $1 OR d."teamId" = ANY($2::text[])
        ),
        gone AS (DELETE FROM "Document" WHERE "userId" = $1 OR "teamId" = ANY($2::text[]) RETURNING 1)
        SELECT (SELECT count(*) FROM gone) AS documents, ARRAY(SELECT storage_key FROM kept) AS storage_keys
        """,
        user_id,
        list(team_ids),
    )
    return Removed(**row) if row is not None else Removed(0, [])


async def delete_teams(conn: Conn, team_ids: Sequence[str]) -> None:
    await conn.execute('DELETE FROM "Team" WHERE "id" = ANY($1::text[])', list(team_ids))


async def delete_term_counts(conn: Conn, space_ids: Sequence[str]) -> None:
    """Delete what is left of the counts of spaces that are no more."""
    await conn.execute("DELETE FROM term_count WHERE space_id = ANY($1::text[])", list(space_ids))


async def unname(conn: Conn, person: Person) -> None:
    """Take somebody's id and address out of what the service told others: notifications, and webhooks' deliveries.

    Reads both tables in full: nothing else looks for names, and people are seldom deleted. Not their subject, which
    is told to nobody, and which some providers make so short that it stands in other words.
    """
    await conn.execute(
        """
        UPDATE "Notification" SET
            "title" = replace(replace("title", $1, $3), $2, $3),
            "message" = replace(replace("message", $1, $3), $2, $3),
            "data" = replace(replace("data"::text, $1, $3), $2, $3)::jsonb
        WHERE strpos(concat("title", "message", "data"::text), $1) > 0
           OR strpos(concat("title", "message", "data"::text), $2) > 0
        """,
        person.user_id,
        person.email,
        _SOMEBODY,
    )
    await conn.execute(
        """
        UPDATE webhook_delivery SET body = replace(replace(body, $1, $3), $2, $3)
        WHERE strpos(body, $1) > 0 OR strpos(body, $2) > 0
        """,
        person.user_id,
        person.email,
        _SOMEBODY,
    )


async def count_remaining(conn: Conn, user_id: str) -> int:
    """Count the rows that are still somebody's, in every table that has an owner; the audit log has none."""
    count: int = await conn.fetchval(
        """
        SELECT sum(n)::bigint FROM (
            SELECT count(*) AS n FROM "User" WHERE "id" = $1
            UNION ALL SELECT count(*) FROM "TeamMember" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "ApiKey" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "Notification" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "UsageLog" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "Workflow" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "WorkflowExecution" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "AIConversation" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "Document" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM "Template" WHERE "authorId" = $1
            UNION ALL SELECT count(*) FROM "Webhook" WHERE "userId" = $1
            UNION ALL SELECT count(*) FROM team_invitation WHERE invited_by = $1
            UNION ALL SELECT count(*) FROM collection WHERE user_id = $1
            UNION ALL SELECT count(*) FROM credential WHERE user_id = $1
            UNION ALL SELECT count(*) FROM template_rating WHERE user_id = $1
            UNION ALL SELECT count(*) FROM workflow_run WHERE space_id = $1
            UNION ALL SELECT count(*) FROM stripe_subscription WHERE user_id = $1
            UNION ALL SELECT count(*) FROM idempotency_key WHERE user_id = $1
            UNION ALL SELECT count(*) FROM conversation_turn WHERE user_id = $1
            UNION ALL SELECT count(*) FROM original WHERE space_id = $1
            UNION ALL SELECT count(*) FROM ingestion WHERE space_id = $1
            UNION ALL SELECT count(*) FROM chunk WHERE space_id = $1
            UNION ALL SELECT count(*) FROM chunk_embedding WHERE space_id = $1
            UNION ALL SELECT count(*) FROM term_count WHERE space_id = $1
        ) AS counted
        """,
        user_id,
    )
    return count
