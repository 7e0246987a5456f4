"""Keys made by keys: shown once, never more than their maker, and written to seldom."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from tests.locks import until_waiting
from tests.running import Service


def test_a_key_is_shown_once_and_never_again(server: Service) -> None:
    with server.client() as client:
        made = client.post("/v1/api-keys", json={"name": "site", "scopes": ["search"], "expires_in_days": 7})
        key, known = made.json()["key"], made.json()["api_key"]
        assert made.headers["cache-control"] == "no-store"
        assert key.startswith(known["prefix"])
        assert len(known["prefix"]) == 8
        for path in ("/v1/api-keys", f"/v1/api-keys/{known['id']}"):
            assert key not in client.get(path).text
    assert server.call(_stored(server, known["id"])) != key
    expires_in = datetime.fromisoformat(known["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6) < expires_in <= timedelta(days=7)


async def _stored(server: Service, key_id: str) -> str:
    async with server.runtime.pool.acquire() as conn:
        return str(await conn.fetchval('SELECT "key" FROM "ApiKey" WHERE "id" = $1', key_id))


def test_a_key_gives_no_more_than_it_has_and_no_longer(server: Service) -> None:
    with server.client() as client:
        made = client.post(
            "/v1/api-keys", json={"name": "m", "scopes": ["keys", "search"], "expires_in_days": 2}
        ).json()
    with server.client(made["key"]) as limited:
        for scopes in (["admin"], ["search", "documents:read"]):
            reply = limited.post("/v1/api-keys", json={"name": "n", "scopes": scopes})
            assert reply.status_code == 403
        child = limited.post("/v1/api-keys", json={"name": "n", "scopes": ["search"]}).json()["api_key"]
        longer = limited.post(
            "/v1/api-keys", json={"name": "n", "scopes": ["search"], "expires_in_days": 900}
        ).json()["api_key"]
    assert child["expires_at"] == longer["expires_at"] == made["api_key"]["expires_at"]


def test_keys_made_at_once_stay_within_the_limit(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:

        def make(number: int) -> int:
            return client.post("/v1/api-keys", json={"name": f"{number}", "scopes": ["search"]}).status_code

        assert {make(number) for number in range(97)} == {201}  # and the one that asks
        made = server.call(_make_at_once(server, make))
    assert sorted(made) == [201] * 2 + [409] * 4


async def _make_at_once(server: Service, make: Callable[[int], int]) -> list[int]:
    """Let six requests come as far as they get while no key can be inserted, then let them go on."""
    async with server.runtime.pool.acquire() as conn, conn.transaction():
        await conn.execute("""SELECT FROM "User" WHERE "email" = 'ann@example.com' FOR UPDATE""")
        making = asyncio.gather(*(asyncio.to_thread(make, number) for number in range(6)))
        await until_waiting(conn, 6, unless=making)
    return await making


def test_bad_scopes_and_names_are_explained(server: Service) -> None:
    with server.client() as client:
        unknown = client.post("/v1/api-keys", json={"name": "n", "scopes": ["everything"]})
        assert unknown.status_code == 422
        assert "documents:read" in unknown.json()["detail"]
        assert client.post("/v1/api-keys", json={"name": " \t ", "scopes": ["search"]}).status_code == 422
        assert client.post("/v1/api-keys", json={"name": "n", "scopes": []}).status_code == 400


def test_using_a_key_does_not_write_at_every_request(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        [known] = client.get("/v1/api-keys").json()["data"]
        before = server.call(_version(server, known["id"]))
        for _ in range(5):
            client.get("/v1/api-keys")
        assert server.call(_version(server, known["id"])) == before
        assert client.get("/v1/api-keys").json()["data"][0]["last_used_at"] is not None


async def _version(server: Service, key_id: str) -> str:
    async with server.runtime.pool.acquire() as conn:
        return str(await conn.fetchval('SELECT xmin::text FROM "ApiKey" WHERE "id" = $1', key_id))
