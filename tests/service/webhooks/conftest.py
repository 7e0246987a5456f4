"""Receivers on loopback, and services that may send to them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.webhook_receiver import Receiver, webhook_receiver
from tests.running import Service, run_service

LOOPBACK = "127.0.0.0/8"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A running service with its worker that may send to loopback."""
    with run_service(database_url, tmp_path / "home", webhook_allowed_networks=LOOPBACK) as service:
        yield service


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """The same without a worker: what is to be sent waits."""
    with run_service(
        database_url, tmp_path / "home", worker=False, webhook_allowed_networks=LOOPBACK
    ) as service:
        yield service
