"""A document's way through the whole pipeline, on a real database, with an embedder that is told what to do."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from db import documents, ingestions, users
from db.pool import Pool
from ingest.embed import EMBEDDING_WIDTH, Embeddings
from ingest.errors import EmbeddingFailed
from ingest.isolate import ParserPool
from ingest.originals import Originals
from ingest.pipeline import Ingestor, ingest_document
from ingest.tokenize import TokenizerSpec
from service.intake.intake import insert_intake, take_text
from service.intake.schemas import NewText

TOKENIZER = Path(__file__).parents[2] / "service" / "providers" / "minilm" / "tokenizer.json"
TEXT = "\n\n".join(
    f"Paragraph {i} says that pump number {i} is checked every {i} weeks." for i in range(1, 60)
)


class RecordingEmbedder:
    """Gives each text a unit vector of its own and remembers what it was asked; fails when it is told to."""

    model = "recording"
    window_tokens = 254
    tokenizer_spec = TokenizerSpec("wordpiece", str(TOKENIZER))

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failures: list[EmbeddingFailed] = []
        self.meanwhile: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        self.reached.set()
        if self.failures:
            raise self.failures.pop(0)
        if self.meanwhile is not None:
            await self.meanwhile.wait()
        self.asked += texts
        vectors = np.zeros((len(texts), EMBEDDING_WIDTH), dtype=np.float32)
        for i, text in enumerate(texts):
            vectors[i, int(hashlib.sha256(text.encode()).hexdigest(), 16) % EMBEDDING_WIDTH] = 1
        return vectors


@pytest.fixture
async def ingestor(pool: Pool, tmp_path: Path) -> AsyncIterator[Ingestor]:
    async with ParserPool(1) as parser:
        yield Ingestor(pool, Originals.open(None, default_folder=tmp_path), parser, RecordingEmbedder())


async def given_text(ingestor: Ingestor, text: str, title: str = "Pumps") -> tuple[str, str]:
    """Put a text down as a queued document; return its space and id."""
    intake = await take_text(NewText(title=title, content=text), ingestor.originals, 10**8)
    async with ingestor.pool.acquire() as conn, conn.transaction():
        owner = await users.ensure_local_owner(conn)
        await insert_intake(conn, owner.id, intake)
    return owner.id, intake.document_id


def embedder_of(ingestor: Ingestor) -> RecordingEmbedder:
    assert isinstance(ingestor.embedder, RecordingEmbedder)
    return ingestor.embedder


async def status_of(pool: Pool, space: str, document_id: str) -> documents.DocumentRow:
    async with pool.acquire() as conn:
        row = await documents.find_document(conn, [space], document_id)
    assert row is not None
    return row


async def test_every_stored_chunk_is_its_span_of_the_content(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    outcome = await ingest_document(ingestor, document_id)
    assert outcome is not None
    assert outcome.error is None
    async with ingestor.pool.acquire() as conn:
        rows = await conn.fetch(
            """
            SELECT c.text, substr(d."content", c.char_start + 1, c.char_end - c.char_start) AS span, e.embedding
            FROM chunk c JOIN "Document" d ON d."id" = c.document_id
            JOIN chunk_embedding e ON e.space_id = c.space_id AND e.chunk_id = c.id
            WHERE c.space_id = $1 AND c.document_id = $2
            """,
            space,
            document_id,
        )
        mean = await conn.fetchval('SELECT "embedding" FROM "Document" WHERE "id" = $1', document_id)
    assert len(rows) == outcome.chunks > 1
    assert all(row["text"] == row["span"] for row in rows)
    total = np.sum([row["embedding"].to_numpy() for row in rows], axis=0)
    assert np.allclose(mean.to_numpy(), total / np.linalg.norm(total), atol=1e-6)
    row = await status_of(ingestor.pool, space, document_id)
    assert (row.status, row.stage, row.progress) == ("ready", None, 1.0)
    assert row.chunk_count == outcome.chunks
    assert row.embedding_model == "recording"


async def test_running_twice_does_the_work_once(ingestor: Ingestor) -> None:
    _, document_id = await given_text(ingestor, TEXT)
    assert await ingest_document(ingestor, document_id) is not None
    asked = len(embedder_of(ingestor).asked)
    assert await ingest_document(ingestor, document_id) is None
    assert len(embedder_of(ingestor).asked) == asked


async def test_two_workers_at_once_leave_one_set_of_chunks(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    embedder_of(ingestor).meanwhile = gate = asyncio.Event()
    both = [asyncio.create_task(ingest_document(ingestor, document_id)) for _ in range(2)]
    await embedder_of(ingestor).reached.wait()
    gate.set()
    outcomes = [outcome for outcome in await asyncio.gather(*both) if outcome is not None]
    async with ingestor.pool.acquire() as conn:
        ordinals = await conn.fetch("SELECT ordinal FROM chunk WHERE space_id = $1 ORDER BY ordinal", space)
        drift = await conn.fetch(
            "SELECT term FROM term_count WHERE space_id = $1 AND term = 0 GROUP BY term HAVING sum(chunks) <> $2",
            space,
            outcomes[0].chunks,
        )
    assert [row["ordinal"] for row in ordinals] == list(range(outcomes[0].chunks))
    assert drift == []


async def test_a_retryable_failure_is_tried_again_and_a_final_one_stays(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    embedder_of(ingestor).failures = [
        EmbeddingFailed("The provider is busy.", retryable=True),
        EmbeddingFailed("The key was refused.", retryable=False),
    ]
    first = await ingest_document(ingestor, document_id)
    assert first is not None
    assert first.retrying
    row = await status_of(ingestor.pool, space, document_id)
    assert (row.status, row.error_stage, row.error_detail) == ("queued", "embed", "The provider is busy.")

    second = await ingest_document(ingestor, document_id)
    assert second is not None
    assert not second.retrying
    row = await status_of(ingestor.pool, space, document_id)
    assert (row.status, row.error_stage, row.error_code) == ("failed", "embed", "embedding_failed")
    assert await ingest_document(ingestor, document_id) is None

    async with ingestor.pool.acquire() as conn:
        assert await ingestions.requeue(conn, [space], document_id)
    third = await ingest_document(ingestor, document_id)
    assert third is not None
    assert third.error is None
    assert (await status_of(ingestor.pool, space, document_id)).error_code is None


async def test_attempts_end(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    embedder_of(ingestor).failures = [
        EmbeddingFailed("The provider is busy.", retryable=True) for _ in range(9)
    ]
    outcomes = [await ingest_document(ingestor, document_id, max_attempts=3) for _ in range(3)]
    assert [outcome.retrying for outcome in outcomes if outcome] == [True, True, False]
    assert (await status_of(ingestor.pool, space, document_id)).status == "failed"


async def test_a_document_deleted_meanwhile_leaves_nothing(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    embedder_of(ingestor).meanwhile = gate = asyncio.Event()
    task = asyncio.create_task(ingest_document(ingestor, document_id))
    await embedder_of(ingestor).reached.wait()
    async with ingestor.pool.acquire() as conn:
        await documents.delete_document(conn, [space], document_id)
    gate.set()
    assert await task is None
    async with ingestor.pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM chunk") == 0
        assert await conn.fetchval("SELECT count(*) FROM ingestion") == 0


async def test_texts_embedded_before_keep_their_vectors(ingestor: Ingestor) -> None:
    _, first = await given_text(ingestor, TEXT)
    await ingest_document(ingestor, first)
    asked = len(embedder_of(ingestor).asked)
    _, again = await given_text(ingestor, TEXT)
    outcome = await ingest_document(ingestor, again)
    assert outcome is not None
    assert outcome.chunks == asked
    assert len(embedder_of(ingestor).asked) == asked


async def test_a_missing_original_fails_at_fetch(ingestor: Ingestor) -> None:
    space, document_id = await given_text(ingestor, TEXT)
    async with ingestor.pool.acquire() as conn:
        original = await documents.find_original(conn, [space], document_id)
    assert original is not None
    await ingestor.originals.delete(original.storage_key)
    await ingest_document(ingestor, document_id)
    row = await status_of(ingestor.pool, space, document_id)
    assert (row.status, row.error_stage, row.error_code) == ("failed", "fetch", "original_missing")
