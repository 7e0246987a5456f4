"""POST /v1/clerk/webhook: what happens to people at Clerk happens to their accounts here."""

from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, post
from litestar.di import NamedDependency

from db import accounts
from db.accounts import Profile
from db.pool import Conn, Pool
from db.received_events import claim_event
from db.tenancy import as_system
from service.accounts.clerk import (
    MAX_BODY_BYTES,
    ClerkDeletion,
    ClerkUser,
    EventRefused,
    check_secret,
    read_event,
    verify_message,
)
from service.accounts.deletion import LastOwnership, erase
from service.audit import audit_system
from service.auth.sign_in import make_account
from service.errors import Problem
from service.joining import accept_invitations
from service.openapi import only_problems
from service.settings import Settings, SettingsError, read_list

log = structlog.get_logger()


@post(
    "/v1/clerk/webhook",
    status_code=204,
    responses=only_problems(400, 404, 409, 413, 503),
    request_max_body_size=MAX_BODY_BYTES,
    tags=["account"],
    summary="Clerk's webhook",
)
async def receive_clerk_event(
    request: Request[Any, Any, Any], pool: NamedDependency[Pool], deployment: NamedDependency[Settings]
) -> None:
    """Take a signed user.created, user.updated or user.deleted; anything else is accepted and ignored.

    Messages may come twice, late, and in another order than things happened.
    """
    secrets = clerk_secrets(deployment)
    if not secrets:
        raise Problem(HTTPStatus.NOT_FOUND, "No CLERK_WEBHOOK_SECRET is configured here.")
    body = await request.body()
    try:
        message_id = verify_message(body, dict(request.headers), secrets)
        event = read_event(body)
    except EventRefused as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, str(exc)) from exc
    if event is not None:
        await take_event(pool, message_id, event, deployment.new_tier)


def check_clerk_secrets(settings: Settings) -> None:
    """Raise SettingsError for a secret that would refuse every message."""
    for secret in clerk_secrets(settings):
        try:
            check_secret(secret)
        except ValueError as exc:
            raise SettingsError(f"Configuration is not valid. CLERK_WEBHOOK_SECRET: {exc}.") from exc


def clerk_secrets(settings: Settings) -> list[str]:
    secret = settings.clerk_webhook_secret
    return [] if secret is None else read_list(secret.get_secret_value())


async def take_event(pool: Pool, message_id: str, event: ClerkUser | ClerkDeletion, new_tier: str) -> None:
    """Do what an event says, once; a repeat changes nothing. new_tier is the plan of those who are new."""
    async with as_system(pool) as conn:
        # Remembered without whom it is about: that goes when they go.
        is_first = await claim_event(
            conn,
            "clerk",
            message_id,
            event_type=type(event).__name__,
            subject=None,
            occurred_at=_moment(event.at_ms),
        )
        if not is_first:
            log.info("clerk_event_repeated", message_id=message_id)
        elif isinstance(event, ClerkDeletion):
            await _delete(conn, event)
        else:
            await _update(conn, event, new_tier)


async def _update(conn: Conn, event: ClerkUser, new_tier: str) -> None:
    await accounts.lock_subject(conn, event.clerk_id)
    profile = Profile(
        subject=event.clerk_id,
        email=event.email,
        first_name=event.first_name,
        last_name=event.last_name,
        username=event.username,
        image_url=event.image_url,
    )
    user_id = await accounts.find_subject_id(conn, event.clerk_id)
    if user_id is not None:
        if await accounts.apply_profile(conn, profile, changed_at=_moment(event.at_ms)):
            await accept_invitations(conn, user_id)
        return
    if await accounts.find_burial(conn, event.clerk_id) is not None:
        log.info("clerk_event_after_deletion")  # only signing in anew begins a new account
        return
    await make_account(conn, profile, "clerk", tier=new_tier, changed_at=_moment(event.at_ms))


async def _delete(conn: Conn, event: ClerkDeletion) -> None:
    """Delete, whatever came before: Clerk gives an id to nobody else. A team's last owner passes it on."""
    await accounts.lock_subject(conn, event.clerk_id)
    user_id = await accounts.find_subject_id(conn, event.clerk_id)
    if user_id is None:
        await accounts.bury_subject(conn, event.clerk_id)
        return
    await erase(conn, user_id, LastOwnership.PASS_ON, partial(audit_system, conn, "clerk"))


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
