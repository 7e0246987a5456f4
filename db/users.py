"""People: those whom the web application signs in, and the owner of a machine that runs alone."""

from uuid import uuid4

import msgspec

from db.pool import Conn

LOCAL_OWNER_CLERK_ID = "local-owner"
LOCAL_OWNER_EMAIL = "owner@localhost"


class User(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    clerk_id: str
    email: str
    onboarding_completed: bool


async def ensure_local_owner(conn: Conn) -> User:
    """Return the owner of this installation, made at the first call, by whichever caller is first.

    Their own machine is the limit of what they store.
    """
    await conn.execute(
        """
        INSERT INTO "User" ("clerkId", "email", "subscriptionTier") VALUES ($1, $2, 'ENTERPRISE')
        ON CONFLICT ("clerkId") DO NOTHING
        """,
        LOCAL_OWNER_CLERK_ID,
        LOCAL_OWNER_EMAIL,
    )
    row = await conn.fetchrow(
        """
        SELECT "id" AS id, "clerkId" AS clerk_id, "email" AS email,
               "onboardingCompleted" AS onboarding_completed
        FROM "User" WHERE "clerkId" = $1
        """,
        LOCAL_OWNER_CLERK_ID,
    )
    if row is None:
        raise LookupError("the local owner was deleted while being made")
    return User(**row)


async def create_user(
    conn: Conn, *, email: str, clerk_id: str | None = None, tier: str = "FREE", email_verified: bool = True
) -> User:
    """Create a user; without a Clerk id, one that only API keys can sign in.

    Raises asyncpg's UniqueViolationError ("User_email_key", "User_clerkId_key") when taken.
    """
    row = await conn.fetchrow(
        """
        INSERT INTO "User" ("clerkId", "email", "subscriptionTier", "emailVerified")
        VALUES ($1, $2, $3::"SubscriptionTier", $4)
        RETURNING "id" AS id, "clerkId" AS clerk_id, "email" AS email,
                  "onboardingCompleted" AS onboarding_completed
        """,
        clerk_id or f"local-{uuid4()}",
        email,
        tier,
        email_verified,
    )
    if row is None:  # pragma: no cover - an INSERT that returns has a row or raises
        raise LookupError("the user was not created")
    return User(**row)


async def find_user(conn: Conn, user_id: str) -> User | None:
    row = await conn.fetchrow(
        """
        SELECT "id" AS id, "clerkId" AS clerk_id, "email" AS email,
               "onboardingCompleted" AS onboarding_completed
        FROM "User" WHERE "id" = $1
        """,
        user_id,
    )
    return None if row is None else User(**row)


async def find_user_by_email(conn: Conn, email: str) -> User | None:
    row = await conn.fetchrow(
        """
        SELECT "id" AS id, "clerkId" AS clerk_id, "email" AS email, "onboardingCompleted" AS onboarding_completed
        FROM "User" WHERE "email" = $1
        """,
        email,
    )
    return None if row is None else User(**row)


async def find_by_verified_email(conn: Conn, email: str) -> User | None:
    row = await conn.fetchrow(
        """
        SELECT "id" AS id, "clerkId" AS clerk_id, "email" AS email, "onboardingCompleted" AS onboarding_completed
        FROM "User" WHERE lower("email") = lower($1) AND "emailVerified"
        """,
        email,
    )
    return None if row is None else User(**row)


async def complete_onboarding(conn: Conn, user_id: str) -> None:
    await conn.execute('UPDATE "User" SET "onboardingCompleted" = true WHERE "id" = $1', user_id)


async def delete_user(conn: Conn, user_id: str) -> bool:
    """Delete a scratch user with everything personal; False when there is none. For people, see db/deletion.py.

    Documents, conversations and webhooks name their user without a foreign key in the platform's schema, so
    no cascade takes them along. What a user put into a team is the team's and stays.
    """
    deleted = await conn.fetchval(
        """
        WITH gone AS (DELETE FROM "User" WHERE "id" = $1 RETURNING "id"),
             documents AS (DELETE FROM "Document" WHERE "userId" = $1 AND "teamId" IS NULL),
             conversations AS (DELETE FROM "AIConversation" WHERE "userId" = $1),
             webhooks AS (DELETE FROM "Webhook" WHERE "userId" = $1)
        SELECT count(*) FROM gone
        """,
        user_id,
    )
    return bool(deleted)
