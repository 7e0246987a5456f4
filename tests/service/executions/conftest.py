"""A service whose workflows may send requests to this machine, where the servers of the tests are."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import Service, run_service


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "home", workflow_allowed_networks="127.0.0.0/8") as service:
        yield service


@pytest.fixture
def client(server: Service) -> Iterator[httpx.Client]:
    """The owner's."""
    with server.client() as opened:
        yield opened
