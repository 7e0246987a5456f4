"""Fixtures for everybody: a migrated database of one's own, the bundled embedder, and the data sets beside the checkout
if any.
"""

import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from db.pool import Conn, Pool, open_pool
from service.providers.minilm.embedder import MiniLMEmbedder
from tests.database import TestServer, shared_server
from tests.embedding import bundled_embedder

SHARED = Path(__file__).parents[2] / "shared"


# A service in a thread of its own must not log into what a command in the same process prints. As in earnest, logs go
# to stderr; to the process's own, which nobody replaces for the time of a command.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))


def pytest_collection_finish() -> None:
    """Leave what was imported and collected alone: looking through it took a third of each service's start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """The test run's server: postgres.create() makes a database, postgres.dsn(name) leads to one."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"alone-{os.getpid()}"
    with shared_server(run) as server:
        yield server


@pytest.fixture
def database_url(postgres: TestServer) -> Iterator[str]:
    """A fresh database with the whole schema and no rows."""
    dsn = postgres.create()
    yield dsn
    postgres.drop(dsn)


@pytest.fixture
def empty_database_url(postgres: TestServer) -> Iterator[str]:
    """A fresh database with nothing in it."""
    dsn = postgres.create(template="template1")
    yield dsn
    postgres.drop(dsn)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A pool on a fresh migrated database; what a test commits is gone with it."""
    async with open_pool(database_url, size=5) as opened:
        yield opened


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Conn]:
    """One connection of the pool, in no transaction."""
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture(scope="session")
def minilm() -> MiniLMEmbedder:
    """The bundled model, loaded once; tests must not close it."""
    return bundled_embedder()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of data sets beside the checkout; the test is skipped where there is none."""
    if not SHARED.is_dir():
        pytest.skip("needs the data sets in ../shared")
    return SHARED
