"""Search over HTTP beside the bare SQL of the same query on the same data, the query's embedding apart.

python -m benchmarks.http_search [--data ../shared/bench/scifact] [--queries 300]
"""

import argparse
import asyncio
import logging
import threading
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np
import structlog

from benchmarks.ingest import ingest_all
from benchmarks.workbench import SHARED, commit, machine, read_corpus, read_queries, scratch, served, table
from db import api_keys
from service.app import create_app
from service.auth.keys import hash_key, mint_key
from service.http import reserve_port, serve_http
from service.runtime import open_ingestor
from service.webhooks.jobs import Deliverer

EMAIL = "bench@example.com"

# What somebody with pgvector writes by hand: exact search of one owner's chunks by a bound vector, with the text.
BARE_SQL = """
SELECT c.id, c.text, c.document_id, 1 - (e.embedding <=> $2) AS similarity
FROM chunk_embedding e JOIN chunk c ON c.space_id = e.space_id AND c.id = e.chunk_id
WHERE e.space_id = $1 AND e.model = $3
ORDER BY (e.embedding <=> $2) + 0 LIMIT 10
"""


async def main(data: Path, queries: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    texts = read_queries(data, queries)
    async with scratch() as (settings, dsn), served(settings, dsn) as runtime:
        async with open_ingestor(runtime) as ingestor:
            sends = Deliverer.open(runtime.pool, settings)
            corpus = read_corpus(data)
            _, chunks = await ingest_all(ingestor, sends, dsn, corpus, EMAIL, settings.worker_concurrency)
        key = mint_key()
        async with runtime.pool.acquire() as conn, conn.transaction():
            space = await conn.fetchval('SELECT "id" FROM "User" WHERE "email" = $1', EMAIL)
            await api_keys.insert_api_key(
                conn,
                user_id=space,
                name="bench",
                key_hash=hash_key(settings.signing_secret(), key),
                prefix="dsk_test",
                scopes=["search"],
            )
            await conn.execute("ANALYZE")
        port = reserve_port("127.0.0.1", 0)
        async with serve_http(create_app(runtime), "127.0.0.1", port):
            url = f"http://127.0.0.1:{port}"
            bare = await _bare(runtime, space, texts)
            rows = [
                bare,
                *[await _over_http(url, key, mode, texts) for mode in ("semantic", "lexical", "hybrid")],
            ]
    base = bare[1]
    print(f"commit {commit()}, {machine()}, {len(texts)} queries over {chunks} chunks of {data.name}\n")
    print(
        table(
            (
                "",
                "p50 ms",
                "p95 ms",
                "p50 without embedding",
                "p50 without embedding / bare SQL",
                "embedding p50",
            ),
            [
                (name, _ms(p50), _ms(p95), _ms(without), f"{without / base:.2f}", _ms(embed))
                for name, p50, p95, without, embed in rows
            ],
        )
    )


def _ms(value: float) -> str:
    return f"{value:.1f}"


async def _bare(runtime: Any, space: str, texts: list[str]) -> tuple[str, float, float, float, float]:
    vectors = [await runtime.embedder.embed_query(text) for text in texts]
    took = []
    async with runtime.pool.acquire() as conn:
        for vector in [*vectors[:20], *vectors]:
            started = perf_counter()
            await conn.fetch(BARE_SQL, space, vector, runtime.embedder.model)
            took.append((perf_counter() - started) * 1000)
    p50, p95 = np.percentile(took[20:], [50, 95])
    return "bare SQL, exact", p50, p95, p50, 0.0


async def _over_http(
    url: str, key: str, mode: str, texts: list[str]
) -> tuple[str, float, float, float, float]:
    """Ask from a thread of its own, as a client would: one request at a time on a kept connection."""
    took: list[float] = []
    embed: list[float] = []

    def ask() -> None:
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            for text in [*texts[:20], *texts]:
                started = perf_counter()
                reply = client.post("/v1/search", json={"query": text, "mode": mode, "top_k": 10})
                took.append((perf_counter() - started) * 1000)
                embed.append(reply.raise_for_status().json()["took_ms"]["embed"])

    thread = threading.Thread(target=ask)
    thread.start()
    await asyncio.to_thread(thread.join)
    total, spent = np.array(took[20:]), np.array(embed[20:])
    p50, p95 = np.percentile(total, [50, 95])
    return f"HTTP, {mode}", p50, p95, float(np.percentile(total - spent, 50)), float(np.percentile(spent, 50))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "bench" / "scifact")
    parser.add_argument("--queries", type=int, default=300)
    given = parser.parse_args()
    asyncio.run(main(given.data, given.queries))
