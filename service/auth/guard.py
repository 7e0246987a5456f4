"""Every route is closed unless it says otherwise: authentication and scopes in one guard on the application."""

from http import HTTPStatus
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from db.callers import find_caller
from db.pool import Pool
from service.auth.caller import Caller
from service.auth.keys import hash_key, is_key_shaped
from service.errors import Problem, unauthorized

PUBLIC = "public"
"""Route option: True opens the route to everybody."""
SCOPE = "scope"
"""Route option: the scope that a key needs here."""

_HOW = "Send an API key as `Authorization: Bearer dsk_…`; make one with `docsearch keys create --name NAME`."


async def require_caller(
    connection: ASGIConnection[Any, Any, Any, Any], route_handler: BaseRouteHandler
) -> None:
    """Put the Caller into the connection's scope, or answer 401 or 403 before anything of the body is read."""
    # PostgreSQL text cannot hold NUL; no id, cursor or filter of ours has one.
    if "\x00" in connection.scope["path"] or b"%00" in connection.scope["query_string"]:
        raise Problem(HTTPStatus.BAD_REQUEST, "The address holds a NUL character.")
    if route_handler.opt.get(PUBLIC):
        return
    state = connection.app.state
    caller = await _authenticate(state.pool, state.signing_secret, connection.headers.get("authorization"))
    scope: str = route_handler.opt[SCOPE]
    if not caller.may(scope):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"This key lacks the scope {scope}; it has: {', '.join(sorted(caller.scopes)) or 'none'}.",
            required_scope=scope,
        )
    connection.scope["auth"] = caller


async def _authenticate(pool: Pool, secret: bytes, header: str | None) -> Caller:
    if header is None:
        raise unauthorized(f"This needs an API key. {_HOW}")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not is_key_shaped(token.strip()):
        raise unauthorized(f"The Authorization header does not hold an API key. {_HOW}")
    async with pool.acquire() as conn:
        row = await find_caller(conn, hash_key(secret, token.strip()))
    if row is None:
        raise unauthorized("This API key is unknown, revoked or expired.")
    return Caller(
        user_id=row.user_id,
        key_id=row.key_id,
        scopes=frozenset(row.scopes),
        spaces=(row.user_id, *row.team_ids),
        writable_spaces=(row.user_id, *row.writable_team_ids),
    )


async def provide_caller(request: Request[Any, Caller, Any]) -> Caller:
    caller: Caller = request.scope["auth"]
    return caller
