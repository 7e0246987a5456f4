"""POST /v1/stripe/webhook: what happens to subscriptions at Stripe happens to plans here."""

from http import HTTPStatus
from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency

from db.pool import Pool
from db.tenancy import as_system
from service.billing.changes import take_event
from service.billing.errors import StripeError
from service.billing.stripe_events import read_event, verify_event
from service.errors import Problem
from service.openapi import only_problems
from service.settings import Settings, read_list


@post(
    "/v1/stripe/webhook",
    status_code=204,
    responses=only_problems(400, 404, 409, 413, 503),
    tags=["usage"],
    summary="Stripe's webhook",
)
async def receive_stripe_event(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], deployment: NamedDependency[Settings]
) -> None:
    """Take a signed event of subscriptions, checkouts and invoices; anything else is accepted and ignored.

    Events may come twice, late, and in another order than things happened.
    """
    secret = deployment.stripe_webhook_secret
    if secret is None:
        raise Problem(HTTPStatus.NOT_FOUND, "No STRIPE_WEBHOOK_SECRET is configured here.")
    body = await request.body()
    try:
        verify_event(body, request.headers.get("stripe-signature"), read_list(secret.get_secret_value()))
        event = read_event(body)
    except StripeError as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    async with as_system(pool) as conn:
        await take_event(conn, event, deployment.plan_prices)
