"""The account of a person: what they see and change of it, and what their identity provider says of them."""

from datetime import datetime

import msgspec

from db.pool import Conn

PLACEHOLDER_DOMAIN = "users.invalid"
"""Nobody has an address there (RFC 2606), so it can stand where there is none."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    clerk_id: str
    email: str
    email_verified: bool
    first_name: str | None
    last_name: str | None
    username: str | None
    image_url: str | None
    onboarding_completed: bool
    created_at: datetime
    last_login_at: datetime | None

    @property
    def address(self) -> str | None:
        """Their e-mail address; None where a placeholder stands for it."""
        return None if self.email.endswith(f"@{PLACEHOLDER_DOMAIN}") else self.email


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A person as an identity provider has them; email only where it is verified."""

    subject: str
    email: str | None
    first_name: str | None
    last_name: str | None
    username: str | None
    image_url: str | None


_COLUMNS = """
    "id" AS id, "clerkId" AS clerk_id, "email" AS email, "emailVerified" AS email_verified, "firstName" AS first_name,
    "lastName" AS last_name, "username" AS username, "imageUrl" AS image_url,
    "onboardingCompleted" AS onboarding_completed, "createdAt" AS created_at, "lastLoginAt" AS last_login_at
"""


def placeholder_email(subject: str) -> str:
    """Return what stands in the column, which has to hold an address, until there is one."""
    return f"{subject}@{PLACEHOLDER_DOMAIN}"


async def find_account(conn: Conn, user_id: str) -> Account | None:
    row = await conn.fetchrow(f'SELECT {_COLUMNS} FROM "User" WHERE "id" = $1', user_id)  # noqa: S608
    return None if row is None else Account(**row)


async def list_accounts(conn: Conn) -> list[Account]:
    """Return everybody, those who came last first."""
    rows = await conn.fetch(f'SELECT {_COLUMNS} FROM "User" ORDER BY "createdAt" DESC, "id" DESC')  # noqa: S608
    return [Account(**row) for row in rows]


async def update_account(
    conn: Conn,
    user_id: str,
    *,
    first_name: str | msgspec.UnsetType | None,
    last_name: str | msgspec.UnsetType | None,
    username: str | msgspec.UnsetType | None,
    image_url: str | msgspec.UnsetType | None,
    onboarding_completed: bool | msgspec.UnsetType,
) -> Account | None:
    """Change what is given; None where there is nobody. A username that is another's violates "User_username_key"."""
    row = await conn.fetchrow(
        f"""
        UPDATE "User" SET
            "firstName" = CASE WHEN $2 THEN $3 ELSE "firstName" END,
            "lastName" = CASE WHEN $4 THEN $5 ELSE "lastName" END,
            "username" = CASE WHEN $6 THEN $7 ELSE "username" END,
            "imageUrl" = CASE WHEN $8 THEN $9 ELSE "imageUrl" END,
            "onboardingCompleted" = COALESCE($10, "onboardingCompleted")
        WHERE "id" = $1 RETURNING {_COLUMNS}
        """,  # noqa: S608
        user_id,
        *_given(first_name),
        *_given(last_name),
        *_given(username),
        *_given(image_url),
        None if onboarding_completed is msgspec.UNSET else onboarding_completed,
    )
    return None if row is None else Account(**row)


def _given(value: str | msgspec.UnsetType | None) -> tuple[bool, str | None]:
    return (False, None) if value is msgspec.UNSET else (True, value)


async def lock_subject(conn: Conn, subject: str) -> None:
    """Wait for whoever makes, changes or deletes the same person, until the end of the transaction.

    Needed where a row's absence decides: a person who is just being deleted must not be made again.
    """
    await conn.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('docsearch subject ' || $1, 0))", subject
    )


async def create_account(
    conn: Conn, profile: Profile, *, tier: str, changed_at: datetime | None
) -> str | None:
    """Create a person whom nobody has seen yet; None where they are there already, or a name was just taken.

    The address is theirs only if it is verified and nobody else's: an account is never found by its address, so
    that whoever proves one to another provider does not take over what is here. changed_at is the moment that the
    profile is of, for what comes late (apply_profile).
    """
    user_id: str | None = await conn.fetchval(
        """
        INSERT INTO "User" ("clerkId", "email", "emailVerified", "firstName", "lastName", "username", "imageUrl",
                            "clerkUpdatedAt", "subscriptionTier")
        SELECT $1, CASE WHEN free.email THEN $2 ELSE $3 END, free.email, $4, $5,
               CASE WHEN free.username THEN $6 END, $7, $8, $9::"SubscriptionTier"
        FROM (SELECT $2::text IS NOT NULL AND NOT EXISTS (SELECT FROM "User" WHERE lower("email") = lower($2)) AS email,
                     NOT EXISTS (SELECT FROM "User" WHERE "username" = $6) AS username) AS free
        ON CONFLICT DO NOTHING
        RETURNING "id"
        """,
        profile.subject,
        profile.email,
        placeholder_email(profile.subject),
        profile.first_name,
        profile.last_name,
        profile.username,
        profile.image_url,
        changed_at,
        tier,
    )
    return user_id


async def apply_profile(conn: Conn, profile: Profile, *, changed_at: datetime) -> bool:
    """Bring a person up to date with their provider; False where there is nobody, or something newer was applied.

    An address or username that somebody else has stays theirs.
    """
    tag: str = await conn.execute(
        """
        UPDATE "User" AS u SET
            "email" = CASE WHEN free.email THEN $2 ELSE $3 END, "emailVerified" = free.email,
            "firstName" = $4, "lastName" = $5, "username" = CASE WHEN free.username THEN $6 END, "imageUrl" = $7,
            "clerkUpdatedAt" = $8
        FROM (SELECT $2::text IS NOT NULL AND NOT EXISTS (
                         SELECT FROM "User" WHERE lower("email") = lower($2) AND "clerkId" <> $1) AS email,
                     NOT EXISTS (SELECT FROM "User" WHERE "username" = $6 AND "clerkId" <> $1) AS username) AS free
        WHERE u."clerkId" = $1 AND COALESCE(u."clerkUpdatedAt" <= $8, true)
        """,
        profile.subject,
        profile.email,
        placeholder_email(profile.subject),
        profile.first_name,
        profile.last_name,
        profile.username,
        profile.image_url,
        changed_at,
    )
    return tag == "UPDATE 1"


async def apply_email(conn: Conn, subject: str, email: str, *, changed_at: datetime) -> bool:
    """Give a person the verified address of a token issued at changed_at, if it is newer than what is known."""
    tag: str = await conn.execute(
        """
        UPDATE "User" SET "email" = $2, "emailVerified" = true
        WHERE "clerkId" = $1 AND COALESCE("clerkUpdatedAt" < $3, true)
          AND NOT EXISTS (SELECT FROM "User" WHERE lower("email") = lower($2) AND "clerkId" <> $1)
        """,
        subject,
        email,
        changed_at,
    )
    return tag == "UPDATE 1"


async def find_subject_id(conn: Conn, subject: str) -> str | None:
    """Return the id of the person whom the provider knows by this subject."""
    user_id: str | None = await conn.fetchval('SELECT "id" FROM "User" WHERE "clerkId" = $1', subject)
    return user_id


async def bury_subject(conn: Conn, subject: str) -> None:
    """Remember that a person is gone, for what was signed for them before and is still on its way."""
    await conn.execute(
        """
        INSERT INTO deleted_identity (subject) VALUES ($1)
        ON CONFLICT (subject) DO UPDATE SET deleted_at = now()
        """,
        subject,
    )


async def find_burial(conn: Conn, subject: str) -> datetime | None:
    """Return when a person was deleted, None when they never were."""
    deleted_at: datetime | None = await conn.fetchval(
        "SELECT deleted_at FROM deleted_identity WHERE subject = $1", subject
    )
    return deleted_at
