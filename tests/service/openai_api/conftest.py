"""The official client, on the whole service over real HTTP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.database import TestServer
from tests.running import Service, run_service

Connect = Callable[..., OpenAI]


@pytest.fixture(scope="module")
def server(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with its worker for a module; each test has a person of its own."""
    dsn = postgres.create()
    with run_service(dsn, tmp_path_factory.mktemp("home")) as service:
        yield service
    postgres.drop(dsn)


@pytest.fixture
def idle(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service whose queue nobody works on: what is uploaded stays in progress."""
    with run_service(database_url, tmp_path / "home", worker=False) as service:
        yield service


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make clients of a service, for its owner or another key; each counts its requests in `.sent`."""
    with ExitStack() as stack:

        def make(service: Service, key: str | None = None, **options: Any) -> OpenAI:
            sent: list[httpx2.Request] = []
            http = stack.enter_context(httpx2.Client(event_hooks={"request": [sent.append]}, timeout=60))
            client = OpenAI(
                base_url=f"{service.url}/v1", api_key=key or service.key, http_client=http, **options
            )
            client.sent = sent  # type: ignore[attr-defined]
            return client

        yield make


@pytest.fixture
def client(server: Service, connect: Connect, request: pytest.FixtureRequest) -> OpenAI:
    """A client of a person who has nothing yet."""
    return connect(server, server.new_user(f"{request.node.name}@example.com"))
