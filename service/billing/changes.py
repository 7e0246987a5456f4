"""What an event of Stripe's changes here: plans move, people hear of it, and the audit log remembers."""

from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

import structlog

from db import subscriptions, teams
from db.notifications import Kind, notify
from db.pool import Conn
from db.received_events import claim_event, keep_payload, take_kept_events
from db.subscriptions import Subscriber
from service.audit import audit_system
from service.billing.stripe_events import (
    Order,
    PaymentMade,
    Reference,
    StripeEvent,
    SubscriptionChanged,
    SubscriptionLinked,
    read_event,
)

log = structlog.get_logger()

PROVIDER = "stripe"


async def take_event(conn: Conn, event: StripeEvent, body: bytes, prices: Mapping[str, str]) -> None:
    """Apply an event in conn's transaction, which acts for the service; a repeat changes nothing.

    An event of a customer that nobody is linked to is kept, and applied when a checkout says whose it is.
    """
    change = event.change
    if change is None:
        return
    await subscriptions.take_turn(conn, change.customer_id)
    if not await claim_event(
        conn, PROVIDER, event.id, event_type=event.type, subject=change.customer_id, occurred_at=event.at
    ):
        log.info("stripe_event_repeated", event_id=event.id)
        return
    if isinstance(change, SubscriptionLinked):
        await _link(conn, change, prices)
    elif not await _apply(conn, change, prices):
        await keep_payload(conn, PROVIDER, event.id, {"body": body.decode()})
        log.info("stripe_event_kept", event_id=event.id)


async def _link(conn: Conn, change: SubscriptionLinked, prices: Mapping[str, str]) -> None:
    owner = await _find_referred(conn, change.reference)
    if owner is None:
        log.warning("stripe_checkout_of_nobody", subscription_id=change.subscription_id)
        return
    await subscriptions.link(
        conn, owner, customer_id=change.customer_id, subscription_id=change.subscription_id
    )
    await audit_system(
        conn, "stripe", "plan.linked", owner.kind, owner.id, team_id=_team_of(owner),
        subscription_id=change.subscription_id,
    )  # fmt: skip
    for kept in await take_kept_events(conn, PROVIDER, change.customer_id):
        waiting = read_event(str(kept.payload["body"]).encode()).change
        if isinstance(waiting, SubscriptionChanged | PaymentMade):
            await _apply(conn, waiting, prices)


async def _apply(conn: Conn, change: SubscriptionChanged | PaymentMade, prices: Mapping[str, str]) -> bool:
    """Return False where nobody is known whose it is."""
    owner = await _find_owner(conn, change)
    if owner is None:
        return False
    match change:
        case SubscriptionChanged():
            await _move(conn, owner, change, prices)
        case PaymentMade():
            if change.failed:
                await _tell(
                    conn, owner, "PAYMENT_FAILED", "A payment has failed",
                    f"The payment for {owner.name} could not be made. The plan stays for a week.",
                )  # fmt: skip
        case _:
            assert_never(change)
    return True


async def _find_owner(conn: Conn, change: SubscriptionChanged | PaymentMade) -> Subscriber | None:
    owner = await subscriptions.lock_by_subscription(conn, change.subscription_id)
    if owner is None and isinstance(change, SubscriptionChanged):
        owner = await _find_referred(conn, change.reference)
    return owner or await subscriptions.lock_by_customer(conn, change.customer_id)


async def _find_referred(conn: Conn, reference: Reference) -> Subscriber | None:
    team_id = reference.team_id or reference.either
    owner = await subscriptions.lock_by_id(conn, "team", team_id) if team_id else None
    if owner is None and reference.team_id is None:
        user_id = reference.user_id or reference.either
        owner = await subscriptions.lock_by_id(conn, "user", user_id) if user_id else None
    return owner


async def _move(
    conn: Conn, owner: Subscriber, change: SubscriptionChanged, prices: Mapping[str, str]
) -> None:
    # Stripe's clock has seconds; what two events of one second are decides which is the later.
    moment = change.at + timedelta(microseconds=change.order)
    if owner.updated_at is not None and owner.updated_at > moment:
        log.info("stripe_event_late", subscription_id=change.subscription_id)
        return
    is_other = owner.subscription_id not in {None, change.subscription_id}
    if is_other and change.status in {"CANCELED", "PAST_DUE"}:
        # One that has been replaced comes to its end: the newer one stays what it is.
        log.info("stripe_event_of_replaced_subscription", subscription_id=change.subscription_id)
        return
    if owner.subscription_id != change.subscription_id or owner.customer_id != change.customer_id:
        await subscriptions.link(
            conn, owner, customer_id=change.customer_id, subscription_id=change.subscription_id
        )
    tier = _tier(owner, change, prices)
    await subscriptions.set_subscription(
        conn, owner, tier=tier, status=change.status, ends_at=change.ends_at, updated_at=moment
    )
    if (tier, change.status) == (owner.tier, owner.status):
        return
    await audit_system(
        conn, "stripe", "plan.changed", owner.kind, owner.id, team_id=_team_of(owner),
        before=[owner.tier, owner.status], after=[tier, change.status],
    )  # fmt: skip
    await _tell(
        conn, owner, "SUBSCRIPTION_UPDATED", "The plan has changed",
        f"{owner.name} now has the plan {tier} ({change.status}).",
    )  # fmt: skip


def _tier(owner: Subscriber, change: SubscriptionChanged, prices: Mapping[str, str]) -> str:
    if change.order is Order.DELETED:
        return "FREE"
    known = [prices[price] for price in change.prices if price in prices]
    if not known:
        log.warning("stripe_price_unknown", prices=change.prices)
        return owner.tier
    return max(known, key=("FREE", "PRO", "ENTERPRISE").index)


async def _tell(conn: Conn, owner: Subscriber, kind: Kind, title: str, message: str) -> None:
    people = [owner.id] if owner.kind == "user" else await teams.member_ids(conn, owner.id, ["OWNER"])
    await notify(conn, people, kind, title, message, {f"{owner.kind}_id": owner.id})


def _team_of(owner: Subscriber) -> str | None:
    return owner.id if owner.kind == "team" else None
