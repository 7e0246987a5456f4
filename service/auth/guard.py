"""Every route is closed unless the access table says otherwise: authentication, scopes and rates in one guard."""

import hmac
from collections.abc import Container
from http import HTTPStatus
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from db.callers import CallerRow, find_caller, is_admitted
from db.users import LOCAL_OWNER_CLERK_ID
from service.auth.access import PUBLIC, ROUTES, Role
from service.auth.caller import ALL_SCOPES, Caller
from service.auth.errors import IdentityProviderUnavailable, TokenRefused
from service.auth.keys import hash_key, is_key_shaped
from service.auth.oidc import is_token_shaped
from service.auth.rates import check_rates, rate_headers
from service.auth.sign_in import find_person
from service.errors import Problem, unauthorized

RESPONSE_HEADERS = "docsearch.response_headers"
"""Under this name in a request's scope: headers that its reply is to carry, be it good or bad."""

_HOW = "Send an API key as `Authorization: Bearer dsk_…`; make one with `docsearch keys create --name NAME`."


async def require_caller(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Put the Caller into the connection's scope, or answer 401, 403 or 429 before anything of the body is read."""
    scope: Any = connection.scope
    # PostgreSQL text cannot hold NUL; no id, cursor or filter of ours has one.
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        raise Problem(HTTPStatus.BAD_REQUEST, "The address holds a NUL character.")
    if scope["method"] == "OPTIONS":  # says which methods there are, and is made by the framework
        return
    needed = ROUTES[route_name(scope["method"], scope["path_template"])]
    if needed is PUBLIC:
        return
    state = connection.app.state
    row = await _authenticate(state, connection.headers.get("authorization"))
    scope[RESPONSE_HEADERS] = rate_headers(row, state.rate_limits)
    check_rates(row, state.rate_limits)
    caller = to_caller(row, state.administrators)
    if not caller.may(needed):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"This key lacks the scope {needed}; it has: {', '.join(sorted(caller.scopes)) or 'none'}.",
            required_scope=needed,
        )
    scope["auth"] = caller


def route_name(method: str, path: str) -> str:
    """Return a route as the access table writes it."""
    return f"{method} {path.rstrip('/') or '/'}"


async def _authenticate(state: State, header: str | None) -> CallerRow:
    if header is None:
        raise unauthorized(f"This needs an API key or a session token. {_HOW}")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() == "bearer" and is_key_shaped(token):
        return await _by_key(state, token)
    if scheme.lower() == "bearer" and is_token_shaped(token):
        return await _by_token(state, token)
    raise unauthorized(f"The Authorization header holds neither an API key nor a session token. {_HOW}")


async def _by_key(state: State, key: str) -> CallerRow:
    hashed = hash_key(state.signing_secret, key)
    async with state.pool.acquire() as conn:
        row = await find_caller(conn, hashed, state.rate_limits)
    if row is None or not hmac.compare_digest(row.key_hash or "", hashed):
        raise unauthorized("This API key is unknown, revoked or expired.")
    return row


async def _by_token(state: State, token: str) -> CallerRow:
    if state.verifier is None:
        raise unauthorized(f"No identity provider is configured here. {_HOW}")
    try:
        identity = await state.verifier.verify(token)
        return await find_person(state.pool, identity, state.rate_limits, new_tier=state.new_tier)
    except TokenRefused as exc:
        raise unauthorized(str(exc)) from exc
    except IdentityProviderUnavailable as exc:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(exc), headers={"Retry-After": "5"}) from exc


async def is_still_valid(state: State, caller: Caller) -> bool:
    """Return whether a caller whose request goes on for long would be let in again: their key, or their account."""
    async with state.pool.acquire() as conn:
        return await is_admitted(conn, caller.user_id, caller.key_id)


def to_caller(row: CallerRow, administrators: Container[str] = frozenset()) -> Caller:
    """Return the caller that a row is; administrators are addresses in lower case, which count where verified."""
    named = row.email_verified and row.email.lower() in administrators
    return Caller(
        user_id=row.user_id,
        subject=row.subject,
        key_id=row.key_id,
        expires_at=row.expires_at,
        scopes=ALL_SCOPES if row.key_id is None else frozenset(row.scopes),
        roles={team_id: Role(role) for team_id, role in zip(row.team_ids, row.team_roles, strict=True)},
        is_administrator=named or row.subject == LOCAL_OWNER_CLERK_ID,
    )


async def provide_caller(request: Request[Any, Caller, Any]) -> Caller:
    caller: Caller = request.scope["auth"]
    return caller
