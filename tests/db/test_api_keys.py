from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from db.api_keys import insert_api_key, list_api_keys, revoke_api_key
from db.callers import find_caller
from db.users import create_user


@pytest.fixture
async def user(conn):
    return await create_user(conn, email="a@example.com")


async def test_a_key_is_found_by_its_hash(conn, user):
    key = await insert_api_key(conn, user_id=user.id, name="ci", key_hash="h1", scopes=["read", "write"])
    found = await find_caller(conn, "h1")
    assert found is not None
    assert (found.key_id, found.user_id, found.scopes) == (key.id, user.id, key.scopes)
    assert (key.user_id, key.scopes, key.is_active, key.expires_at) == (
        user.id,
        ["read", "write"],
        True,
        None,
    )
    assert await find_caller(conn, "h2") is None


@pytest.mark.parametrize(("hours", "found"), [(-1, False), (1, True)])
async def test_an_expired_key_is_not_found(conn, user, hours, found):
    # To the millisecond, as the column keeps it.
    expires_at = (datetime.now(UTC) + timedelta(hours=hours)).replace(microsecond=123000)
    await insert_api_key(conn, user_id=user.id, name="n", key_hash="h", scopes=[], expires_at=expires_at)
    key = await find_caller(conn, "h")
    assert (key is not None and key.expires_at == expires_at) is found


async def test_a_revoked_key_is_not_found_but_listed(conn, user):
    key = await insert_api_key(conn, user_id=user.id, name="n", key_hash="h", scopes=[])
    assert await revoke_api_key(conn, user_id=user.id, key_id=key.id)
    assert not await revoke_api_key(conn, user_id=user.id, key_id=key.id)
    assert await find_caller(conn, "h") is None
    assert [(listed.id, listed.is_active) for listed in await list_api_keys(conn, user.id)] == [
        (key.id, False)
    ]


async def test_nobody_revokes_or_lists_the_keys_of_another(conn, user):
    other = await create_user(conn, email="b@example.com")
    key = await insert_api_key(conn, user_id=user.id, name="n", key_hash="h", scopes=[])
    assert not await revoke_api_key(conn, user_id=other.id, key_id=key.id)
    assert await list_api_keys(conn, other.id) == []


async def test_keys_are_listed_newest_first(conn, user):
    for n in range(3):
        await insert_api_key(conn, user_id=user.id, name=str(n), key_hash=str(n), scopes=[])
        await conn.execute("""UPDATE "ApiKey" SET "createdAt" = "createdAt" - interval '1 hour'""")
    assert [key.name for key in await list_api_keys(conn, user.id)] == ["2", "1", "0"]


async def test_a_key_that_prisma_wrote_without_scopes_has_none(conn, user):
    await conn.execute(
        """INSERT INTO "ApiKey" ("userId", "name", "key", "scopes") VALUES ($1, 'n', 'h', NULL)""", user.id
    )
    key = await find_caller(conn, "h")
    assert key is not None
    assert key.scopes == []


async def test_a_hash_is_stored_once(conn, user):
    await insert_api_key(conn, user_id=user.id, name="n", key_hash="h", scopes=[])
    with pytest.raises(asyncpg.UniqueViolationError, match="ApiKey_key_key"):
        await insert_api_key(conn, user_id=user.id, name="m", key_hash="h", scopes=[])
