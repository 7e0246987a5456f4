"""Stripe's events: signatures made by Stripe's own library, and what each event comes to."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from stripe import WebhookSignature

from service.billing.errors import ForgedEvent, UnreadableEvent
from service.billing.stripe_events import (
    TOLERANCE_S,
    Order,
    PaymentMade,
    Reference,
    SubscriptionChanged,
    SubscriptionLinked,
    read_event,
    verify_event,
)

SECRET = "whsec_ours"
BODY = b'{"id": "evt_1", "type": "ping"}'
T0 = 1_700_000_000


def _sign(body: bytes = BODY, secret: str = SECRET, at: float | None = None) -> str:
    header: str = WebhookSignature.generate_signature_header(
        body.decode(), secret, None if at is None else int(at)
    )
    return header


@pytest.mark.parametrize("secrets", [[SECRET], ["whsec_old", SECRET], [SECRET, "whsec_new"]])
def test_a_signature_of_any_of_our_secrets_is_taken(secrets: list[str]) -> None:
    verify_event(BODY, _sign(), secrets)


def test_a_header_with_signatures_of_two_secrets_is_taken() -> None:
    old = _sign(secret="whsec_old")
    both = f"{old},{_sign().partition(',')[2]}"
    verify_event(BODY, both, [SECRET])


def _forged() -> dict[str, tuple[bytes, str | None]]:
    now = time.time()
    good = _sign()
    return {
        "no header": (BODY, None),
        "an empty header": (BODY, ""),
        "another secret": (BODY, _sign(secret="whsec_theirs")),
        "another body": (BODY + b" ", good),
        "too old": (BODY, _sign(at=now - TOLERANCE_S - 5)),
        "an old signature under a new time": (BODY, f"t={int(now)},{_sign(at=now - 900).partition(',')[2]}"),
        "only the scheme v0": (BODY, good.replace("v1=", "v0=")),
        "no time": (BODY, good.partition(",")[2]),
        "a time that is none": (BODY, "t=now,v1=00"),
        "letters beyond ASCII": (BODY, good.replace("v1=", "v1=é")),
        "a time of five thousand digits": (BODY, f"t={'9' * 5000},v1=00"),
        "no signature": (BODY, f"t={int(now)}"),
        "a body that is not UTF-8": (b"\xff\xfe", good),
        "the body signed without its time": (
            BODY,
            f"t={int(now)},v1={WebhookSignature._compute_signature(BODY.decode(), SECRET)}",
        ),
    }


@pytest.mark.parametrize("case", _forged())
def test_what_is_not_stripes_is_refused(case: str) -> None:
    body, header = _forged()[case]
    with pytest.raises(ForgedEvent):
        verify_event(body, header, [SECRET, "whsec_other"])


def test_without_a_secret_nothing_is_taken() -> None:
    for secrets in ([], [""]):
        with pytest.raises(ForgedEvent):
            verify_event(BODY, _sign(), secrets)


def _event(kind: str, obj: dict[str, Any], created: int = T0) -> bytes:
    return json.dumps(
        {"id": "evt_1", "object": "event", "type": kind, "created": created, "data": {"object": obj}}
    ).encode()


def _subscription(**fields: Any) -> dict[str, Any]:
    return {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "items": {"data": [{"price": {"id": "price_pro"}, "current_period_end": T0 + 100}]},
        **fields,
    }


def _changed(kind: str = "updated", **fields: Any) -> SubscriptionChanged:
    change = read_event(_event(f"customer.subscription.{kind}", _subscription(**fields))).change
    assert isinstance(change, SubscriptionChanged)
    return change


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_subscription_says_whose_it_is_what_it_buys_and_until_when() -> None:
    assert _changed("created") == SubscriptionChanged(
        subscription_id="sub_1",
        customer_id="cus_1",
        at=_at(T0),
        order=Order.CREATED,
        status="ACTIVE",
        prices=("price_pro",),
        ends_at=_at(T0 + 100),
        reference=Reference(),
    )


PERIOD = {"current_period_start": T0 - 50, "current_period_end": T0 + 100}


@pytest.mark.parametrize(
    ("fields", "status", "ends_at"),
    [
        ({"status": "active"}, "ACTIVE", T0 + 100),
        ({"status": "trialing"}, "TRIALING", T0 + 100),
        ({"status": "active", "cancel_at_period_end": True}, "CANCELED", T0 + 100),
        ({"status": "trialing", "cancel_at_period_end": True}, "CANCELED", T0 + 100),
        ({"status": "active", "cancel_at": T0 + 70}, "CANCELED", T0 + 70),
        ({"status": "past_due"}, "PAST_DUE", T0 - 50),
        ({"status": "unpaid"}, "PAST_DUE", T0 - 50),
        ({"status": "canceled", "ended_at": T0 - 3}, "CANCELED", T0 - 3),
        ({"status": "canceled"}, "CANCELED", T0),
        ({"status": "incomplete"}, "CANCELED", T0),
        ({"status": "incomplete_expired"}, "CANCELED", T0),
        ({"status": "paused"}, "CANCELED", T0),
        ({"status": "a state of next year"}, "CANCELED", T0),
    ],
)
@pytest.mark.parametrize("where", ["on the subscription", "on its items"])
def test_states_and_ends(where: str, fields: dict[str, Any], status: str, ends_at: int) -> None:
    period = PERIOD if where == "on the subscription" else {"items": {"data": [PERIOD]}}
    change = _changed(**{"items": {"data": []}, **period, **fields})
    assert (change.status, change.ends_at) == (status, _at(ends_at))


def test_several_items_give_all_their_prices_and_the_last_end() -> None:
    items = [
        {"price": {"id": "price_seats"}, "current_period_end": T0 + 10},
        {"price": None},
        {"price": {"id": "price_pro"}, "current_period_end": T0 + 20},
    ]
    change = _changed(items={"data": items})
    assert change.prices == ("price_seats", "price_pro")
    assert change.ends_at == _at(T0 + 20)


def test_metadata_says_whose_a_subscription_is() -> None:
    assert _changed(metadata={"user_id": "u", "x": "y"}).reference == Reference(user_id="u")
    assert _changed(metadata={"team_id": "t"}).reference == Reference(team_id="t")


@pytest.mark.parametrize(
    ("fields", "reference"),
    [
        ({"client_reference_id": "someone"}, Reference(either="someone")),
        ({"metadata": {"team_id": "t"}}, Reference(team_id="t")),
        ({"client_reference_id": "s", "metadata": {"user_id": "u"}}, Reference(user_id="u", either="s")),
    ],
)
def test_a_checkout_links_customer_and_subscription(fields: dict[str, Any], reference: Reference) -> None:
    checkout = {"customer": {"id": "cus_1", "object": "customer"}, "subscription": "sub_1", **fields}
    change = read_event(_event("checkout.session.completed", checkout)).change
    assert change == SubscriptionLinked(subscription_id="sub_1", customer_id="cus_1", reference=reference)


@pytest.mark.parametrize(
    "checkout",
    [
        {"customer": "cus_1", "subscription": None, "client_reference_id": "u"},
        {"customer": None, "subscription": "sub_1", "client_reference_id": "u"},
        {"customer": "cus_1", "subscription": "sub_1"},
    ],
)
def test_a_checkout_of_something_else_is_ignored(checkout: dict[str, Any]) -> None:
    assert read_event(_event("checkout.session.completed", checkout)).change is None


@pytest.mark.parametrize("kind", ["invoice.paid", "invoice.payment_failed"])
@pytest.mark.parametrize(
    "invoice",
    [
        {"subscription": "sub_1"},
        {"parent": {"subscription_details": {"subscription": "sub_1"}}},
        {"parent": {"subscription_details": {"subscription": {"id": "sub_1", "object": "subscription"}}}},
    ],
)
def test_an_invoice_of_a_subscription(kind: str, invoice: dict[str, Any]) -> None:
    change = read_event(_event(kind, {"id": "in_1", "customer": "cus_1", **invoice})).change
    assert change == PaymentMade(
        subscription_id="sub_1",
        customer_id="cus_1",
        invoice_id="in_1",
        at=_at(T0),
        failed=kind.endswith("failed"),
    )


def test_an_invoice_of_something_else_is_ignored() -> None:
    assert read_event(_event("invoice.paid", {"id": "in_1", "customer": "cus_1"})).change is None


def test_events_of_other_kinds_are_taken_and_ignored() -> None:
    assert read_event(_event("charge.refunded", {"id": "ch_1"})).change is None
    # A thin event of the second version: its times are texts, and it has no object.
    thin = b'{"id": "evt_1", "object": "v2.core.event", "type": "v1.x", "created": "2026-01-01T00:00:00Z"}'
    assert read_event(thin).change is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[1]",
        b'{"type": "invoice.paid"}',
        b'{"id": "evt_1", "type": "invoice.paid", "created": 1}',
        _event("customer.subscription.updated", {"id": "sub_1"}),
        _event("customer.subscription.updated", _subscription(), created=10**15),
        _event("customer.subscription.updated", _subscription(customer=5)),
        b'{"id": "evt_1", "type": "invoice.paid", "created": 1, "data": {"object": ' + b"[" * 100_000,
    ],
)
def test_what_has_another_form_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableEvent):
        read_event(body)
