"""Every route is closed unless the access table says otherwise: authentication, scopes and rates in one guard."""

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from db.callers import CallerRow, Limit, find_caller
from db.pool import Pool
from service.auth.access import PUBLIC, ROUTES, Role
from service.auth.caller import Caller
from service.auth.keys import hash_key, is_key_shaped
from service.auth.rates import check_rates, rate_headers
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
    row = await _authenticate(
        state.pool, state.signing_secret, state.rate_limits, connection.headers.get("authorization")
    )
    scope[RESPONSE_HEADERS] = rate_headers(row, state.rate_limits)
    check_rates(row, state.rate_limits)
    caller = to_caller(row)
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


async def _authenticate(pool: Pool, secret: bytes, limits: Sequence[Limit], header: str | None) -> CallerRow:
    if header is None:
        raise unauthorized(f"This needs an API key. {_HOW}")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not is_key_shaped(token.strip()):
        raise unauthorized(f"The Authorization header does not hold an API key. {_HOW}")
    hashed = hash_key(secret, token.strip())
    async with pool.acquire() as conn:
        row = await find_caller(conn, hashed, limits)
    if row is None or not hmac.compare_digest(row.key_hash or "", hashed):
        raise unauthorized("This API key is unknown, revoked or expired.")
    return row


def to_caller(row: CallerRow) -> Caller:
    return Caller(
        user_id=row.user_id,
        subject=row.subject,
        key_id=row.key_id,
        expires_at=row.expires_at,
        scopes=frozenset(row.scopes),
        roles={team_id: Role(role) for team_id, role in zip(row.team_ids, row.team_roles, strict=True)},
    )


async def provide_caller(request: Request[Any, Caller, Any]) -> Caller:
    caller: Caller = request.scope["auth"]
    return caller
