"""From a verified token to a caller: people are made at first sight, and kept up to what their provider says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from msgspec.structs import replace

from db import accounts
from db.accounts import Profile
from db.audit import Actor
from db.callers import CallerRow, Limit, find_caller_by_subject
from db.errors import Taken
from db.pool import Conn, Pool
from db.tenancy import as_system
from service.audit import audit_system
from service.auth.errors import TokenRefused
from service.auth.identity import Identity
from service.auth.oidc import LEEWAY_S, TokenVerifier
from service.joining import accept_invitations
from service.settings import Settings, SettingsError, read_list

log = structlog.get_logger()

# A statement sees what others committed before it: the second sees who took the name that the first wanted.
_ATTEMPTS = 3


@asynccontextmanager
async def open_verifier(settings: Settings) -> AsyncIterator[TokenVerifier | None]:
    """Open the verifier of OIDC_ISSUER's tokens, None where there is no issuer. Raises SettingsError."""
    if settings.oidc_issuer is None:
        yield None
        return
    async with _configured(settings, settings.oidc_issuer) as verifier:
        yield verifier


def _configured(settings: Settings, issuer: str) -> TokenVerifier:
    try:
        return TokenVerifier(
            issuer,
            audience=settings.oidc_audience,
            authorized_parties=read_list(settings.oidc_authorized_parties),
            algorithms=read_list(settings.oidc_algorithms),
            jwks_url=settings.oidc_jwks_url,
        )
    except ValueError as exc:
        raise SettingsError(f"Configuration is not valid. OIDC_ISSUER and its settings: {exc}.") from exc


async def find_person(pool: Pool, identity: Identity, limits: Sequence[Limit], *, new_tier: str) -> CallerRow:
    """Return the person of a verified token, and count the request: one round trip, but for what is new of them.

    new_tier is the plan of those who are new themselves.

    Raises TokenRefused for somebody who was deleted after the token was issued.
    """
    row = await _find(pool, identity, limits)
    if row is None:
        async with as_system(pool) as conn:
            await _meet(conn, identity, new_tier)
        row = await _find(pool, identity, limits)
    elif row.invited or (row.first_in_a_minute and identity.email_verified and identity.email != row.email):
        await _catch_up(pool, row.user_id, identity)
        again = await _find(pool, identity, ())
        # Counted once, by the first.
        row = None if again is None else replace(again, windows=row.windows, now=row.now)
    if row is None:
        raise TokenRefused("This account has just been deleted.")
    return row


async def _find(pool: Pool, identity: Identity, limits: Sequence[Limit]) -> CallerRow | None:
    async with pool.acquire() as conn:
        return await find_caller_by_subject(conn, identity.subject, limits)


async def _meet(conn: Conn, identity: Identity, new_tier: str) -> None:
    """Make an account for somebody who comes for the first time; of requests that come at once, one does."""
    await accounts.lock_subject(conn, identity.subject)
    deleted_at = await accounts.find_burial(conn, identity.subject)
    if deleted_at is not None and identity.issued_at <= deleted_at + timedelta(seconds=LEEWAY_S):
        raise TokenRefused("This account has been deleted: sign in again to begin a new one.")
    if await accounts.find_subject_id(conn, identity.subject) is None:
        await make_account(conn, to_profile(identity), "system", tier=new_tier, changed_at=None)


async def make_account(
    conn: Conn, profile: Profile, actor: Actor, *, tier: str, changed_at: datetime | None
) -> None:
    """Make the account of somebody who has none, and join the teams that wait for them.

    conn acts for the service and holds the subject's lock. changed_at is the moment that the profile is of.
    """
    for _ in range(_ATTEMPTS):
        user_id = await accounts.create_account(conn, profile, tier=tier, changed_at=changed_at)
        if user_id is not None:
            await audit_system(conn, actor, "user.created", "user", user_id)
            await accept_invitations(conn, user_id)
            return
    raise LookupError("an account could not be made, whatever names it was to have")


async def _catch_up(pool: Pool, user_id: str, identity: Identity) -> None:
    """Take over an address that the provider has verified since, and join the teams that wait for it."""
    try:
        async with as_system(pool) as conn:
            if identity.email is not None and identity.email_verified:
                await accounts.apply_email(
                    conn, identity.subject, identity.email, changed_at=identity.issued_at
                )
            await accept_invitations(conn, user_id)
    except Taken:
        # Somebody else proved the same address at the same moment. They have it.
        log.info("address_taken", user_id=user_id)


def to_profile(identity: Identity) -> Profile:
    return Profile(
        subject=identity.subject,
        email=identity.email if identity.email_verified else None,
        first_name=identity.first_name,
        last_name=identity.last_name,
        username=identity.username,
        image_url=identity.image_url,
    )
