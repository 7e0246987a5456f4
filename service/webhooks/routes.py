"""/v1/webhooks: where to send events, the log of what was sent, and sending again."""

import uuid
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from db import deliveries, webhooks
from db.deliveries import DeliveryRow, DeliveryStatus
from db.jobs import enqueue_deliveries
from db.outbox import emit_to
from db.pool import Conn, Pool
from db.tenancy import as_caller, as_service
from db.webhooks import WebhookRow
from ingest.parse.clean import clean_line
from service.audit import audit
from service.auth.caller import Caller
from service.cursors import decode_cursor, encode_cursor
from service.errors import Problem, not_found
from service.openapi import problems
from service.schemas import Page
from service.secrets import SecretBox
from service.settings import Settings
from service.webhooks.endpoints import checked_events, checked_url
from service.webhooks.schemas import (
    Delivery,
    DeliveryDetail,
    NewWebhook,
    Webhook,
    WebhookPatch,
    WebhookWithSecret,
)
from service.webhooks.signing import new_secret

MAX_WEBHOOKS = 20
# For receivers to learn the new secret, while what is sent is signed with both.
SECRET_GRACE_HOURS = 24

WebhookId = Annotated[str, PathParameter(description="The webhook's id.", max_length=100)]
DeliveryId = Annotated[str, PathParameter(description="The delivery's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
TeamId = Annotated[str | None, QueryParameter(max_length=100, description="Only this team's.")]
Status = Annotated[DeliveryStatus | None, QueryParameter(description="Only those in this state.")]


@post("/", responses=problems(404, 409, 422), summary="Add a webhook")
async def create_webhook(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    secret_box: NamedDependency[SecretBox],
    data: JSONBody[NewWebhook],
) -> Response[WebhookWithSecret]:
    """Send the events of yours, or of a team, to an address. The reply has the secret, this once."""
    if data.team_id is not None:
        caller.require("webhooks:manage", data.team_id)
    url = checked_url(data.url, deployment.webhook_networks)
    events = checked_events(data.events)
    secret = new_secret()
    async with as_caller(pool, caller.subject) as conn:
        webhook_id = await webhooks.insert_webhook(
            conn,
            user_id=caller.user_id,
            team_id=data.team_id,
            url=url,
            sealed_secret=secret_box.seal(secret),
            events=events,
            description=_line(data.description),
            limit=MAX_WEBHOOKS,
        )
        if webhook_id is None:
            whose = "You have" if data.team_id is None else "The team has"
            raise Problem(
                HTTPStatus.CONFLICT,
                f"{whose} {MAX_WEBHOOKS} webhooks, which is as many as there can be: delete one first.",
                limit=MAX_WEBHOOKS,
            )
        row = await _find(conn, caller, webhook_id)
        await _audit(conn, caller, "webhook.created", row, host=urlsplit(url).hostname, events=events)
    return Response(
        WebhookWithSecret.with_secret(row, secret), headers={"Location": f"/v1/webhooks/{row.id}"}
    )


@get("/", responses=problems(404), summary="List webhooks")
async def list_webhooks(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    team_id: TeamId = None,
) -> Page[Webhook]:
    """Return your webhooks and those of the teams whose webhooks you manage, newest first."""
    if team_id is not None:
        caller.require("webhooks:manage", team_id)
    async with as_caller(pool, caller.subject) as conn:
        rows = await webhooks.list_webhooks(
            conn,
            *_whose(caller),
            limit=limit + 1,
            after=decode_cursor(after, webhooks.Cursor),
            team_id=team_id,
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Webhook.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(webhooks.Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/{webhook_id:str}", responses=problems(404), summary="Get a webhook")
async def get_webhook(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], webhook_id: WebhookId
) -> Webhook:
    """Return a webhook, without its secret."""
    async with as_caller(pool, caller.subject) as conn:
        return Webhook.from_row(await _find(conn, caller, webhook_id))


@patch("/{webhook_id:str}", responses=problems(404, 422), summary="Change a webhook")
async def update_webhook(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    webhook_id: WebhookId,
    data: JSONBody[WebhookPatch],
) -> Webhook:
    """Change address, events or description; is_active pauses it, and resumes one that was paused."""
    url = None if data.url is msgspec.UNSET else checked_url(data.url, deployment.webhook_networks)
    events = None if data.events is msgspec.UNSET else checked_events(data.events)
    description = None if data.description is msgspec.UNSET else _line(data.description)
    async with as_caller(pool, caller.subject) as conn:
        await _find(conn, caller, webhook_id)
        await webhooks.update_webhook(
            conn,
            webhook_id,
            url=url,
            events=events,
            set_description=data.description is not msgspec.UNSET,
            description=description,
            is_active=None if data.is_active is msgspec.UNSET else data.is_active,
        )
        row = await _find(conn, caller, webhook_id)
        # The names alone: an address may hold a token.
        await _audit(conn, caller, "webhook.updated", row, changed=sorted(msgspec.to_builtins(data)))
    return Webhook.from_row(row)


@delete("/{webhook_id:str}", responses=problems(404), summary="Delete a webhook")
async def delete_webhook(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], webhook_id: WebhookId
) -> None:
    """Remove a webhook and its deliveries; what is on its way is not sent any more."""
    async with as_caller(pool, caller.subject) as conn:
        row = await _find(conn, caller, webhook_id)
        await webhooks.delete_webhook(conn, webhook_id)
        await _audit(conn, caller, "webhook.deleted", row, host=urlsplit(row.url).hostname)


@post("/{webhook_id:str}/rotate-secret", status_code=200, responses=problems(404), summary="Renew the secret")
async def rotate_secret(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    secret_box: NamedDependency[SecretBox],
    webhook_id: WebhookId,
) -> WebhookWithSecret:
    """Make a new secret, shown this once. For a day events are signed with the old one as well."""
    secret = new_secret()
    async with as_caller(pool, caller.subject) as conn:
        await _find(conn, caller, webhook_id)
        await webhooks.rotate_secret(
            conn, webhook_id, sealed_secret=secret_box.seal(secret), grace_hours=SECRET_GRACE_HOURS
        )
        row = await _find(conn, caller, webhook_id)
        await _audit(conn, caller, "webhook.secret_rotated", row)
    return WebhookWithSecret.with_secret(row, secret)


@post("/{webhook_id:str}/test", status_code=202, responses=problems(404, 409), summary="Send a ping")
async def ping_webhook(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], webhook_id: WebhookId
) -> Delivery:
    """Send a `ping` event, whatever events the webhook wants; the delivery tells how it went."""
    async with as_caller(pool, caller.subject) as conn:
        row = await _find(conn, caller, webhook_id)
        _require_active(row)
        async with as_service(conn):
            delivery_id = await emit_to(conn, webhook_id, "ping", {"webhook_id": webhook_id})
        return Delivery.from_row(await _find_delivery(conn, webhook_id, delivery_id))


@get("/{webhook_id:str}/deliveries", responses=problems(404), summary="List deliveries")
async def list_deliveries(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    webhook_id: WebhookId,
    limit: Limit = 50,
    after: After = None,
    status: Status = None,
) -> Page[Delivery]:
    """Return what was sent to a webhook in the last 30 days, or is to be, newest first."""
    cursor = decode_cursor(after, deliveries.Cursor)
    if cursor is not None and not _is_uuid(cursor.id):
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.")
    async with as_caller(pool, caller.subject) as conn:
        await _find(conn, caller, webhook_id)
        rows = await deliveries.list_deliveries(
            conn, webhook_id, limit=limit + 1, after=cursor, status=status
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Delivery.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(deliveries.Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/{webhook_id:str}/deliveries/{delivery_id:str}", responses=problems(404), summary="Get a delivery")
async def get_delivery(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    webhook_id: WebhookId,
    delivery_id: DeliveryId,
) -> DeliveryDetail:
    """Return a delivery with its body, and the beginning of the last reply."""
    async with as_caller(pool, caller.subject) as conn:
        await _find(conn, caller, webhook_id)
        return DeliveryDetail.from_row(await _find_delivery(conn, webhook_id, delivery_id))


@post(
    "/{webhook_id:str}/deliveries/{delivery_id:str}/replay",
    status_code=202,
    responses=problems(404, 409),
    summary="Send an event again",
)
async def replay_delivery(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    webhook_id: WebhookId,
    delivery_id: DeliveryId,
) -> Delivery:
    """Send the same event again, now, under the same webhook-id, so that receivers can tell."""
    async with as_caller(pool, caller.subject) as conn:
        _require_active(await _find(conn, caller, webhook_id))
        await _find_delivery(conn, webhook_id, delivery_id)
        async with as_service(conn):
            await deliveries.replay_delivery(conn, delivery_id)
            await enqueue_deliveries(conn, [delivery_id])
        return Delivery.from_row(await _find_delivery(conn, webhook_id, delivery_id))


def _whose(caller: Caller) -> tuple[str, list[str]]:
    """Return what db.webhooks goes by: the caller, and the teams whose webhooks they manage."""
    return caller.user_id, caller.teams_with("webhooks:manage")


async def _find(conn: Conn, caller: Caller, webhook_id: str) -> WebhookRow:
    row = await webhooks.find_webhook(conn, *_whose(caller), webhook_id)
    if row is None:
        raise not_found("webhook")
    return row


async def _find_delivery(conn: Conn, webhook_id: str, delivery_id: str) -> DeliveryRow:
    row = await deliveries.find_delivery(conn, webhook_id, delivery_id) if _is_uuid(delivery_id) else None
    if row is None:
        raise not_found("delivery")
    return row


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _require_active(row: WebhookRow) -> None:
    if not row.is_active:
        raise Problem(
            HTTPStatus.CONFLICT, "The webhook is paused: activate it first, with `PATCH` and is_active."
        )


def _line(description: str | None) -> str | None:
    return None if description is None else clean_line(description) or None


async def _audit(conn: Conn, caller: Caller, action: str, row: WebhookRow, **details: object) -> None:
    async with as_service(conn):
        await audit(conn, caller, action, "webhook", row.id, team_id=row.team_id, **details)


webhooks_router = Router(
    "/v1/webhooks",
    tags=["webhooks"],
    route_handlers=[
        create_webhook,
        list_webhooks,
        get_webhook,
        update_webhook,
        delete_webhook,
        rotate_secret,
        ping_webhook,
        list_deliveries,
        get_delivery,
        replay_delivery,
    ],
)
