"""A service that people sign in to by an issuer's tokens, and that hears of them by Clerk's webhook."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.clerk_events import SECRET, signed_headers
from tests.fakes.identity_server import FakeIssuer, fake_issuer
from tests.running import Service, run_service

Post = Callable[..., httpx.Response]


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with fake_issuer() as running:
        yield running


@pytest.fixture
def server(issuer: FakeIssuer, database_url: str, tmp_path: Path) -> Iterator[Service]:
    """The service without a worker: jobs wait in the queue."""
    with run_service(
        database_url,
        tmp_path / "home",
        worker=False,
        oidc_issuer=issuer.issuer,
        clerk_webhook_secret=SECRET,
    ) as service:
        yield service


@pytest.fixture
def send_event(server: Service) -> Post:
    """Send a signed event of Clerk's; the message id is new unless given."""
    numbers = iter(range(1, 1_000))

    def send(body: bytes, message_id: str | None = None) -> httpx.Response:
        headers = signed_headers(body, message_id=message_id or f"msg_{next(numbers)}")
        with server.client(None) as client:
            return client.post("/v1/clerk/webhook", content=body, headers=headers)

    return send


def fetch(server: Service, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Run a statement in the service's own database."""

    async def run() -> list[dict[str, Any]]:
        async with server.runtime.pool.acquire() as conn:
            return [dict(row) for row in await conn.fetch(sql, *values)]

    rows: list[dict[str, Any]] = server.call(run())
    return rows


def get_me(server: Service, token: str) -> httpx.Response:
    with server.client(token) as client:
        return client.get("/v1/users/me")
