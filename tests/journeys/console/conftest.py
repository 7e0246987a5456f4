"""One service for a module of tests; every test is a person of its own, with no documents yet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.database import TestServer
from tests.journeys.console.browser import open_browser, open_context
from tests.journeys.console.person import MAX_UPLOAD_BYTES, Person, sign_in
from tests.running import Service, run_service


@pytest.fixture(scope="module")
def service(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    dsn = postgres.create()
    home = tmp_path_factory.mktemp("console") / "home"
    with run_service(dsn, home, max_upload_bytes=MAX_UPLOAD_BYTES) as running:
        yield running
    postgres.drop(dsn)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with open_context(browser) as (opened, troubles):
        yield opened
    assert troubles == []


@pytest.fixture
def person(context: BrowserContext, service: Service) -> Person:
    return sign_in(context, service)


@pytest.fixture
def waiting_person(context: BrowserContext, database_url: str, tmp_path: Path) -> Iterator[Person]:
    """Somebody whose service has no worker: what they upload stays queued."""
    with run_service(database_url, tmp_path / "home", worker=False) as running:
        yield sign_in(context, running)
