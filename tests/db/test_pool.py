"""What goes into the database and comes back, and how a database that is not there is told."""

import socket
from datetime import UTC, datetime, timedelta, timezone

import asyncpg
import numpy as np
import pytest
from pgvector import SparseVector, Vector

from db.dsn import connect_arguments, describe, with_database
from db.errors import DatabaseUnavailable, MissingExtension
from db.health import _check_vector, check_server
from db.pool import connect, open_pool


@pytest.mark.parametrize(
    ("sql_type", "value"),
    [
        ("jsonb", {"a": [1, 2.5, None, "ü", {"b": True}]}),
        ("jsonb", "text"),
        ("jsonb", []),
        ("json", {"a": 1}),
        ("jsonb[]", [{"a": 1}, "two", 3]),
        ("timestamp(3)", datetime(2024, 2, 29, 23, 59, 59, 999000, tzinfo=UTC)),
        ("timestamp", datetime(1969, 7, 20, 20, 17, 40, 123456, tzinfo=UTC)),
        ("timestamp[]", [datetime(2000, 1, 1, tzinfo=UTC)]),
        ("timestamptz", datetime(2024, 1, 1, tzinfo=UTC)),
    ],
)
async def test_values_come_back_as_they_went_in(conn, sql_type, value):
    assert await conn.fetchval(f"SELECT $1::{sql_type}", value) == value


async def test_timestamps_are_kept_in_utc(conn):
    local = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=9)))
    assert await conn.fetchval("SELECT $1::timestamp::text", local) == "2024-01-01 03:00:00"
    with pytest.raises(asyncpg.DataError, match="must be aware"):
        await conn.fetchval("SELECT $1::timestamp", datetime(2024, 1, 1))  # noqa: DTZ001


async def test_vectors_cross_unchanged(conn):
    numbers = np.random.default_rng(1).standard_normal(1536).astype(np.float32)
    back = await conn.fetchval("SELECT $1::vector(1536)", Vector(numbers))
    assert np.array_equal(back.to_numpy(), numbers)
    weights = SparseVector({0: 0.5, 999_999_999: 1.5}, 1_000_000_000)
    assert await conn.fetchval("SELECT $1::sparsevec(1000000000)", weights) == weights


async def test_a_connection_goes_back_to_the_pool_without_its_transaction(database_url):
    async with open_pool(database_url, size=1) as pool:
        async with pool.acquire() as conn, conn.transaction():
            await conn.execute("SET LOCAL work_mem = '1MB'")
            held = await conn.fetchval("SELECT pg_backend_pid()")
        async with pool.acquire() as conn:
            assert await conn.fetchval("SELECT pg_backend_pid()") == held
            assert await conn.fetchval("SHOW work_mem") != "1MB"


async def test_a_pool_without_prepared_statements_works(database_url):
    async with open_pool(database_url, size=1, statement_cache_size=0) as pool, pool.acquire() as conn:
        for n in range(3):
            assert await conn.fetchval("SELECT $1::integer", n) == n
        assert await conn.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0


async def test_a_database_that_was_never_migrated_has_no_pool(empty_database_url):
    with pytest.raises(MissingExtension, match="docsearch db migrate"):
        async with open_pool(empty_database_url, size=1):
            pass


@pytest.fixture
def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("opening", [connect, lambda dsn: open_pool(dsn, size=1).__aenter__()])
async def test_a_database_that_does_not_answer_is_told_in_a_sentence(closed_port, opening):
    with pytest.raises(DatabaseUnavailable) as told:
        await opening(f"postgresql://me:hush@127.0.0.1:{closed_port}/app")
    assert str(told.value) == (
        f"The database at 127.0.0.1:{closed_port}/app does not answer (connection refused): "
        "check DATABASE_URL, and that it is running."
    )


@pytest.mark.parametrize("dsn", ["mysql://localhost/x", "nonsense", "postgresql://[::1/x"])
async def test_an_address_that_is_none_is_told(dsn):
    with pytest.raises(DatabaseUnavailable, match="DATABASE_URL"):
        await connect(dsn)


async def test_a_database_that_does_not_exist_is_told(database_url):
    with pytest.raises(DatabaseUnavailable, match='"nowhere" does not exist'):
        await connect(with_database(database_url, "nowhere"))


async def test_parameters_of_prisma_and_libpq_are_understood(database_url):
    extra = "&pgbouncer=true&connection_limit=1&schema=public&channel_binding=prefer&connect_timeout=5&sslmode=disable"
    async with open_pool(database_url + extra, size=1) as pool, pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM pg_prepared_statements") == 0
        assert await conn.fetchval("SHOW timezone") == "UTC"
        assert await conn.fetchval("SHOW application_name") == "docsearch"


def test_a_schema_of_prisma_becomes_the_search_path():
    arguments = connect_arguments("postgresql://h/db?schema=App&application_name=web")
    assert arguments["server_settings"]["search_path"] == '"App", public'
    assert arguments["server_settings"]["application_name"] == "web"
    assert "schema" not in arguments["dsn"]


def test_a_description_shows_no_secret():
    assert (
        describe("postgresql://me:hush@db.example.com:6543/app?sslmode=require") == "db.example.com:6543/app"
    )
    assert describe("postgresql://me:hush@/app?host=%2Frun%2Fpg") == "/run/pg/app"


async def test_a_server_that_will_do_passes(conn):
    health = await check_server(conn)
    assert health.server_version.startswith("18")
    assert health.vector_version.startswith("0.8")


@pytest.mark.parametrize(
    ("installed", "available", "advice"),
    [
        (None, None, "has no pgvector"),
        ("0.7.4", "0.8.1", "ALTER EXTENSION vector UPDATE"),
        ("0.5.1", "0.5.1", "install a newer pgvector"),
        (None, "0.6.0", "install a newer pgvector"),
    ],
)
def test_a_pgvector_too_old_or_absent_is_refused_with_advice(installed, available, advice):
    with pytest.raises(MissingExtension, match=advice):
        _check_vector(installed, available)


@pytest.mark.parametrize(("installed", "available"), [("0.8.0", "0.8.0"), ("0.10.1", None), (None, "1.0.0")])
def test_a_pgvector_new_enough_is_taken(installed, available):
    assert _check_vector(installed, available) == (installed or available)
