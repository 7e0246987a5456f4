"""Turn chunks and their vectors into rows: one transaction, all or nothing."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db import chunks as chunk_rows
from db import documents, ingestions, lexical, outbox
from db.pool import Conn
from ingest.chunk import Chunk
from ingest.embed import Embeddings, embedding_text
from ingest.receive import StoredFile


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be stored: chunks[i] goes with embeddings[i] and rows[i]."""

    content: str
    title: str
    page_starts: tuple[int, ...]
    rows: list[chunk_rows.NewChunk]
    embeddings: Embeddings
    model: str
    chunking: tuple[int | None, int | None] = (None, None)
    """How it was cut: tokens and overlap that were asked for."""


def content_hash(title: str, chunk: Chunk) -> bytes:
    """Return SHA-256 of the text that was embedded: equal hash and model mean equal vector."""
    return hashlib.sha256(embedding_text(title, chunk.headings, chunk.text).encode()).digest()


def chunk_id(document_id: str, chunk: Chunk, digest: bytes) -> uuid.UUID:
    """Return the same id for the same text in the same place, so that a repeated ingestion keeps citations."""
    return uuid.uuid5(uuid.NAMESPACE_OID, f"{document_id}:{chunk.char_start}:{digest.hex()}")


def to_rows(
    document_id: str, title: str, chunks: Sequence[Chunk], hashes: Sequence[bytes]
) -> list[chunk_rows.NewChunk]:
    """Return a row for each chunk, its lexical columns encoded."""
    return [_row(document_id, title, chunk, digest) for chunk, digest in zip(chunks, hashes, strict=True)]


def _row(document_id: str, title: str, chunk: Chunk, digest: bytes) -> chunk_rows.NewChunk:
    terms, weights = lexical.encode_chunk(title, chunk.headings, chunk.text)
    return chunk_rows.NewChunk(
        id=chunk_id(document_id, chunk, digest),
        ordinal=chunk.ordinal,
        text=chunk.text,
        char_start=chunk.char_start,
        char_end=chunk.char_end,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        headings=list(chunk.headings),
        token_count=chunk.token_count,
        content_hash=digest,
        terms=terms,
        term_weights=weights,
    )


def document_embedding(embeddings: Embeddings) -> NDArray[np.float32] | None:
    """Return the unit mean of the chunk vectors, (1536,); None for none or for vectors that cancel out."""
    if len(embeddings) == 0:
        return None
    mean = embeddings.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    return None if length < 1e-9 else (mean / length).astype(np.float32)


def to_original(file: StoredFile) -> documents.Original:
    return documents.Original(
        storage_key=file.storage_key,
        filename=file.filename,
        media_type=file.media_type,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
    )


async def store_document(conn: Conn, space_id: str, document_id: str, prepared: Prepared) -> bool:
    """Make the document searchable, in conn's transaction; False where it was deleted meanwhile.

    Also where somebody wants it cut otherwise by now: there is another job for that.
    """
    if not await chunk_rows.clear_document(conn, space_id, document_id, prepared.chunking):
        return False
    await chunk_rows.insert_chunks(
        conn, space_id, document_id, prepared.rows, model=prepared.model, embeddings=prepared.embeddings
    )
    await chunk_rows.set_content(
        conn,
        space_id,
        document_id,
        content=prepared.content,
        title=prepared.title,
        embedding=document_embedding(prepared.embeddings),
    )
    await ingestions.mark_ready(
        conn,
        space_id,
        document_id,
        page_starts=prepared.page_starts,
        chunk_count=len(prepared.rows),
        token_count=sum(row.token_count for row in prepared.rows),
        embedding_model=prepared.model,
    )
    await outbox.emit_document(conn, space_id, "document.ready", document_id)
    return True
