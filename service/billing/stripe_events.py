"""What Stripe tells us: its signature checked by Stripe's own library, its events read into changes. Nothing is done.

Stripe delivers an event at least once and in no particular order. Each change therefore says when it happened, and
of which subscription it is the whole new state; db/subscriptions.py keeps the newest.

Forms of the objects: https://docs.stripe.com/api/subscriptions/object, /api/invoices/object and
/api/checkout/sessions/object. Newer versions of the interface have moved fields; both places are looked at.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from service.billing.errors import ForgedEvent, UnreadableEvent

TOLERANCE_S = 300
"""How old a signature may be; Stripe signs each attempt anew."""

Status = Literal["ACTIVE", "TRIALING", "PAST_DUE", "CANCELED"]

T = TypeVar("T")


class Order(IntEnum):
    """Which of two events of one second is the later: Stripe's clock has no more than seconds."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Whose a subscription is, as the web application told Stripe at the checkout; all None where it did not."""

    user_id: str | None = None
    team_id: str | None = None
    either: str | None = None
    """client_reference_id: the id of a person or of a team."""

    def __bool__(self) -> bool:
        return any((self.user_id, self.team_id, self.either))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChanged:
    subscription_id: str
    customer_id: str
    at: datetime
    order: Order
    status: Status
    prices: tuple[str, ...]
    ends_at: datetime | None
    """Until when it is paid for; ACTIVE and TRIALING go on from there."""
    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionLinked:
    """Somebody has been through the checkout: now we know whose the subscription is."""

    subscription_id: str
    customer_id: str
    reference: Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMade:
    """An invoice of a subscription was paid, or could not be."""

    subscription_id: str
    customer_id: str
    invoice_id: str
    at: datetime
    failed: bool


Change: TypeAlias = SubscriptionChanged | SubscriptionLinked | PaymentMade


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeEvent:
    id: str
    type: str
    at: datetime
    change: Change | None
    """None for what does not concern us."""


def verify_event(payload: bytes, header: str | None, secrets: Sequence[str]) -> None:
    """Raise ForgedEvent unless one of the secrets has signed this body within TOLERANCE_S seconds."""
    # Takes half a second to import, which only who gets events should pay.
    from stripe import SignatureVerificationError, WebhookSignature

    # Stripe's library compares signatures as text, which Python refuses for anything but ASCII.
    if header is None or not header.isascii():
        raise ForgedEvent("There is no Stripe-Signature header, or it is garbled.")
    for secret in secrets:
        try:
            WebhookSignature.verify_header(payload, header, secret, TOLERANCE_S)
        except SignatureVerificationError:
            continue
        except UnicodeDecodeError as exc:
            raise ForgedEvent("The body is not UTF-8.") from exc
        return
    raise ForgedEvent("The signature is not Stripe's, or is too old.")


def read_event(payload: bytes) -> StripeEvent:
    """Return what a verified body says. Raises UnreadableEvent."""
    head = _decode(payload, _Head)
    read = _READERS.get(head.type)
    if read is None:
        return StripeEvent(id=head.id, type=head.type, at=datetime.now(UTC), change=None)
    event = _decode(payload, _Event)
    at = _time(event.created)
    return StripeEvent(id=event.id, type=event.type, at=at, change=read(event.data.object, at))


class _Head(msgspec.Struct):
    id: str
    type: str


class _Data(msgspec.Struct):
    object: msgspec.Raw


class _Event(msgspec.Struct):
    id: str
    type: str
    created: int
    data: _Data


class _Expanded(msgspec.Struct):
    id: str


_Id: TypeAlias = str | _Expanded
"""Stripe gives an id, or the whole object where the webhook was set up so."""


class _Price(msgspec.Struct):
    id: str


class _Item(msgspec.Struct):
    price: _Price | None = None
    current_period_start: int | None = None
    current_period_end: int | None = None


class _Items(msgspec.Struct):
    data: list[_Item] = []


class _Subscription(msgspec.Struct):
    id: str
    customer: _Id
    status: str
    items: _Items = msgspec.field(default_factory=_Items)
    current_period_start: int | None = None
    """Of the whole subscription before version 2025-03-31, of each item since."""
    current_period_end: int | None = None
    cancel_at_period_end: bool = False
    cancel_at: int | None = None
    ended_at: int | None = None
    metadata: dict[str, str] | None = None

    def period_start(self) -> int | None:
        starts = [self.current_period_start, *(item.current_period_start for item in self.items.data)]
        return max((start for start in starts if start is not None), default=None)

    def period_end(self) -> int | None:
        ends = [self.current_period_end, *(item.current_period_end for item in self.items.data)]
        return max((end for end in ends if end is not None), default=None)


class _SubscriptionDetails(msgspec.Struct):
    subscription: _Id | None = None


class _Parent(msgspec.Struct):
    subscription_details: _SubscriptionDetails | None = None


class _Invoice(msgspec.Struct):
    id: str | None = None
    """Null for a preview, which nobody pays."""
    customer: _Id | None = None
    subscription: _Id | None = None
    """Under parent since version 2025-03-31."""
    parent: _Parent | None = None


class _Checkout(msgspec.Struct):
    customer: _Id | None = None
    subscription: _Id | None = None
    """Null for one that sold something else."""
    client_reference_id: str | None = None
    metadata: dict[str, str] | None = None


def _subscription(order: Order) -> Callable[[msgspec.Raw, datetime], Change]:
    def read(raw: msgspec.Raw, at: datetime) -> Change:
        found = _decode(raw, _Subscription)
        status, ends = _standing(found, at)
        return SubscriptionChanged(
            subscription_id=found.id,
            customer_id=_id(found.customer),
            at=at,
            order=order,
            status=status,
            prices=tuple(item.price.id for item in found.items.data if item.price is not None),
            ends_at=ends,
            reference=_reference(found.metadata),
        )

    return read


def _standing(found: _Subscription, at: datetime) -> tuple[Status, datetime | None]:
    """Return what Stripe's state of a subscription means to us, and until when it is paid for.

    One that will not be renewed is CANCELED with its end ahead; `unpaid` is past due like `past_due`, since the
    beginning of the period that nobody paid for. `incomplete` was never paid for and `paused` is not being paid for:
    both are worth nothing, which is CANCELED with its end behind.
    """
    end = _time_or_none(found.period_end())
    match found.status:
        case "active" | "trialing":
            if found.cancel_at is not None or found.cancel_at_period_end:
                return "CANCELED", _time_or_none(found.cancel_at) or end
            return ("ACTIVE" if found.status == "active" else "TRIALING"), end
        case "past_due" | "unpaid":
            return "PAST_DUE", _time_or_none(found.period_start()) or end
        case "canceled":
            return "CANCELED", _time_or_none(found.ended_at) or at
        case _:
            return "CANCELED", at


def _checkout(raw: msgspec.Raw, _at: datetime) -> Change | None:
    found = _decode(raw, _Checkout)
    reference = _reference(found.metadata, found.client_reference_id)
    if found.subscription is None or found.customer is None or not reference:
        return None
    return SubscriptionLinked(
        subscription_id=_id(found.subscription), customer_id=_id(found.customer), reference=reference
    )


def _payment(*, failed: bool) -> Callable[[msgspec.Raw, datetime], Change | None]:
    def read(raw: msgspec.Raw, at: datetime) -> Change | None:
        found = _decode(raw, _Invoice)
        details = found.parent.subscription_details if found.parent is not None else None
        subscription = found.subscription or (details.subscription if details is not None else None)
        if found.id is None or subscription is None or found.customer is None:
            return None
        return PaymentMade(
            subscription_id=_id(subscription),
            customer_id=_id(found.customer),
            invoice_id=found.id,
            at=at,
            failed=failed,
        )

    return read


_READERS: Mapping[str, Callable[[msgspec.Raw, datetime], Change | None]] = {
    "customer.subscription.created": _subscription(Order.CREATED),
    "customer.subscription.updated": _subscription(Order.UPDATED),
    "customer.subscription.deleted": _subscription(Order.DELETED),
    "checkout.session.completed": _checkout,
    "invoice.payment_failed": _payment(failed=True),
    "invoice.paid": _payment(failed=False),
}

EVENT_TYPES = tuple(_READERS)
"""What Stripe should be set up to send; anything else is taken and ignored."""


def _reference(metadata: Mapping[str, str] | None, either: str | None = None) -> Reference:
    given = metadata or {}
    return Reference(
        user_id=given.get("user_id") or None, team_id=given.get("team_id") or None, either=either or None
    )


def _id(found: _Id) -> str:
    return found if isinstance(found, str) else found.id


def _time_or_none(seconds: int | None) -> datetime | None:
    return None if seconds is None else _time(seconds)


def _time(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as exc:
        raise UnreadableEvent("A time in the event is beyond every calendar.") from exc


def _decode(payload: Any, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise UnreadableEvent(f"The event does not have the documented form: {exc}.") from exc
