"""Chunks and their vectors: written in bulk when a document is stored, read back for people."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from db.pool import Conn

INSERT_ROWS = 500
"""Rows of one statement: about 3 MiB of vectors."""


class NewChunk(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ordinal: int
    text: str
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: list[str]
    token_count: int
    content_hash: bytes
    terms: list[int]
    term_weights: Any  # pgvector.SparseVector, which has no type of its own to name


class ChunkRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    ordinal: int
    text: str
    char_start: int
    char_end: int
    page_start: int | None
    page_end: int | None
    headings: list[str]
    token_count: int


async def clear_document(
    conn: Conn,
    space_id: str,
    document_id: str,
    chunking: tuple[int | None, int | None] = (None, None),
) -> bool:
    """Hold the document against deletion and a second store, and remove its chunks; False where it is gone.

    False as well where it is to be cut in another way than this one, which is looked up once it is held.

    Several statements: what the other store wrote while we waited for the lock is seen only by a new snapshot.
    """
    held = await conn.fetchval(
        'SELECT 1 FROM "Document" WHERE "spaceId" = $1 AND "id" = $2 FOR UPDATE', space_id, document_id
    )
    if held is None:
        return False
    is_wanted = await conn.fetchval(
        """
        SELECT (chunk_tokens, chunk_overlap) IS NOT DISTINCT FROM ($3::integer, $4::integer)
        FROM ingestion WHERE space_id = $1 AND document_id = $2
        """,
        space_id,
        document_id,
        *chunking,
    )
    if is_wanted is False:
        return False
    await conn.execute("DELETE FROM chunk WHERE space_id = $1 AND document_id = $2", space_id, document_id)
    return True


async def insert_chunks(
    conn: Conn,
    space_id: str,
    document_id: str,
    chunks: Sequence[NewChunk],
    *,
    model: str,
    embeddings: NDArray[np.float32],
) -> None:
    """Insert a document's chunks; embeddings is (len(chunks), 1536), row i for chunks[i].

    Rows go as arrays of the tables' own row types: COPY, which would be the other way, is refused where row-level
    security applies, and a statement a row would count each row's terms by itself.
    """
    for start in range(0, len(chunks), INSERT_ROWS):
        batch = chunks[start : start + INSERT_ROWS]
        # fmt: off
        await conn.execute(
            """
            INSERT INTO chunk (space_id, id, document_id, ordinal, text, char_start, char_end, page_start, page_end,
                               headings, token_count, content_hash, terms, term_weights)
            SELECT space_id, id, document_id, ordinal, text, char_start, char_end, page_start, page_end,
                   headings, token_count, content_hash, terms, term_weights
            FROM unnest($1::chunk[])
            """,
            [
                (space_id, c.id, document_id, c.ordinal, c.text, c.char_start, c.char_end, c.page_start, c.page_end,
                 c.headings, c.token_count, c.content_hash, c.terms, c.term_weights)
                for c in batch
            ],
        )
        # fmt: on
        await conn.execute(
            """
            INSERT INTO chunk_embedding (space_id, chunk_id, document_id, model, embedding)
            SELECT space_id, chunk_id, document_id, model, embedding FROM unnest($1::chunk_embedding[])
            """,
            [
                (space_id, chunk.id, document_id, model, row)
                for chunk, row in zip(batch, embeddings[start : start + INSERT_ROWS], strict=True)
            ],
        )


async def set_content(
    conn: Conn,
    space_id: str,
    document_id: str,
    *,
    content: str,
    title: str,
    embedding: NDArray[np.float32] | None,
) -> None:
    """Store the text that spans count in, and the unit mean of the chunk embeddings, (1536,)."""
    await conn.execute(
        """
        UPDATE "Document" SET "content" = $3, "title" = $4, "embedding" = $5, "updatedAt" = now() AT TIME ZONE 'UTC'
        WHERE "spaceId" = $1 AND "id" = $2
        """,
        space_id,
        document_id,
        content,
        title,
        embedding,
    )


async def embeddings_by_hash(
    conn: Conn, space_id: str, model: str, hashes: Sequence[bytes]
) -> dict[bytes, NDArray[np.float32]]:
    """Return the vectors the space already holds for these content hashes, so they need not be made again."""
    rows = await conn.fetch(
        """
        SELECT wanted.content_hash, known.embedding
        FROM unnest($3::bytea[]) AS wanted (content_hash)
        -- One at a time, by index: right whether the space is empty or holds millions, statistics or none.
        CROSS JOIN LATERAL (
            SELECT e.embedding FROM chunk c
            JOIN chunk_embedding e ON e.space_id = c.space_id AND e.chunk_id = c.id AND e.model = $2
            WHERE c.space_id = $1 AND c.content_hash = wanted.content_hash
            LIMIT 1
        ) AS known
        """,
        space_id,
        model,
        list(hashes),
    )
    return {row["content_hash"]: _array(row["embedding"]) for row in rows}


async def list_chunks(
    conn: Conn, spaces: Sequence[str], document_id: str, *, limit: int, after_ordinal: int = -1
) -> list[ChunkRow]:
    rows = await conn.fetch(
        """
        SELECT id, ordinal, text, char_start, char_end, page_start, page_end, headings, token_count
        FROM chunk WHERE space_id = ANY($1::text[]) AND document_id = $2 AND ordinal > $3
        ORDER BY ordinal LIMIT $4
        """,
        list(spaces),
        document_id,
        after_ordinal,
        limit,
    )
    return [ChunkRow(**row) for row in rows]


def _array(vector: Any) -> NDArray[np.float32]:
    return np.asarray(vector.to_numpy() if hasattr(vector, "to_numpy") else vector, dtype=np.float32)
