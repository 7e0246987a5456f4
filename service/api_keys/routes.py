"""/v1/api-keys: make (shown once), list, rename, revoke. A key cannot make one that may more, or lives longer."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import api_keys
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.api_keys.schemas import ApiKey, ApiKeyPatch, CreatedApiKey, NewApiKey
from service.audit import audit
from service.auth.access import SCOPES
from service.auth.caller import Caller
from service.auth.keys import display_prefix, hash_key, mint_key
from service.errors import Problem, not_found
from service.openapi import problems
from service.schemas import Page
from service.text import one_line

MAX_ACTIVE_KEYS = 100
"""Of one person: enough for a key a machine, few enough to look through."""

KeyId = Annotated[str, PathParameter(description="The key's id.", max_length=100)]


@post("/", responses=problems(409, 422), summary="Make an API key")
async def create_api_key(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    data: JSONBody[NewApiKey],
    state: State,
) -> Response[CreatedApiKey]:
    """Return a new key, this once: only a hash of it is kept."""
    scopes = _allowed_scopes(caller, data.scopes)
    key = mint_key()
    async with as_caller(pool, caller.subject) as conn:
        if await api_keys.count_active(conn, caller.user_id) >= MAX_ACTIVE_KEYS:
            raise Problem(
                HTTPStatus.CONFLICT, f"There are {MAX_ACTIVE_KEYS} active keys already: revoke one first."
            )
        row = await api_keys.insert_api_key(
            conn,
            user_id=caller.user_id,
            name=one_line(data.name, "name"),
            key_hash=hash_key(state.signing_secret, key),
            prefix=display_prefix(key),
            scopes=scopes,
            expires_at=_expiry(caller, data.expires_in_days),
        )
        async with as_service(conn):
            await audit(conn, caller, "key.created", "key", row.id, name=row.name, scopes=row.scopes)
    # A proxy or a browser must not keep what is shown once.
    return Response(
        CreatedApiKey(key=key, api_key=ApiKey.from_row(row)), headers={"Cache-Control": "no-store"}
    )


def _allowed_scopes(caller: Caller, wanted: list[str]) -> list[str]:
    unknown = sorted(set(wanted) - SCOPES.keys())
    if unknown:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"scopes: {', '.join(unknown)} is not known; there are: {', '.join(SCOPES)}.",
        )
    beyond = sorted(scope for scope in set(wanted) if not caller.may(scope))
    if beyond:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"This key may not give what it does not have: {', '.join(beyond)}.",
            required_scope=beyond[0],
        )
    return sorted(set(wanted))


def _expiry(caller: Caller, days: int | None) -> datetime | None:
    wanted = None if days is None else datetime.now(UTC) + timedelta(days=days)
    # Or a key that was stolen for a day would make itself one for good.
    ends = [moment for moment in (wanted, caller.expires_at) if moment is not None]
    return min(ends, default=None)


@get("/", responses=problems(), summary="List API keys")
async def list_api_keys(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> Page[ApiKey]:
    """Return all of the caller's keys, newest first, revoked ones too; never the keys themselves."""
    async with as_caller(pool, caller.subject) as conn:
        rows = await api_keys.list_api_keys(conn, caller.user_id)
    return Page(data=[ApiKey.from_row(row) for row in rows], has_more=False, next_cursor=None)


@get("/{key_id:str}", responses=problems(404), summary="Get an API key")
async def get_api_key(caller: NamedDependency[Caller], pool: NamedDependency[Pool], key_id: KeyId) -> ApiKey:
    """Return what is known of a key, which is not the key."""
    async with as_caller(pool, caller.subject) as conn:
        row = await api_keys.find_api_key(conn, user_id=caller.user_id, key_id=key_id)
    if row is None:
        raise not_found("key")
    return ApiKey.from_row(row)


@patch("/{key_id:str}", responses=problems(404, 422), summary="Rename an API key")
async def rename_api_key(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], key_id: KeyId, data: JSONBody[ApiKeyPatch]
) -> ApiKey:
    """Change a key's name."""
    async with as_caller(pool, caller.subject) as conn:
        row = await api_keys.rename_api_key(
            conn, user_id=caller.user_id, key_id=key_id, name=one_line(data.name, "name")
        )
    if row is None:
        raise not_found("key")
    return ApiKey.from_row(row)


@delete("/{key_id:str}", responses=problems(404), summary="Revoke an API key")
async def revoke_api_key(caller: NamedDependency[Caller], pool: NamedDependency[Pool], key_id: KeyId) -> None:
    """Revoke a key for good: the next request with it is refused, whichever process it reaches."""
    async with as_caller(pool, caller.subject) as conn:
        if not await api_keys.revoke_api_key(conn, user_id=caller.user_id, key_id=key_id):
            raise not_found("active key")
        async with as_service(conn):
            await audit(conn, caller, "key.revoked", "key", key_id)


api_keys_router = Router(
    "/v1/api-keys",
    tags=["API keys"],
    route_handlers=[create_api_key, list_api_keys, get_api_key, rename_api_key, revoke_api_key],
)
