"""What an event of Stripe's changes here: plans move, people hear of it, and the audit log remembers.

        event ──► row of its subscription (the newest state wins; the first who is named has it)
                        └──► plan of its owner: the best of all their subscriptions

So the order in which events arrive does not matter, nor does an end of one subscription take another's plan away.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

import structlog

from db import subscriptions, teams
from db.notifications import Kind, notify
from db.pool import Conn
from db.received_events import claim_event
from db.subscriptions import Owner, Ownership
from service.audit import audit_system
from service.billing.stripe_events import (
    Order,
    PaymentMade,
    Reference,
    StripeEvent,
    SubscriptionChanged,
    SubscriptionLinked,
)

log = structlog.get_logger()


async def take_event(conn: Conn, event: StripeEvent, prices: Mapping[str, str]) -> None:
    """Apply an event in conn's transaction, which acts for the service; a repeat changes nothing."""
    change = event.change
    if change is None:
        return
    await subscriptions.take_turn(conn, change.customer_id)
    if not await claim_event(
        conn, "stripe", event.id, event_type=event.type, subject=change.customer_id, occurred_at=event.at
    ):
        log.info("stripe_event_repeated", event_id=event.id)
        return
    owned = await subscriptions.note_subscription(conn, change.subscription_id, change.customer_id)
    match change:
        case SubscriptionChanged():
            if not await _change(conn, change, prices):
                log.info("stripe_event_late", subscription_id=change.subscription_id)
                return
            await _settle(conn, change, owned, change.reference)
        case SubscriptionLinked():
            await _settle(conn, change, owned, change.reference)
        case PaymentMade():
            await subscriptions.note_payment(
                conn, change.subscription_id, change.invoice_id, failed=change.failed
            )
            await _settle(conn, change, owned, Reference())
        case _:
            assert_never(change)


async def _change(conn: Conn, change: SubscriptionChanged, prices: Mapping[str, str]) -> bool:
    """Write down a subscription's new state; False where a newer one is known."""
    known = [prices[price] for price in change.prices if price in prices]
    if not known:
        log.warning("stripe_price_unknown", prices=change.prices)
    return await subscriptions.change_subscription(
        conn,
        change.subscription_id,
        tier=max(known, key=("FREE", "PRO", "ENTERPRISE").index, default=None),
        status=change.status,
        ends_at=change.ends_at,
        has_ended=change.order is Order.DELETED,
        # Stripe's clock has seconds; what two events of one second are decides which is the later.
        updated_at=change.at + timedelta(microseconds=change.order),
    )


async def _settle(
    conn: Conn,
    change: SubscriptionChanged | SubscriptionLinked | PaymentMade,
    owned: Ownership,
    reference: Reference,
) -> None:
    """Find whose the subscription is, give them the plan that follows, and tell of a payment that failed.

    The first who is named has it, whatever is named later; a guess by the customer gives way to a name.
    """
    before = await _current_owner(conn, owned)
    named = None if owned.is_named else await _find_referred(conn, reference)
    owner = named or before or await _guess(conn, change)
    if owner is None:
        log.info("stripe_subscription_waits", subscription_id=change.subscription_id)
        return
    if named is not None or before is None:
        await subscriptions.set_owner(
            conn, change.subscription_id, owner.kind, owner.id, is_named=named is not None
        )
        await audit_system(
            conn, "stripe", "plan.linked", owner.kind, owner.id, team_id=_team_of(owner),
            subscription_id=change.subscription_id,
        )  # fmt: skip
    if before is not None and (before.kind, before.id) != (owner.kind, owner.id):
        await _move(conn, before)
    await _move(conn, owner)
    # It may have failed before anybody knew whose it was.
    if await subscriptions.take_failures(conn, change.subscription_id):
        await _tell(
            conn, owner, "PAYMENT_FAILED", "A payment has failed",
            f"The payment for {owner.name} could not be made. The plan stays for a week.",
        )  # fmt: skip


async def _current_owner(conn: Conn, owned: Ownership) -> Owner | None:
    if owned.team_id is not None:
        return await subscriptions.lock_owner(conn, "team", owned.team_id)
    if owned.user_id is not None:
        return await subscriptions.lock_owner(conn, "user", owned.user_id)
    return None


async def _find_referred(conn: Conn, reference: Reference) -> Owner | None:
    team_id = reference.team_id or reference.either
    owner = await subscriptions.lock_owner(conn, "team", team_id) if team_id else None
    if owner is None and reference.team_id is None:
        user_id = reference.user_id or reference.either
        owner = await subscriptions.lock_owner(conn, "user", user_id) if user_id else None
    return owner


async def _guess(conn: Conn, change: SubscriptionChanged | SubscriptionLinked | PaymentMade) -> Owner | None:
    found = await subscriptions.guess_owner(conn, change.subscription_id, change.customer_id)
    return None if found is None else await subscriptions.lock_owner(conn, *found)


async def _move(conn: Conn, owner: Owner) -> None:
    now = await subscriptions.apply_best(conn, owner)
    if now is None:
        return
    await audit_system(
        conn, "stripe", "plan.changed", owner.kind, owner.id, team_id=_team_of(owner),
        before=[owner.tier, owner.status], after=[now.tier, now.status],
    )  # fmt: skip
    await _tell(
        conn, owner, "SUBSCRIPTION_UPDATED", "The plan has changed",
        f"{owner.name} now has the plan {now.effective_tier} ({now.status}).",
    )  # fmt: skip


async def _tell(conn: Conn, owner: Owner, kind: Kind, title: str, message: str) -> None:
    people = [owner.id] if owner.kind == "user" else await teams.member_ids(conn, owner.id, ["OWNER"])
    await notify(conn, people, kind, title, message, {f"{owner.kind}_id": owner.id})


def _team_of(owner: Owner) -> str | None:
    return owner.id if owner.kind == "team" else None
