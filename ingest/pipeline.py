"""Bytes to stored chunks: fetch, parse and chunk, embed, store. One call ingests one document.

        original ──► parse + chunk ──► embed ──► store ──► ready
        (object       (subprocess)     (no transaction   (one transaction:
         store)                          open)            text, chunks, vectors, state, event)

A step that fails leaves the document `failed` with the stage and the reason. Running twice is harmless: the store
replaces what an earlier run left, and a finished or deleted document is not claimed again.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np

from db import chunks as chunk_rows
from db import documents, ingestions, outbox
from db.errors import PlanLimitReached, translated
from db.pool import Pool
from db.usage import UsageEntry, insert_usage
from ingest import store
from ingest.chunk import Chunk
from ingest.embed import EMBEDDING_WIDTH, Embedder, Embeddings, embedding_text
from ingest.errors import EmbeddingFailed, IngestError, NoRoom, OriginalMissing, Stage
from ingest.fetch import Fetcher
from ingest.isolate import ParserPool
from ingest.originals import Originals
from ingest.receive import clean_filename, storage_key, store_file

# Vectors between two progress reports: about half a second of the bundled model on two cores.
EMBED_BATCH = 64
# One in the making and one waiting, so that the embedder is never idle between two.
SLICES_IN_FLIGHT = 2
_REPORT_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Ingestor:
    """What ingestion works with; opened once by whoever runs it."""

    pool: Pool
    originals: Originals
    parser: ParserPool
    embedder: Embedder
    fetcher: Fetcher = field(default_factory=Fetcher)
    max_file_bytes: int = 100 * 1024 * 1024
    price_per_million: float = 0.0
    """US dollars for a million embedded tokens."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call. error is set where the document failed; retrying where it will be tried again."""

    document_id: str
    chunks: int = 0
    tokens: int = 0
    error: IngestError | None = None
    retrying: bool = False


class _Progress:
    """Reports a stage when it changes and a share at most twice a second."""

    def __init__(self, pool: Pool, claim: ingestions.Claim) -> None:
        self._pool = pool
        self._claim = claim
        self._reported_at = time.monotonic()
        self.stage: Stage = "fetch"

    async def enter(self, stage: Stage, progress: float) -> None:
        self.stage = stage
        await self._write(progress)

    async def move(self, progress: float) -> None:
        if time.monotonic() - self._reported_at >= _REPORT_EVERY_S:
            await self._write(progress)

    async def _write(self, progress: float) -> None:
        self._reported_at = time.monotonic()
        async with self._pool.acquire() as conn:
            await ingestions.report_progress(
                conn, self._claim.space_id, self._claim.document_id, self.stage, progress
            )


async def ingest_document(ingestor: Ingestor, document_id: str, *, max_attempts: int = 5) -> Outcome | None:
    """Ingest one document; None where there is nothing to do (deleted, or finished before)."""
    async with ingestor.pool.acquire() as conn:
        claim = await ingestions.claim_ingestion(conn, document_id)
    if claim is None:
        return None
    progress = _Progress(ingestor.pool, claim)
    try:
        return await _run(ingestor, claim, progress)
    except IngestError as exc:
        return await _fail(ingestor.pool, claim, exc, max_attempts)


async def _run(ingestor: Ingestor, claim: ingestions.Claim, progress: _Progress) -> Outcome | None:
    original = await _original(ingestor, claim)
    if original is None:
        return None
    async with ingestor.originals.as_file(original.storage_key) as path:
        progress.stage = "parse"
        parsed, chunks = await ingestor.parser.parse_and_chunk(
            path,
            original.media_type,
            original.filename,
            _given_title(claim),
            ingestor.embedder.tokenizer_spec,
            ingestor.embedder.window_tokens,
            text_tokens=claim.chunk_tokens,
            overlap_tokens=claim.chunk_overlap,
        )
    title = parsed.title or claim.title
    if len(chunks) > EMBED_BATCH:  # shorter ones are done before anybody has read it
        await progress.enter("embed", 0.1)
    hashes = [store.content_hash(title, chunk) for chunk in chunks]
    embeddings, embedded_tokens = await _embed(ingestor, claim.space_id, title, chunks, hashes, progress)
    progress.stage = "store"
    prepared = store.Prepared(
        content=parsed.text,
        title=title,
        page_starts=parsed.page_starts,
        rows=store.to_rows(claim.document_id, title, chunks, hashes),
        embeddings=embeddings,
        model=ingestor.embedder.model,
        chunking=claim.chunking,
    )
    async with ingestor.pool.acquire() as conn, conn.transaction():
        if not await store.store_document(conn, claim.space_id, claim.document_id, prepared):
            return None
        await insert_usage(conn, [_usage(claim, prepared, embedded_tokens, ingestor.price_per_million)])
    return Outcome(claim.document_id, chunks=len(chunks), tokens=sum(chunk.token_count for chunk in chunks))


def _usage(
    claim: ingestions.Claim, prepared: store.Prepared, tokens: int, price_per_million: float
) -> UsageEntry:
    """Return what the ingestion is charged for: the texts that had to be embedded."""
    return UsageEntry(
        user_id=claim.user_id,
        team_id=claim.team_id,
        resource="document",
        resource_id=claim.document_id,
        action="ingest",
        tokens=tokens,
        cost=tokens * price_per_million / 1_000_000,
        metadata={"model": prepared.model, "chunks": len(prepared.rows)},
    )


class _Source(NamedTuple):
    """The stored bytes, and what they are."""

    storage_key: str
    media_type: str
    filename: str | None


async def _original(ingestor: Ingestor, claim: ingestions.Claim) -> _Source | None:
    """Return where the bytes are, fetching them first where only an address was given; None for a deleted document."""
    if claim.storage_key is not None and claim.media_type is not None:
        return _Source(claim.storage_key, claim.media_type, claim.filename)
    if claim.source_url is None:
        raise OriginalMissing("The document has neither a file nor an address.")
    async with ingestor.fetcher.get(claim.source_url) as reply:
        file = await store_file(
            ingestor.originals,
            storage_key(claim.document_id),
            reply.parts,
            filename=clean_filename(reply.filename),
            declared=reply.declared,
            max_bytes=ingestor.max_file_bytes,
        )
    try:
        with translated():
            async with ingestor.pool.acquire() as conn, conn.transaction():
                is_there = await documents.insert_original(
                    conn, claim.space_id, claim.document_id, store.to_original(file)
                )
    except PlanLimitReached as exc:
        await ingestor.originals.delete(file.storage_key)
        raise NoRoom(str(exc)) from exc
    if not is_there:
        await ingestor.originals.delete(file.storage_key)
        return None
    return _Source(file.storage_key, file.media_type, file.filename)


def _given_title(claim: ingestions.Claim) -> str | None:
    """Return the title a person gave; a file's name or address only stands in until the file has been read."""
    return None if claim.title in {"", claim.filename, claim.source_url} else claim.title


async def _embed(
    ingestor: Ingestor,
    space_id: str,
    title: str,
    chunks: Sequence[Chunk],
    hashes: Sequence[bytes],
    progress: _Progress,
) -> tuple[Embeddings, int]:
    """Return (len(chunks), 1536), and how many tokens it took: texts embedded before keep their vectors."""
    async with ingestor.pool.acquire() as conn:
        known = await chunk_rows.embeddings_by_hash(conn, space_id, ingestor.embedder.model, hashes)
    embeddings = np.zeros((len(chunks), EMBEDDING_WIDTH), dtype=np.float32)
    missing: list[int] = []
    for i, digest in enumerate(hashes):
        if digest in known:
            embeddings[i] = known[digest]
        else:
            missing.append(i)
    slices = [missing[start : start + EMBED_BATCH] for start in range(0, len(missing), EMBED_BATCH)]
    done = 0
    async for batch, vectors in _embed_slices(ingestor.embedder, slices, title, chunks):
        embeddings[batch] = vectors
        done += len(batch)
        await progress.move(0.1 + 0.85 * done / len(missing))
    return embeddings, sum(chunks[i].token_count for i in missing)


async def _embed_slices(
    embedder: Embedder, slices: Sequence[list[int]], title: str, chunks: Sequence[Chunk]
) -> AsyncIterator[tuple[list[int], Embeddings]]:
    """Yield each slice of chunk numbers with its vectors; the next slice is asked for while one is being made."""
    asked: deque[tuple[list[int], asyncio.Task[Embeddings]]] = deque()
    waiting = iter(slices)
    try:
        while True:
            for batch in islice(waiting, SLICES_IN_FLIGHT - len(asked)):
                texts = [embedding_text(title, chunks[i].headings, chunks[i].text) for i in batch]
                asked.append((batch, asyncio.create_task(_checked(embedder, texts))))
            if not asked:
                return
            batch, task = asked[0]
            vectors = await task
            asked.popleft()
            yield batch, vectors
    finally:
        for _, task in asked:
            task.cancel()
        await asyncio.gather(*(task for _, task in asked), return_exceptions=True)


async def _checked(embedder: Embedder, texts: Sequence[str]) -> Embeddings:
    vectors = await embedder.embed_documents(texts)
    if vectors.shape != (len(texts), EMBEDDING_WIDTH):
        raise EmbeddingFailed(
            f"The embedder returned {vectors.shape} for {len(texts)} texts of width {EMBEDDING_WIDTH}.",
            retryable=True,
        )
    return vectors


async def _fail(pool: Pool, claim: ingestions.Claim, exc: IngestError, max_attempts: int) -> Outcome:
    retrying = exc.retryable and claim.attempts < max_attempts
    async with pool.acquire() as conn, conn.transaction():
        failed = await ingestions.mark_failed(
            conn,
            claim.space_id,
            claim.document_id,
            stage=exc.stage,
            code=exc.code,
            detail=exc.detail,
            retrying=retrying,
        )
        if failed and not retrying:
            await outbox.emit_document(conn, claim.space_id, "document.failed", claim.document_id)
    return Outcome(claim.document_id, error=exc, retrying=retrying)
