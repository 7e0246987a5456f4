"""`docsearch keys rotate-encryption`: everything sealed is sealed anew while others write, and the old key can go."""

import asyncio
import base64

import pytest

from db.pool import Conn, Pool
from service.rotation import rotate
from service.secrets import PREFIX, SecretBox
from service.settings import load_settings
from tests.locks import until_waiting
from tests.service.commands.conftest import Run, reply

OLD, NEW, OTHER = (base64.urlsafe_b64encode(byte * 32).decode() for byte in (b"\x0f", b"\xf0", b"\x99"))


@pytest.fixture
def keys(database_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", f"{NEW},{OLD}")
    return monkeypatch


async def add_webhooks(conn: Conn, secrets: list[str], previous: str | None = None) -> None:
    await conn.executemany(
        """
        INSERT INTO "Webhook" ("userId", "url", "secret", "previousSecret")
        VALUES ('ann', 'https://example.com', $1, $2)
        """,
        [(secret, previous) for secret in secrets],
    )


async def add_model(conn: Conn, config: dict[str, object]) -> str:
    model_id: str = await conn.fetchval(
        """
        INSERT INTO "AIModel" ("name", "provider", "modelId", "config")
        VALUES ('m', 'OPENAI', gen_random_uuid()::text, $1) RETURNING "id"
        """,
        config,
    )
    return model_id


async def add_credential(conn: Conn, sealed: str) -> str:
    credential_id: str = await conn.fetchval(
        """
        WITH ann AS (
            INSERT INTO "User" ("id", "clerkId", "email") VALUES ('ann', 'ann', 'ann@example.com')
            ON CONFLICT DO NOTHING
        )
        INSERT INTO credential (user_id, name, kind, sealed)
        VALUES ('ann', gen_random_uuid()::text, 'bearer', $1) RETURNING id
        """,
        sealed,
    )
    return credential_id


async def all_secrets(conn: Conn) -> list[str]:
    rows = await conn.fetch(
        """
        SELECT "secret" AS value FROM "Webhook"
        UNION ALL SELECT "previousSecret" FROM "Webhook" WHERE "previousSecret" IS NOT NULL
        UNION ALL SELECT "config" ->> 'apiKey' FROM "AIModel" WHERE "config" ->> 'apiKey' <> ''
        UNION ALL SELECT sealed FROM credential
        """
    )
    return [row["value"] for row in rows]


async def test_everything_is_resealed_and_the_old_key_is_not_needed(
    conn: Conn, run: Run, keys: object
) -> None:
    old = SecretBox(OLD)
    await add_webhooks(conn, [old.seal(f"whsec_{i}") for i in range(3)], previous=old.seal("whsec_before"))
    await add_webhooks(conn, ["whsec_plain", SecretBox(NEW).seal("whsec_current")])
    model_id = await add_model(conn, {"apiKey": old.seal("sk-1"), "temperature": 0.5})
    await add_model(conn, {"apiKey": "sk-plain"})
    for config in ({}, {"apiKey": ""}, {"apiKey": None}, {"apiKey": 7}):
        await add_model(conn, dict(config))
    credential_id = await add_credential(conn, old.seal('{"token":"t-1"}'))
    await add_credential(conn, SecretBox(NEW).seal('{"token":"t-2"}'))
    result = await asyncio.to_thread(run, "keys", "rotate-encryption", "--json")
    assert result.exit_code == 0, result.stderr
    assert reply(result) == {
        "webhook_secrets": {"resealed": 4, "current": 1, "unreadable": 0},
        "previous_webhook_secrets": {"resealed": 3, "current": 0, "unreadable": 0},
        "model_keys": {"resealed": 2, "current": 0, "unreadable": 0},
        "credentials": {"resealed": 1, "current": 1, "unreadable": 0},
    }
    new = SecretBox(NEW)
    opened = {new.open(value) for value in await all_secrets(conn) if value.startswith(PREFIX)}
    assert {f"whsec_{i}" for i in range(3)} | {"whsec_before", "whsec_plain", "whsec_current"} <= opened
    assert {"sk-1", "sk-plain"} <= opened
    kept = await conn.fetchval('SELECT "config" FROM "AIModel" WHERE "id" = $1', model_id)
    assert kept["temperature"] == 0.5
    sealed = await conn.fetchval("SELECT sealed FROM credential WHERE id = $1", credential_id)
    assert new.open(sealed) == '{"token":"t-1"}'
    again = reply(await asyncio.to_thread(run, "keys", "rotate-encryption", "--json"))
    assert {counts["resealed"] for counts in again.values()} == {0}


async def test_what_others_write_meanwhile_stays_theirs(pool: Pool, conn: Conn) -> None:
    """Processes with both keys change secrets all the while; afterwards the new key alone opens what they wrote."""
    old, both = SecretBox(OLD), SecretBox(f"{NEW},{OLD}")
    await add_webhooks(conn, [old.seal(f"whsec_{i}") for i in range(300)])
    ids = [row["id"] for row in await conn.fetch('SELECT "id" FROM "Webhook" ORDER BY "id"')]
    written: dict[str, str] = {}
    done = asyncio.Event()

    async def write() -> None:
        turn = 0
        while not done.is_set() or turn < 200:
            webhook_id, secret = ids[turn * 7 % len(ids)], f"whsec_written_{turn}"
            async with pool.acquire() as other:
                await other.execute(
                    'UPDATE "Webhook" SET "previousSecret" = "secret", "secret" = $2 WHERE "id" = $1',
                    webhook_id,
                    both.seal(secret),
                )
            written[webhook_id] = secret
            turn += 1

    writer = asyncio.create_task(write())
    await rotate(pool, both)
    done.set()
    await writer
    new = SecretBox(NEW)
    rows = await conn.fetch('SELECT "id", "secret", "previousSecret" FROM "Webhook"')
    for row in rows:
        assert row["previousSecret"] is None or new.open(row["previousSecret"])
        expected = written.get(row["id"])
        assert new.open(row["secret"]) == expected or expected is None
    assert len(rows) == 300


async def test_an_interrupted_rotation_goes_on(pool: Pool, conn: Conn) -> None:
    await add_webhooks(conn, [SecretBox(OLD).seal(f"whsec_{i}") for i in range(40)])
    both = SecretBox(f"{NEW},{OLD}")
    new = SecretBox(NEW)
    async with pool.acquire() as holding, holding.transaction():
        await holding.execute('SELECT FROM "Webhook" ORDER BY "id" OFFSET 20 LIMIT 1 FOR UPDATE')
        interrupted = asyncio.create_task(rotate(pool, both))
        await until_waiting(holding, unless=interrupted)
        interrupted.cancel()
        with pytest.raises(asyncio.CancelledError):
            await interrupted
    before = sum(new.is_current(value) for value in await all_secrets(conn))
    counts = (await rotate(pool, both))["webhook_secrets"]
    assert (counts.resealed, counts.current) == (40 - before, before)
    assert all(new.is_current(value) for value in await all_secrets(conn))


async def test_what_no_key_opens_is_told_and_left(conn: Conn, run: Run, keys: object) -> None:
    lost = SecretBox(OTHER).seal("whsec_lost")
    await add_webhooks(conn, [lost, SecretBox(OLD).seal("whsec_1")])
    result = await asyncio.to_thread(run, "keys", "rotate-encryption")
    assert result.exit_code == 1
    assert "1 resealed, 0 current, 1 unreadable" in result.stdout
    assert "ENCRYPTION_KEY" in result.stderr
    assert lost in await all_secrets(conn)


def test_a_missing_or_bad_key_is_a_sentence(run: Run, keys: pytest.MonkeyPatch) -> None:
    keys.setenv("ENCRYPTION_KEY", "short")
    result = run("keys", "rotate-encryption")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("docsearch: ENCRYPTION_KEY: it must be 32 random bytes in base64")
    assert "short" not in result.stderr
    keys.delenv("ENCRYPTION_KEY")
    assert "ENCRYPTION_KEY is not set" in run("keys", "rotate-encryption").stderr


def test_a_new_key_is_one(run: Run) -> None:
    key = run("keys", "new-encryption-key").stdout.strip()
    assert SecretBox(key).open(SecretBox(key).seal("text")) == "text"
    assert load_settings(encryption_key=key).encryption_keys() == key
