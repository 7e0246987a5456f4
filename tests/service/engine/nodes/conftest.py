"""What nodes work with, on a fresh database, and a server that they may call."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from service.engine.nodes.base import RunContext
from service.engine.services import Services
from tests.fakes.scripted_server import ScriptedServer, scripted_server
from tests.service.engine.calls import new_run, open_services


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    async with open_services(database_url, tmp_path / "home") as opened:
        yield opened


@pytest.fixture
async def run(services: Services) -> RunContext:
    """A run in somebody's own space."""
    return await new_run(services)


@pytest.fixture
def remote() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running
