"""What the benchmarks share: a scratch database, a corpus, a table."""

import contextlib
import json
import platform
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from db import migrate
from db.embedded import running
from db.roles import ensure_login
from service.runtime import Runtime, open_runtime
from service.settings import Settings, load_settings

SHARED = Path(__file__).parents[2] / "shared"


@contextlib.asynccontextmanager
async def scratch(**overrides: object) -> AsyncIterator[tuple[Settings, str]]:
    """Yield settings and the address of a migrated embedded database that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="docsearch-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        settings = load_settings(DOCSEARCH_HOME=home, secret_key="benchmark " * 8, **overrides)
        with running(home) as dsn:
            await migrate.upgrade(dsn)
            yield settings, dsn


@contextlib.asynccontextmanager
async def served(settings: Settings, dsn: str) -> AsyncIterator[Runtime]:
    """Open the runtime as the service does: as a role that does not own the tables of dsn's database."""
    async with open_runtime(settings, await ensure_login(dsn), dsn) as runtime:
        yield runtime


def read_corpus(data: Path, limit: int | None = None) -> list[tuple[str, str]]:
    """Return (title, text) of a BEIR corpus.jsonl."""
    lines = (data / "corpus.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line][:limit]
    return [(row["title"], row["text"]) for row in rows]


def read_queries(data: Path, limit: int | None = None) -> list[str]:
    lines = (data / "queries.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["text"] for line in lines if line][:limit]


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def machine() -> str:
    return f"{platform.machine()}, Python {platform.python_version()}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    return "\n".join(
        _lines([list(map(str, header)), ["---"] * len(header), *[list(map(str, row)) for row in rows]])
    )


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in rows:
        yield "| " + " | ".join(row) + " |"
