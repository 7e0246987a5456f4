"""What Stripe says of each subscription, whose it is, and the plan that comes of it: for people and for teams alike."""

from datetime import datetime
from typing import Literal

import msgspec

from db.pool import Conn

Kind = Literal["user", "team"]

# Both tables have their columns by the same names.
_TABLES: dict[Kind, str] = {"user": '"User"', "team": '"Team"'}


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a team, locked until the transaction ends."""

    kind: Kind
    id: str
    name: str
    tier: str
    status: str
    effective_tier: str


class Ownership(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a subscription is; is_named by a checkout or metadata, else guessed by the customer."""

    user_id: str | None
    team_id: str | None
    is_named: bool


async def take_turn(conn: Conn, customer_id: str) -> None:
    """Wait for every other event of this customer: one that finds nobody must not miss the link that is being made."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('stripe:' || $1, 0))", customer_id)


async def note_subscription(conn: Conn, subscription_id: str, customer_id: str) -> Ownership:
    """Have a row for a subscription, and return whose it is by now."""
    await conn.execute(
        "INSERT INTO stripe_subscription (id, customer_id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        subscription_id,
        customer_id,
    )
    row = await conn.fetchrow(
        "SELECT user_id, team_id, is_named FROM stripe_subscription WHERE id = $1 FOR UPDATE", subscription_id
    )
    if row is None:
        raise LookupError("a subscription vanished inside its own transaction")
    return Ownership(**row)


async def change_subscription(
    conn: Conn,
    subscription_id: str,
    *,
    tier: str | None,
    status: str,
    ends_at: datetime | None,
    has_ended: bool,
    updated_at: datetime,
) -> bool:
    """Take over a newer state; False where what is known is newer. A tier of None leaves the one that is known."""
    tag: str = await conn.execute(
        """
        UPDATE stripe_subscription SET
            tier = COALESCE($2::text::"SubscriptionTier", tier), status = $3::text::"SubscriptionStatus", ends_at = $4,
            has_ended = $5, updated_at = $6
        WHERE id = $1 AND (updated_at IS NULL OR updated_at <= $6)
        """,
        subscription_id,
        tier,
        status,
        ends_at,
        has_ended,
        updated_at,
    )
    return tag == "UPDATE 1"


async def note_payment(conn: Conn, subscription_id: str, invoice_id: str, *, failed: bool) -> None:
    """Write down that an invoice was paid, or could not be and is to be told of; what is paid is told of no more.

    The two may come in either order: a failure of the invoice that was paid last is late.
    """
    await conn.execute(
        """
        UPDATE stripe_subscription SET
            untold_failures = array_remove(untold_failures, $2)
                || CASE WHEN $3 AND paid_invoice IS DISTINCT FROM $2 THEN ARRAY[$2] ELSE '{}' END,
            paid_invoice = CASE WHEN $3 THEN paid_invoice ELSE $2 END
        WHERE id = $1
        """,
        subscription_id,
        invoice_id,
        failed,
    )


async def take_failures(conn: Conn, subscription_id: str) -> bool:
    """Return whether payments have failed that nobody has been told of yet; the next to ask finds none."""
    tag: str = await conn.execute(
        "UPDATE stripe_subscription SET untold_failures = '{}' WHERE id = $1 AND untold_failures <> '{}'",
        subscription_id,
    )
    return tag == "UPDATE 1"


async def set_owner(conn: Conn, subscription_id: str, kind: Kind, owner_id: str, *, is_named: bool) -> None:
    await conn.execute(
        "UPDATE stripe_subscription SET user_id = $2, team_id = $3, is_named = $4 WHERE id = $1",
        subscription_id,
        owner_id if kind == "user" else None,
        owner_id if kind == "team" else None,
        is_named,
    )


async def guess_owner(conn: Conn, subscription_id: str, customer_id: str) -> tuple[Kind, str] | None:
    """Return who has the subscription by the platform's own columns, else the customer; None for nobody or several."""
    rows = await conn.fetch(
        """
        WITH known AS (
            SELECT 'user' AS kind, "id", "stripeSubscriptionId" AS subscription FROM "User"
            WHERE "stripeCustomerId" = $2 OR "stripeSubscriptionId" = $1
            UNION ALL
            SELECT 'team', "id", "stripeSubscriptionId" FROM "Team"
            WHERE "stripeCustomerId" = $2 OR "stripeSubscriptionId" = $1
        )
        SELECT kind, "id" FROM known
        WHERE subscription = $1 OR NOT EXISTS (SELECT FROM known WHERE subscription = $1)
        """,
        subscription_id,
        customer_id,
    )
    return (rows[0]["kind"], rows[0]["id"]) if len(rows) == 1 else None


async def lock_owner(conn: Conn, kind: Kind, owner_id: str) -> Owner | None:
    name = '"email"' if kind == "user" else '"name"'
    row = await conn.fetchrow(
        f"""
        SELECT "id" AS id, {name} AS name, "subscriptionTier"::text AS tier, "subscriptionStatus"::text AS status,
               effective_tier("subscriptionTier", "subscriptionStatus", "subscriptionEndsAt")::text AS effective_tier
        FROM {_TABLES[kind]} WHERE "id" = $1 FOR NO KEY UPDATE
        """,  # noqa: S608 - texts of this module
        owner_id,
    )
    return None if row is None else Owner(kind=kind, **row)


async def apply_best(conn: Conn, owner: Owner) -> Owner | None:
    """Give a locked owner the plan of the best of their subscriptions; return them as they are then, if changed.

    The best is what is worth most today, of equal ones the newest. An owner who has none left of any state gets FREE.
    """
    mine = "user_id" if owner.kind == "user" else "team_id"
    table = _TABLES[owner.kind]
    # A subscription that the web application wrote into the columns before we heard of it counts like any other.
    await conn.execute(
        f"""
        INSERT INTO stripe_subscription (id, customer_id, {mine}, is_named, tier, status, ends_at, updated_at)
        SELECT "stripeSubscriptionId", COALESCE("stripeCustomerId", ''), "id", true, "subscriptionTier",
               "subscriptionStatus", "subscriptionEndsAt", '-infinity'
        FROM {table} WHERE "id" = $1 AND "stripeSubscriptionId" IS NOT NULL
        ON CONFLICT (id) DO NOTHING
        """,  # noqa: S608
        owner.id,
    )
    # Somebody else may have the customer or the subscription in their columns still: those are theirs to keep.
    await conn.execute(
        f"""
        WITH best AS (
            SELECT s.*, CASE WHEN s.has_ended THEN 'FREE' ELSE COALESCE(s.tier, o."subscriptionTier") END AS worth_tier
            FROM stripe_subscription s JOIN {table} o ON o."id" = $1
            WHERE s.{mine} = $1 AND s.status IS NOT NULL
            ORDER BY effective_tier(CASE WHEN s.has_ended THEN 'FREE' ELSE COALESCE(s.tier, o."subscriptionTier") END,
                                    s.status, s.ends_at) DESC,
                     s.status IN ('ACTIVE', 'TRIALING') DESC, s.updated_at DESC, s.id
            LIMIT 1
        ),
        -- Nothing has been said yet of one that has only been linked.
        waiting AS (SELECT FROM stripe_subscription WHERE {mine} = $1 AND status IS NULL)
        UPDATE {table} o SET
            "subscriptionTier" = COALESCE((SELECT worth_tier FROM best), 'FREE'),
            "subscriptionStatus" = COALESCE((SELECT status FROM best), 'ACTIVE'),
            "subscriptionEndsAt" = (SELECT ends_at FROM best),
            "stripeSubscriptionId" = (SELECT id FROM best b WHERE NOT EXISTS (
                SELECT FROM {table} x WHERE x."stripeSubscriptionId" = b.id AND x."id" <> o."id")),
            "stripeCustomerId" = COALESCE((SELECT customer_id FROM best b WHERE NOT EXISTS (
                SELECT FROM {table} x WHERE x."stripeCustomerId" = b.customer_id AND x."id" <> o."id")),
                o."stripeCustomerId")
        WHERE o."id" = $1 AND (EXISTS (SELECT FROM best) OR NOT EXISTS (SELECT FROM waiting))
        """,  # noqa: S608
        owner.id,
    )
    now = await lock_owner(conn, owner.kind, owner.id)
    if now is None or (now.effective_tier, now.status) == (owner.effective_tier, owner.status):
        return None
    return now
