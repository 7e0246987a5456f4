"""The command line against a fake server: its address and key in the environment, a home of its own."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from tests.fakes.docsearch_server import KEY, FakeDocsearch, fake_docsearch

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCSEARCH_HOME, and nothing else of the outer environment that the client reads."""
    for name in ("DOCSEARCH_URL", "DOCSEARCH_API_KEY", "DATABASE_URL", "FORCE_COLOR", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("DOCSEARCH_HOME", str(folder))
    return folder


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDocsearch]:
    with fake_docsearch() as server:
        monkeypatch.setenv("DOCSEARCH_URL", server.url)
        monkeypatch.setenv("DOCSEARCH_API_KEY", KEY)
        yield server


@pytest.fixture
def run() -> Run:
    def call(*arguments: str | Path, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)

    return call


def reply(result: Result) -> Any:
    """Return the one JSON value on stdout."""
    return json.loads(result.stdout)
