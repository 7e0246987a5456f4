"""Routes are tested on the whole service over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import Service, run_service


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A running service with its worker, on a fresh database; `.url`, `.key`, `.client()`."""
    with run_service(database_url, tmp_path / "home") as service:
        yield service
