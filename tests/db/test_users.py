import asyncio

import asyncpg
import pytest

from db.users import complete_onboarding, create_user, delete_user, ensure_local_owner, find_user


async def test_the_local_owner_is_made_once(pool):
    async def one():
        async with pool.acquire() as conn:
            return await ensure_local_owner(conn)

    owners = await asyncio.gather(*(one() for _ in range(4)))
    assert len({owner.id for owner in owners}) == 1
    assert (owners[0].clerk_id, owners[0].email) == ("local-owner", "owner@localhost")
    assert not owners[0].onboarding_completed


async def test_onboarding_is_completed_for_good(conn):
    owner = await ensure_local_owner(conn)
    await complete_onboarding(conn, owner.id)
    assert (await ensure_local_owner(conn)).onboarding_completed


async def test_a_user_is_found_by_id(conn):
    user = await create_user(conn, email="a@example.com", clerk_id="user_1")
    assert await find_user(conn, user.id) == user
    assert await find_user(conn, "nobody") is None


async def test_an_email_belongs_to_one_user(conn):
    await create_user(conn, email="a@example.com")
    await create_user(conn, email="b@example.com")
    with pytest.raises(asyncpg.UniqueViolationError, match="User_email_key"):
        await create_user(conn, email="a@example.com")


async def test_deleting_a_user_takes_what_is_theirs_and_leaves_what_is_a_teams(conn):
    user = await create_user(conn, email="a@example.com")
    other = await create_user(conn, email="b@example.com")
    await conn.execute("""INSERT INTO "Team" ("id", "name", "slug") VALUES ('t', 'T', 't')""")
    await conn.execute(
        """
        INSERT INTO "Document" ("id", "userId", "teamId", "title", "content")
        VALUES ('mine', $1, NULL, '', ''), ('teams', $1, 't', '', ''), ('others', $2, NULL, '', '')
        """,
        user.id,
        other.id,
    )
    await conn.execute("""INSERT INTO "Webhook" ("userId", "url", "secret") VALUES ($1, 'u', 's')""", user.id)
    assert await delete_user(conn, user.id)
    assert not await delete_user(conn, user.id)
    assert {row["id"] for row in await conn.fetch('SELECT "id" FROM "Document"')} == {"teams", "others"}
    assert await conn.fetchval('SELECT count(*) FROM "Webhook"') == 0
    assert await find_user(conn, other.id) == other
