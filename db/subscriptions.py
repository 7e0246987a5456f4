"""Whose a subscription is, and what it is: one shape for people and for teams."""

from datetime import datetime
from typing import Literal

import msgspec

from db.pool import Conn

Kind = Literal["user", "team"]

# Both tables have these columns by the same names.
_TABLES: dict[Kind, str] = {"user": '"User"', "team": '"Team"'}


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A person or a team with a subscription, locked until the transaction ends."""

    kind: Kind
    id: str
    name: str
    customer_id: str | None
    subscription_id: str | None
    tier: str
    status: str
    ends_at: datetime | None
    updated_at: datetime | None
    """When the newest event that was applied happened, in Stripe's time."""


async def take_turn(conn: Conn, customer_id: str) -> None:
    """Wait for every other event of this customer: one that finds nobody must not miss the link that is being made."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('stripe:' || $1, 0))", customer_id)


async def lock_by_id(conn: Conn, kind: Kind, owner_id: str) -> Subscriber | None:
    return await _lock(conn, kind, '"id" = $1', owner_id)


async def lock_by_subscription(conn: Conn, subscription_id: str) -> Subscriber | None:
    """Return the team, else the person, that the subscription is linked to."""
    return await _lock(conn, "team", '"stripeSubscriptionId" = $1', subscription_id) or await _lock(
        conn, "user", '"stripeSubscriptionId" = $1', subscription_id
    )


async def lock_by_customer(conn: Conn, customer_id: str) -> Subscriber | None:
    """Return the team, else the person, that the customer is linked to."""
    return await _lock(conn, "team", '"stripeCustomerId" = $1', customer_id) or await _lock(
        conn, "user", '"stripeCustomerId" = $1', customer_id
    )


async def _lock(conn: Conn, kind: Kind, where: str, value: str) -> Subscriber | None:
    name = '"email"' if kind == "user" else '"name"'
    row = await conn.fetchrow(
        f"""
        SELECT "id" AS id, {name} AS name, "stripeCustomerId" AS customer_id,
               "stripeSubscriptionId" AS subscription_id, "subscriptionTier"::text AS tier,
               "subscriptionStatus"::text AS status, "subscriptionEndsAt" AS ends_at, "stripeUpdatedAt" AS updated_at
        FROM {_TABLES[kind]} WHERE {where} FOR NO KEY UPDATE
        """,  # noqa: S608 - texts of this module
        value,
    )
    return None if row is None else Subscriber(kind=kind, **row)


async def link(conn: Conn, owner: Subscriber, *, customer_id: str, subscription_id: str) -> None:
    """Say whose the customer and the subscription are. Raises Taken where they are somebody else's."""
    await conn.execute(
        f"""
        UPDATE {_TABLES[owner.kind]} SET "stripeCustomerId" = $2, "stripeSubscriptionId" = $3 WHERE "id" = $1
        """,  # noqa: S608
        owner.id,
        customer_id,
        subscription_id,
    )


async def set_subscription(
    conn: Conn, owner: Subscriber, *, tier: str, status: str, ends_at: datetime | None, updated_at: datetime
) -> None:
    await conn.execute(
        f"""
        UPDATE {_TABLES[owner.kind]} SET
            "subscriptionTier" = $2::"SubscriptionTier", "subscriptionStatus" = $3::"SubscriptionStatus",
            "subscriptionEndsAt" = $4, "stripeUpdatedAt" = $5
        WHERE "id" = $1
        """,  # noqa: S608
        owner.id,
        tier,
        status,
        ends_at,
        updated_at,
    )
