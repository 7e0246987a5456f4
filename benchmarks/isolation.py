"""What keeping tenants apart costs a search: the same queries with and without, in turn, in one run.

python -m benchmarks.isolation [--data ../shared/bench/scifact] [--documents 2000] [--queries 300] [--tenants 20]

In process: as a superuser, whom policies do not bind, and as the service under forced policies. Over HTTP: with a guard
that knows the caller already, and with the one that asks for key, person, teams, roles and rates.
"""

import argparse
import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import asyncpg
import httpx
import numpy as np
import pytest
import structlog

from benchmarks.ingest import ingest_all
from benchmarks.workbench import SHARED, commit, machine, read_corpus, read_queries, scratch, served, table
from db import api_keys
from db.callers import CallerRow, find_caller
from db.dsn import connect_arguments
from db.pool import Pool, open_pool
from search.pipeline import search
from search.query import Mode, SearchRequest
from service.app import create_app
from service.auth.keys import hash_key, mint_key
from service.http import reserve_port, serve_http
from service.runtime import Runtime, open_ingestor
from service.webhooks.jobs import Deliverer

EMAIL = "bench@example.com"
WARM_UP = 20


async def main(data: Path, documents: int, queries: int, tenants: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    texts = read_queries(data, queries)
    async with (
        scratch(rate_limit_requests_per_minute=10**6) as (settings, dsn),
        served(settings, dsn) as runtime,
    ):
        async with open_ingestor(runtime) as ingestor:
            sends = Deliverer.open(runtime.pool, settings)
            _, chunks = await ingest_all(
                ingestor, sends, dsn, read_corpus(data, documents), EMAIL, settings.worker_concurrency
            )
        space = await _prepare(dsn, tenants)
        key = await _key(runtime, space)
        for text in texts:  # or the first of two would pay for the embedding
            await runtime.embedder.embed_query(text)
        async with open_pool(dsn, size=4) as owner_pool:
            rows = [
                *await _in_process(runtime, owner_pool, dsn, space, texts),
                *await _over_http(runtime, key, texts),
            ]
    print(f"commit {commit()}, {machine()}, {len(texts)} queries over {chunks} chunks of {data.name}\n")
    print(table(("", "mode", "p50 ms without", "p50 ms with", "ratio"), rows))


async def _prepare(dsn: str, tenants: int) -> str:
    """Give the searcher teams and neighbours; return their space."""
    conn = await asyncpg.connect(**connect_arguments(dsn))
    space: str = await conn.fetchval('SELECT "id" FROM "User" WHERE "email" = $1', EMAIL)
    await conn.execute(
        f"""
        INSERT INTO "User" ("id", "clerkId", "email")
        SELECT 'n' || n, 'n' || n, n || '@neighbours.example' FROM generate_series(1, {tenants * 50}) AS n;
        INSERT INTO "Team" ("id", "name", "slug")
        SELECT 't' || n, 't', 't' || n FROM generate_series(1, {tenants}) AS n;
        INSERT INTO "TeamMember" ("teamId", "userId", "role")
        SELECT 't' || 1 + n % {tenants}, 'n' || n, 'MEMBER' FROM generate_series(1, {tenants * 50}) AS n;
        INSERT INTO "TeamMember" ("teamId", "userId") SELECT 't' || n, '{space}' FROM generate_series(1, 5) AS n;
        ANALYZE;
        """
    )
    await conn.close()
    return space


async def _key(runtime: Runtime, space: str) -> str:
    key = mint_key()
    async with runtime.pool.acquire() as conn:
        await api_keys.insert_api_key(
            conn,
            user_id=space,
            name="bench",
            key_hash=hash_key(runtime.settings.signing_secret(), key),
            scopes=["search"],
        )
    return key


async def _in_process(
    runtime: Runtime, owner_pool: Pool, dsn: str, space: str, texts: Sequence[str]
) -> list[tuple[object, ...]]:
    """Search as the service under forced policies, and as a superuser, whom they do not bind."""
    rows = []
    for mode in Mode:
        ask = partial(_ask, runtime, space, mode)
        without, with_ = await _alternate(texts, partial(ask, owner_pool), partial(ask, runtime.pool))
        rows.append(_row("policies, in process", mode.value, without, with_))
    return rows


async def _ask(runtime: Runtime, space: str, mode: Mode, pool: Pool, text: str) -> None:
    await search(pool, runtime.embedder, SearchRequest(query=text, mode=mode), (space,))


async def _over_http(runtime: Runtime, key: str, texts: Sequence[str]) -> list[tuple[object, ...]]:
    """Search over HTTP as it is, and with a guard that already knows who asks."""
    rows = []
    real = find_caller
    known: list[CallerRow | None] = []
    is_known = False

    async def find(*arguments: object) -> CallerRow | None:
        if is_known:
            return known[0]
        return await real(*arguments)  # type: ignore[arg-type]

    # The one name that the guard calls; put back in the end.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("service.auth.guard.find_caller", find)
    async with runtime.pool.acquire() as conn:
        known.append(await real(conn, hash_key(runtime.settings.signing_secret(), key)))
    port = reserve_port("127.0.0.1", 0)
    async with serve_http(create_app(runtime), "127.0.0.1", port):
        for mode in Mode:
            taken: dict[bool, list[float]] = {True: [], False: []}

            def ask_all(mode: Mode = mode, taken: dict[bool, list[float]] = taken) -> None:
                nonlocal is_known
                headers = {"Authorization": f"Bearer {key}"}
                with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                    for turn, text in enumerate([*texts[:WARM_UP], *texts]):
                        for is_known in (True, False) if turn % 2 else (False, True):
                            started = perf_counter()
                            client.post(
                                "/v1/search", json={"query": text, "mode": mode.value}
                            ).raise_for_status()
                            taken[is_known].append((perf_counter() - started) * 1000)

            thread = threading.Thread(target=ask_all)
            thread.start()
            await asyncio.to_thread(thread.join)
            rows.append(
                _row("authentication, over HTTP", mode.value, taken[True][WARM_UP:], taken[False][WARM_UP:])
            )
    monkeypatch.undo()
    return rows


async def _alternate(
    texts: Sequence[str], one: Callable[[str], Awaitable[None]], other: Callable[[str], Awaitable[None]]
) -> tuple[list[float], list[float]]:
    """Time both on each text, one after the other, so that what else the machine does meets both alike."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn, text in enumerate([*texts[:WARM_UP], *texts]):
        pairs = list(zip((one, other), took, strict=True))
        for run, times in pairs if turn % 2 else reversed(pairs):
            started = perf_counter()
            await run(text)
            times.append((perf_counter() - started) * 1000)
    return took[0][WARM_UP:], took[1][WARM_UP:]


def _row(what: str, mode: str, without: Sequence[float], with_: Sequence[float]) -> tuple[object, ...]:
    before, after = float(np.percentile(without, 50)), float(np.percentile(with_, 50))
    return what, mode, f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "bench" / "scifact")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--tenants", type=int, default=20)
    given = parser.parse_args()
    asyncio.run(main(given.data, given.documents, given.queries, given.tenants))
