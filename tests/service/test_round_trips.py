"""How often a search asks the database: each round trip is waited for by somebody."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.running import Service, run_service

# The statements of one request, by what each of them has and no other.
CALLER, SURVEY, CANDIDATES, CITATIONS, USAGE = (
    'FROM "ApiKey" k JOIN "User"',
    "FROM term_count",
    "semantic AS MATERIALIZED",
    "moved AS MATERIALIZED",
    'INSERT INTO "UsageLog"',
)


@pytest.mark.parametrize("mode", ["hybrid", "semantic", "lexical"])
def test_a_search_takes_five_statements(database_url: str, tmp_path: Path, mode: str) -> None:
    with run_service(database_url, tmp_path / "one") as worker, worker.client() as client:
        client.post("/v1/documents?wait=30", json={"title": "t", "content": "The lease ends in May."})
    # Another instance, whose pool no worker uses: what it asks, the search has asked.
    with run_service(database_url, tmp_path / "two", worker=False) as server, server.client() as client:
        client.post("/v1/search", json={"query": "lease", "mode": mode})
        seen: list[str] = server.call(_watch(server))
        assert client.post("/v1/search", json={"query": "lease", "mode": mode}).json()["hits"]
    # Left out: what the driver asks about types on a connection's first use of them.
    others = ("typeinfo_tree", "'jit'")
    ours = [query for query in seen if not any(mark in query for mark in others)]
    found = [next((name for name in _NAMES if _NAMES[name] in query), query) for query in ours]
    # The usage row is written beside the last two, and may come between them.
    assert [name for name in found if name != "usage"] == ["caller", "survey", "candidates", "citations"]
    assert found.count("usage") == 1


_NAMES = {
    "caller": CALLER,
    "survey": SURVEY,
    "candidates": CANDIDATES,
    "citations": CITATIONS,
    "usage": USAGE,
}


async def _watch(server: Service) -> list[str]:
    """Log what every connection of the pool is asked from now on, all of them opened first."""
    seen: list[str] = []

    def log(record: Any) -> None:
        seen.append(record.query)

    pool = server.runtime.pool
    free = pool.get_max_size() - (pool.get_size() - pool.get_idle_size())
    taken = [await pool.acquire() for _ in range(free)]
    for conn in taken:
        conn.add_query_logger(log)
    await asyncio.gather(*(pool.release(conn) for conn in taken))
    return seen
