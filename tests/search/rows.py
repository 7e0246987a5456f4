"""Documents put straight into the tables, with vectors that the test chooses."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from db.chunks import NewChunk, insert_chunks
from db.lexical import encode_chunk
from db.pool import Conn
from ingest.embed import EMBEDDING_WIDTH

NAMES = UUID("6f1c2f0e-7f0b-4a53-9a43-5a7b1d0e9c11")
MODEL = "model-a"
SEPARATOR = "\n\n"


def chunk_id(document_id: str, ordinal: int) -> UUID:
    return uuid5(NAMES, f"{document_id}:{ordinal}")


def unit(*components: float) -> NDArray[np.float32]:
    """Return (1536,) float32 of length one that begins with these components."""
    vector = np.zeros(EMBEDDING_WIDTH, dtype=np.float32)
    vector[: len(components)] = components
    return vector / np.float32(np.linalg.norm(vector))


async def add_document(
    conn: Conn,
    space: str,
    document_id: str,
    texts: Sequence[str],
    *,
    vectors: Sequence[NDArray[np.float32]] | None = None,
    model: str = MODEL,
    title: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> list[UUID]:
    """Store one chunk a text, SEPARATOR between them, and return their ids; without vectors all have the same."""
    await conn.execute(
        """
        INSERT INTO "Document" ("id", "userId", "title", "content", "metadata") VALUES ($1, $2, $3, $4, $5)
        """,
        document_id,
        space,
        title,
        SEPARATOR.join(texts),
        metadata,
    )
    await conn.execute(
        "INSERT INTO ingestion (space_id, document_id, status, chunk_count) VALUES ($1, $2, 'ready', $3)",
        space,
        document_id,
        len(texts),
    )
    starts = accumulate((len(text) + len(SEPARATOR) for text in texts), initial=0)
    rows = [
        _row(document_id, ordinal, text, title, start)
        for ordinal, (text, start) in enumerate(zip(texts, starts, strict=False))
    ]
    embeddings = np.stack(vectors if vectors is not None else [unit(1.0)] * len(texts))
    await insert_chunks(conn, space, document_id, rows, model=model, embeddings=embeddings)
    return [row.id for row in rows]


def _row(document_id: str, ordinal: int, text: str, title: str, start: int) -> NewChunk:
    terms, weights = encode_chunk(title, [], text)
    return NewChunk(
        id=chunk_id(document_id, ordinal),
        ordinal=ordinal,
        text=text,
        char_start=start,
        char_end=start + max(1, len(text)),
        page_start=None,
        page_end=None,
        headings=[],
        token_count=len(text.split()),
        content_hash=b"\0" * 32,
        terms=terms,
        term_weights=weights,
    )
