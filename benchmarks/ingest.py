"""Ingest speed: the whole worker path against the bare embedder on the same chunks, and with an instant embedder.

python -m benchmarks.ingest [--data ../shared/bench/scifact] [--documents 1000] [--rounds 3]
"""

import argparse
import asyncio
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from benchmarks.workbench import SHARED, commit, machine, read_corpus, scratch, served, table
from db import users
from db.pool import Pool
from ingest.embed import EMBEDDING_WIDTH, Embeddings, embedding_text
from ingest.pipeline import Ingestor
from service.auth.caller import Caller
from service.intake.intake import register, take_text
from service.intake.schemas import NewText
from service.runtime import open_ingestor
from service.webhooks.jobs import Deliverer
from service.worker import run_worker


class Instant:
    """Answers at once with unit vectors, so that what is left is everything but the model."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.model = "instant"
        self.window_tokens = real.window_tokens
        self.tokenizer_spec = real.tokenizer_spec

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        vectors = np.zeros((len(texts), EMBEDDING_WIDTH), dtype=np.float32)
        for i, text in enumerate(texts):
            vectors[i, hash(text) % 384] = 1
        return vectors


async def ingest_all(
    ingestor: Ingestor,
    deliverer: Deliverer,
    owner_url: str,
    corpus: Sequence[tuple[str, str]],
    email: str,
    concurrency: int,
) -> tuple[float, int]:
    """Queue the corpus for a new user, then time the worker from its start to the last ready document."""
    async with ingestor.pool.acquire() as conn, conn.transaction():
        user = await users.create_user(conn, email=email, tier="ENTERPRISE")
    caller = Caller(user.id, user.clerk_id, None, None, frozenset({"admin"}), {})
    for title, text in corpus:
        intake = await take_text(NewText(title=title or "untitled", content=text), ingestor.originals, 10**9)
        await register(ingestor.pool, ingestor.originals, caller, intake, None)
    stop = asyncio.Event()
    started = time.perf_counter()
    worker = asyncio.create_task(
        run_worker(ingestor, deliverer, owner_url=owner_url, concurrency=concurrency, stop=stop)
    )
    while await _unfinished(ingestor.pool, user.id):
        await asyncio.sleep(0.05)
    took = time.perf_counter() - started
    stop.set()
    await worker
    async with ingestor.pool.acquire() as conn:
        chunks: int = await conn.fetchval("SELECT count(*) FROM chunk WHERE space_id = $1", user.id)
        failed = await conn.fetchval(
            "SELECT count(*) FROM ingestion WHERE space_id = $1 AND status = 'failed'", user.id
        )
    if failed:
        raise SystemExit(f"{failed} documents failed")
    return took, chunks


async def _unfinished(pool: Pool, space: str) -> bool:
    async with pool.acquire() as conn:
        return bool(
            await conn.fetchval(
                "SELECT EXISTS (SELECT 1 FROM ingestion WHERE space_id = $1 AND status IN ('queued', 'processing'))",
                space,
            )
        )


async def embedded_texts(pool: Pool, email: str) -> list[str]:
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            """
            SELECT d."title" AS title, c.headings, c.text FROM chunk c
            JOIN "Document" d ON d."id" = c.document_id JOIN "User" u ON u."id" = c.space_id
            WHERE u."email" = $1 ORDER BY c.document_id, c.ordinal
            """,
            email,
        )
    return [embedding_text(row["title"], row["headings"], row["text"]) for row in rows]


async def main(data: Path, documents: int, rounds: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    corpus = read_corpus(data, documents)
    async with (
        scratch() as (settings, dsn),
        served(settings, dsn) as runtime,
        open_ingestor(runtime) as ingestor,
    ):
        instant = Ingestor(ingestor.pool, ingestor.originals, ingestor.parser, Instant(runtime.embedder))
        rows = []
        sends = Deliverer.open(ingestor.pool, settings)
        await ingest_all(ingestor, sends, dsn, corpus[:50], "warm@example.com", settings.worker_concurrency)
        for i in range(rounds):
            took, chunks = await ingest_all(
                ingestor, sends, dsn, corpus, f"real-{i}@example.com", settings.worker_concurrency
            )
            texts = await embedded_texts(ingestor.pool, f"real-{i}@example.com")
            started = time.perf_counter()
            await runtime.embedder.embed_documents(texts)
            bare = time.perf_counter() - started
            empty, _ = await ingest_all(
                instant, sends, dsn, corpus, f"instant-{i}@example.com", settings.worker_concurrency
            )
            rows.append(
                (
                    i + 1,
                    chunks,
                    round(chunks / took, 1),
                    round(chunks / bare, 1),
                    round(bare / took, 3),
                    round(chunks / empty, 1),
                )
            )
    print(f"commit {commit()}, {machine()}, {documents} documents of {data.name}\n")
    print(
        table(
            (
                "round",
                "chunks",
                "ingest, chunks/s",
                "bare embedder, chunks/s",
                "share",
                "instant embedder, chunks/s",
            ),
            rows,
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "bench" / "scifact")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    asyncio.run(main(given.data, given.documents, given.rounds))
