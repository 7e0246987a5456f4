"""Stripe's webhook over HTTP, with signatures made by its own library: plans move once, in whatever order it comes."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from stripe import WebhookSignature

from db.tenancy import as_system
from service.billing.changes import take_event
from service.billing.stripe_events import read_event
from tests.locks import until_waiting
from tests.running import Service, run_service

SECRET = "whsec_ours"
T0 = int(time.time()) - 1000
END = int(time.time()) + 30 * 86400


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(
        database_url,
        tmp_path / "home",
        worker=False,
        stripe_webhook_secret=f"whsec_old,{SECRET}",
        stripe_prices="price_pro=PRO,price_all=ENTERPRISE",
    ) as service:
        yield service


def post(server: Service, event: dict[str, Any], secret: str = SECRET) -> httpx.Response:
    body = json.dumps(event)
    headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(body, secret, int(time.time()))}
    with server.client(None) as client:
        return client.post("/v1/stripe/webhook", content=body, headers=headers)


def subscription(
    kind: str, at: int, *, status: str = "active", price: str = "price_pro", **more: Any
) -> dict[str, Any]:
    found = {
        "id": "sub_1",
        "customer": "cus_1",
        "status": status,
        "items": {"data": [{"price": {"id": price}, "current_period_end": END}]},
        **more,
    }
    return {
        "id": f"evt_{kind}_{at}_{price}_{status}",
        "type": f"customer.subscription.{kind}",
        "created": at,
        "data": {"object": found},
    }


def checkout(reference: str, at: int = T0) -> dict[str, Any]:
    found = {"customer": "cus_1", "subscription": "sub_1", "client_reference_id": reference}
    return {
        "id": f"evt_checkout_{at}",
        "type": "checkout.session.completed",
        "created": at,
        "data": {"object": found},
    }


def invoice(kind: str, at: int = T0, invoice_id: str = "in_1") -> dict[str, Any]:
    found = {
        "id": invoice_id,
        "customer": "cus_1",
        "parent": {"subscription_details": {"subscription": "sub_1"}},
    }
    return {
        "id": f"evt_{kind}_{invoice_id}_{at}",
        "type": f"invoice.{kind}",
        "created": at,
        "data": {"object": found},
    }


@pytest.fixture
def ann(server: Service) -> Iterator[httpx.Client]:
    with server.client(server.new_user("ann@example.com")) as client:
        yield client


def me(client: httpx.Client) -> str:
    return str(client.get("/v1/users/me").json()["id"])


def plan(client: httpx.Client, **query: str) -> tuple[str, str, str]:
    found = client.get("/v1/plan", params=query).json()
    return found["tier"], found["status"], found["effective_tier"]


def test_a_checkout_and_its_subscription_move_the_plan_once(server: Service, ann: httpx.Client) -> None:
    assert post(server, checkout(me(ann))).status_code == 204
    for _ in range(2):
        assert post(server, subscription("created", T0)).status_code == 204
    assert plan(ann) == ("PRO", "ACTIVE", "PRO")
    told = ann.get("/v1/notifications").json()["data"]
    assert [row["type"] for row in told] == ["SUBSCRIPTION_UPDATED"]


def test_two_deliveries_at_once_are_one(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: post(server, subscription("created", T0)), range(8)))
    assert {reply.status_code for reply in replies} == {204}
    assert len(ann.get("/v1/notifications").json()["data"]) == 1


EVENTS = {
    "checkout": None,
    "created": subscription("created", T0),
    "updated": subscription("updated", T0, price="price_all"),
    "deleted": subscription("deleted", T0 + 5, status="canceled", ended_at=T0 + 5),
}


@pytest.mark.parametrize("names", ["checkout created updated", "checkout created updated deleted"])
def test_every_order_comes_to_the_same_end(server: Service, names: str) -> None:
    """Events of one second too: what they are decides. Those before the checkout wait for it."""
    ends = set()
    for number, order in enumerate(itertools.permutations(names.split())):
        with server.client(server.new_user(f"{number}@example.com")) as client:
            for name in order:
                event = checkout(me(client)) if name == "checkout" else EVENTS[name]
                own = json.loads(
                    json.dumps(event).replace("cus_1", f"cus_{number}").replace("sub_1", f"sub_{number}")
                )
                assert post(server, own | {"id": f"{own['id']}_{number}"}).status_code == 204
            ends.add(plan(client))
    last = ("FREE", "CANCELED", "FREE") if "deleted" in names else ("ENTERPRISE", "ACTIVE", "ENTERPRISE")
    assert ends == {last}


def test_a_team_has_a_plan_of_its_own_and_its_owners_hear_of_it(server: Service, ann: httpx.Client) -> None:
    team = ann.post("/v1/teams", json={"name": "Law"}).json()["id"]
    post(server, subscription("created", T0, metadata={"team_id": team}))
    assert plan(ann, team_id=team) == ("PRO", "ACTIVE", "PRO")
    assert plan(ann) == ("FREE", "ACTIVE", "FREE")
    post(server, invoice("payment_failed"))
    told = [row["type"] for row in ann.get("/v1/notifications").json()["data"]]
    assert sorted(told) == ["PAYMENT_FAILED", "SUBSCRIPTION_UPDATED"]
    audit = ann.get(f"/v1/teams/{team}/audit").json()["data"]
    assert audit[0]["actor"] == "stripe"
    assert audit[0]["details"] == {"before": ["FREE", "ACTIVE"], "after": ["PRO", "ACTIVE"]}


@pytest.mark.parametrize("order", list(itertools.permutations(["failed", "created", "checkout"])))
def test_a_failed_payment_is_told_once_whenever_its_owner_is_known(
    server: Service, ann: httpx.Client, order: tuple[str, ...]
) -> None:
    events = {
        "failed": invoice("payment_failed"),
        "created": subscription("created", T0),
        "checkout": checkout(me(ann)),
    }
    for name in (*order, *order):
        assert post(server, events[name]).status_code == 204
    post(server, subscription("updated", T0 + 1))
    told = [row["type"] for row in ann.get("/v1/notifications").json()["data"]]
    assert sorted(told) == ["PAYMENT_FAILED", "SUBSCRIPTION_UPDATED"]


@pytest.mark.parametrize("order", list(itertools.permutations(["payment_failed", "paid", "checkout"])))
def test_a_payment_made_before_the_owner_could_hear_of_its_failure_is_not_told(
    server: Service, ann: httpx.Client, order: tuple[str, ...]
) -> None:
    for name in order:
        post(server, checkout(me(ann)) if name == "checkout" else invoice(name, T0 + (name == "paid")))
    told = [row["type"] for row in ann.get("/v1/notifications").json()["data"]]
    assert told == (["PAYMENT_FAILED"] if order[-1] == "paid" else [])


@pytest.mark.parametrize("order", [("payment_failed", "paid"), ("paid", "payment_failed")])
@pytest.mark.parametrize("later", ["payment_failed", "paid"])
def test_another_invoice_that_was_paid_does_not_hide_one_that_failed(
    server: Service, ann: httpx.Client, order: tuple[str, ...], later: str
) -> None:
    post(server, invoice("payment_failed", T0 - 1, "in_payment_failed"))  # Stripe tries each several times
    for kind in order:
        post(server, invoice(kind, T0 + (kind == later), f"in_{kind}"))
    post(server, checkout(me(ann)))
    assert [row["type"] for row in ann.get("/v1/notifications").json()["data"]] == ["PAYMENT_FAILED"]


def test_the_end_of_a_replaced_subscription_ends_nothing(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    post(server, subscription("created", T0 + 10, price="price_all", id="sub_2"))
    post(server, subscription("deleted", T0 + 20, status="canceled", ended_at=T0 + 20))
    assert plan(ann) == ("ENTERPRISE", "ACTIVE", "ENTERPRISE")


def test_an_old_subscription_that_ends_before_the_new_one_is_heard_of_ends_nothing(
    server: Service, ann: httpx.Client
) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    post(server, subscription("deleted", T0 + 20, status="canceled", ended_at=T0 + 20))
    assert plan(ann)[2] == "FREE"
    post(server, subscription("created", T0 + 10, price="price_all", id="sub_2"))
    assert plan(ann) == ("ENTERPRISE", "ACTIVE", "ENTERPRISE")


def test_a_strangers_checkout_takes_no_plan_away(server: Service, ann: httpx.Client) -> None:
    """client_reference_id is the payer's to choose on a payment link."""
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    stranger = checkout(me(ann), T0 + 5)
    stranger["data"]["object"] |= {"customer": "cus_evil", "subscription": "sub_evil"}
    post(server, stranger)
    evil = {"id": "sub_evil", "customer": "cus_evil"}
    post(server, subscription("created", T0 + 5, price="price_all", **evil))
    post(server, subscription("deleted", T0 + 9, status="canceled", ended_at=T0 + 9, **evil))
    assert plan(ann) == ("PRO", "ACTIVE", "PRO")


def test_a_subscription_that_the_web_application_wrote_down_counts(
    server: Service, ann: httpx.Client
) -> None:
    server.call(_adopt(server))
    evil: dict[str, Any] = {"id": "sub_evil", "customer": "cus_evil", "metadata": {"user_id": me(ann)}}
    post(server, subscription("created", T0, **evil))
    post(server, subscription("deleted", T0 + 9, status="canceled", ended_at=T0 + 9, **evil))
    assert plan(ann) == ("ENTERPRISE", "ACTIVE", "ENTERPRISE")
    post(server, subscription("deleted", T0, status="canceled", ended_at=T0))
    assert plan(ann)[2] == "FREE"


async def _adopt(server: Service) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("""
            UPDATE "User" SET "stripeCustomerId" = 'cus_1', "stripeSubscriptionId" = 'sub_1',
                "subscriptionTier" = 'ENTERPRISE' WHERE "email" = 'ann@example.com'
        """)


def test_a_subscription_is_of_the_first_who_was_named(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    with server.client(server.new_user("bob@example.com")) as bob:
        post(server, checkout(me(bob), T0 + 5))
        assert plan(bob)[0] == "FREE"
    assert plan(ann)[0] == "PRO"


def test_one_customer_may_pay_for_a_team_and_for_themselves(server: Service, ann: httpx.Client) -> None:
    team = ann.post("/v1/teams", json={"name": "Law"}).json()["id"]
    post(server, checkout(team))
    post(server, subscription("created", T0))
    post(server, subscription("created", T0 + 5, id="sub_2", price="price_all"))
    own = checkout(me(ann), T0 + 5)
    own["data"]["object"] |= {"subscription": "sub_2"}
    post(server, own)
    assert (plan(ann)[0], plan(ann, team_id=team)[0]) == ("ENTERPRISE", "PRO")


def test_a_subscription_and_its_checkout_may_come_in_the_same_moment(
    server: Service, ann: httpx.Client
) -> None:
    server.call(_meet(server, me(ann)))
    assert plan(ann)[0] == "PRO"


async def _meet(server: Service, user_id: str) -> None:
    """Let the checkout come while the subscription's transaction is still open."""
    prices = server.settings.plan_prices
    created, link = (
        read_event(json.dumps(event).encode()) for event in (subscription("created", T0), checkout(user_id))
    )

    async def come_second() -> None:
        async with as_system(server.runtime.pool) as conn:
            await take_event(conn, link, prices)

    async with as_system(server.runtime.pool) as first:
        await take_event(first, created, prices)
        second = asyncio.create_task(come_second())
        await until_waiting(first, unless=second)
    await second


def test_a_subscription_that_was_never_paid_for_gives_no_plan(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0, status="incomplete"))
    assert plan(ann)[2] == "FREE"
    assert all("FREE" in row["message"] for row in ann.get("/v1/notifications").json()["data"])


def test_an_unknown_price_leaves_the_tier_alone(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    post(server, subscription("updated", T0 + 1, price="price_unknown", status="past_due"))
    assert plan(ann) == ("PRO", "PAST_DUE", "PRO")


def test_a_lapsed_plan_loses_nothing_and_adds_nothing(server: Service, ann: httpx.Client) -> None:
    post(server, checkout(me(ann)))
    post(server, subscription("created", T0))
    location = ann.post("/v1/documents", json={"title": "t", "content": "kept"}).headers["location"]
    post(server, subscription("deleted", T0 + 9, status="canceled", ended_at=T0 + 9))
    server.call(_fill(server))
    assert plan(ann)[2] == "FREE"
    assert ann.get(location).status_code == 200
    assert ann.post("/v1/search", json={"query": "kept", "mode": "lexical"}).status_code == 200
    refused = ann.post("/v1/documents", json={"title": "t", "content": "more"})
    assert refused.status_code == 402
    assert refused.json()["resource"] == "storage"
    assert ann.delete(location).status_code == 204


async def _fill(server: Service) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute(
            """UPDATE "User" SET "storageUsed" = 200 * 1024 * 1024 WHERE "email" = 'ann@example.com'"""
        )


def test_what_stripe_has_not_signed_is_refused(server: Service, ann: httpx.Client) -> None:
    assert post(server, checkout(me(ann)), secret="whsec_theirs").status_code == 400
    with server.client(None) as client:
        assert client.post("/v1/stripe/webhook", content=b"{}").status_code == 400
        assert client.post("/v1/stripe/webhook", content=b"x" * 2_000_000).status_code == 413
    assert plan(ann) == ("FREE", "ACTIVE", "FREE")


def test_other_events_are_taken_and_ignored(server: Service) -> None:
    assert post(server, {"id": "evt_9", "type": "charge.updated"}).status_code == 204


def test_without_a_secret_there_is_no_webhook(database_url: str, tmp_path: Path) -> None:
    with run_service(database_url, tmp_path / "home", worker=False) as service:
        assert post(service, {"id": "evt_9", "type": "charge.updated"}).status_code == 404
