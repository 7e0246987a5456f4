"""What a search asks of the database: a survey of its scope, the candidates of both legs, the cited chunks.

Three statements, and search waits for two round trips of them: the survey runs while the query is embedded.
Nothing here needs a transaction or session state, so a transaction-mode pooler in front is no obstacle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray
from pgvector import SparseVector

from db.pool import Conn

EMBEDDING_INDEX = "chunk_embedding_ivfflat_idx"


Narrowing = Literal["none", "documents", "collections"]
"""By what a scope is less than the whole of its spaces."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search may see: chunks of these spaces and, where given, only of these documents or collections."""

    spaces: tuple[str, ...]
    document_ids: tuple[str, ...] | None = None
    filter: str | None = None
    """A jsonpath predicate over a document's metadata, made by db.filters.compile_filter."""
    collection_ids: tuple[str, ...] | None = None
    """Only what is in one of these collections."""
    attributes: str | None = None
    """A jsonpath predicate over what a document has in such a collection, made like filter."""

    @property
    def narrowing(self) -> Narrowing:
        if self.collection_ids is not None:
            return "collections"
        return "documents" if self.document_ids is not None or self.filter is not None else "none"

    @property
    def arguments(self) -> tuple[list[str], list[str] | None, str | None, list[str] | None, str | None]:
        """The values of $1 to $5."""
        return (
            list(self.spaces),
            None if self.document_ids is None else list(self.document_ids),
            self.filter,
            None if self.collection_ids is None else list(self.collection_ids),
            self.attributes,
        )


@dataclass(frozen=True, slots=True)
class Survey:
    chunks_with: dict[int, int]
    """How many chunks of the spaces hold each term."""
    chunks: int
    """How many chunks the scope holds, as far as is known."""
    probes: int | None
    """What the approximate index needs for its recall; None where there is no such index."""


class Candidate(msgspec.Struct, frozen=True):
    """semantic is a cosine similarity, lexical a BM25 score; None where the leg does not know the chunk.

    words is what the lexical leg ranks by: BM25, or a variant of it that suits fusion better.
    """

    space_id: str
    chunk_id: UUID
    semantic: float | None
    lexical: float | None
    words: float | None
    by_semantic: bool
    """Whether the semantic leg found it, not only scored it."""


class CitedChunk(msgspec.Struct, frozen=True):
    """similarity is to the moved query, None where the chunk has no vector of the model."""

    chunk_id: UUID
    document_id: str
    title: str
    text: str
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    headings: list[str]
    metadata: object
    similarity: float | None


# The one definition of what a filter leaves of the spaces; $1 to $5 are Scope.arguments. A document without metadata,
# or without attributes in its collection, has an empty object, so that `ne` finds it.
_FILTERED = """
          AND ($2::text[] IS NULL OR d."id" = ANY($2::text[]))
          AND ($3::text IS NULL OR COALESCE(d."metadata", '{}') @@ $3::text::jsonpath)
    ),"""
_DOCUMENTS: dict[Narrowing, str] = {
    # The documents are not looked at; the statement still has to name its parameters.
    "none": """
    unfiltered AS (SELECT $2::text[], $3::text, $4::text[], $5::text),""",
    "documents": """
    uncollected AS (SELECT $4::text[], $5::text),
    documents AS MATERIALIZED (
        SELECT d."spaceId" AS space_id, d."id" AS document_id FROM "Document" AS d
        WHERE d."spaceId" = ANY($1::text[])<filtered>""",
    # From the collections to their documents, which may be a few of a large space. One document may be in several.
    "collections": """
    documents AS MATERIALIZED (
        SELECT DISTINCT d."spaceId" AS space_id, d."id" AS document_id
        FROM collection_document AS m
        JOIN "Document" AS d ON d."spaceId" = m.space_id AND d."id" = m.document_id
        WHERE m.space_id = ANY($1::text[]) AND m.collection_id = ANY($4::text[]) AND m.cancelled_at IS NULL
          AND ($5::text IS NULL OR COALESCE(m.attributes, '{}') @@ $5::text::jsonpath)<filtered>""",
}

_IN_DOCUMENTS = "AND (space_id, document_id) IN (SELECT space_id, document_id FROM documents)"


def _compose(template: str, *, narrowing: Narrowing, **parts: str) -> str:
    """Fill in a statement's constant parts; what people send is in its parameters, never in its text."""
    parts |= {
        "documents": _DOCUMENTS[narrowing].replace("<filtered>", _FILTERED),
        "in_documents": "" if narrowing == "none" else _IN_DOCUMENTS,
    }
    for name, text in parts.items():
        template = template.replace(f"<{name}>", text)
    return template


_SURVEY = """
    WITH <documents>
    counts AS (
        SELECT term, sum(chunks)::bigint AS chunks FROM term_count
        WHERE space_id = ANY($1::text[]) AND term = ANY($6::integer[])
        GROUP BY term
    )
    SELECT COALESCE((SELECT array_agg(term ORDER BY term) FROM counts), '{}') AS terms,
           COALESCE((SELECT array_agg(chunks ORDER BY term) FROM counts), '{}') AS chunks_with,
           COALESCE((<scope_size>), 0) AS chunks,
           (SELECT probes FROM vector_index WHERE index_name = $7 AND lists > 1) AS probes
    """
_NARROWINGS: tuple[Narrowing, ...] = get_args(Narrowing)
_SURVEYS = {
    narrowing: _compose(
        _SURVEY,
        narrowing=narrowing,
        scope_size="SELECT chunks FROM counts WHERE term = 0"
        if narrowing == "none"
        else "SELECT sum(chunk_count) FROM documents JOIN ingestion USING (space_id, document_id)",
    )
    for narrowing in _NARROWINGS
}


async def survey_scope(conn: Conn, scope: Scope, terms: Sequence[int]) -> Survey:
    """Count what IDF and the choice of plan need. terms hold 0, which counts the chunks."""
    row = await conn.fetchrow(_SURVEYS[scope.narrowing], *scope.arguments, list(terms), EMBEDDING_INDEX)
    if row is None:
        raise AssertionError("a query without FROM has a row")
    return Survey(dict(zip(row["terms"], row["chunks_with"], strict=True)), row["chunks"], row["probes"])


_CANDIDATES = """
    WITH <documents>
    semantic AS MATERIALIZED (<semantic>
    ),
    lexical AS MATERIALIZED (
        SELECT space_id, id AS chunk_id FROM chunk
        -- IS TRUE keeps the indexes on space_id out of the plan: the terms are indexed by space already, and a
        -- bitmap of all the chunks of a large space takes longer than the search.
        WHERE (space_id = ANY($1::text[])) IS TRUE <in_documents>
          AND scope_terms(space_id, terms) && (
              SELECT array_agg(scoped.term)
              FROM unnest($1::text[]) AS space (id), unnest(scope_terms(space.id, $9::integer[])) AS scoped (term))
        ORDER BY term_weights <#> $10, id
        LIMIT $11
    ),
    found AS (
        SELECT space_id, chunk_id, bool_or(by_semantic) AS by_semantic
        FROM (SELECT *, true AS by_semantic FROM semantic UNION ALL SELECT *, false FROM lexical) AS legs
        GROUP BY space_id, chunk_id
    )
    -- What one leg found the other scores as well: it knows the chunk, only not among its first.
    SELECT found.space_id, found.chunk_id,
           -(e.embedding <#> $7) AS semantic,
           NULLIF(-(c.term_weights <#> $12), 0) AS lexical,
           NULLIF(-(c.term_weights <#> $10), 0) AS words,
           found.by_semantic
    FROM found
    JOIN chunk AS c ON c.space_id = found.space_id AND c.id = found.chunk_id
    LEFT JOIN chunk_embedding AS e
        ON e.space_id = found.space_id AND e.chunk_id = found.chunk_id AND e.model = $6
    ORDER BY found.chunk_id
    """
# Of unit vectors the inner product is the cosine, at a third of the work; and the index, being one of cosine
# distances, is no plan for it: every vector of the scope is compared.
_EXACT = """
        SELECT space_id, chunk_id FROM chunk_embedding
        WHERE space_id = ANY($1::text[]) AND model = $6 <in_documents>
        ORDER BY embedding <#> $7, chunk_id
        LIMIT $8"""
_APPROXIMATE = """
        SELECT space_id, chunk_id FROM approximate_neighbours($1::text[], <document_ids>, $6, $7, $8, $13)"""
_CANDIDATE_SEARCHES = {
    (narrowing, approximate): _compose(
        _CANDIDATES.replace("<semantic>", _APPROXIMATE if approximate else _EXACT),
        narrowing=narrowing,
        document_ids="NULL" if narrowing == "none" else "ARRAY(SELECT document_id FROM documents)",
    )
    for narrowing in _NARROWINGS
    for approximate in (False, True)
}


async def find_candidates(
    conn: Conn,
    scope: Scope,
    *,
    model: str,
    embedding: NDArray[np.float32] | None,
    bm25: SparseVector,
    ranking: SparseVector,
    terms: Sequence[int],
    depth: int,
    probes: int | None = None,
) -> list[Candidate]:
    """Return the chunks that either leg finds, by id, scored by both; a leg finds depth chunks at most.

    embedding, (1536,), is of this model; None leaves the semantic leg out. terms are those of the query that
    bring a chunk before the lexical leg, ranking is what it ranks by; without terms the leg is left out. probes
    asks for the approximate index; None compares every vector.
    """
    rows = await conn.fetch(
        _CANDIDATE_SEARCHES[scope.narrowing, probes is not None],
        *scope.arguments,
        model,
        embedding,
        0 if embedding is None else depth,
        list(terms),
        ranking,
        depth if terms else 0,
        bm25,
        *([] if probes is None else [probes]),
    )
    return [Candidate(*row) for row in rows]


async def cite_chunks(
    conn: Conn,
    spaces: Sequence[str],
    chunks: Sequence[Candidate],
    *,
    model: str,
    embedding: NDArray[np.float32] | None,
    feedback: Sequence[float],
) -> list[CitedChunk]:
    """Return what is to be cited of these chunks, less those that are gone by now.

    They come in the order in which they were written, so that of two equal texts the first is the original.

    Their similarity is to embedding + sum of feedback[i] * vector of chunks[i]: feedback may be shorter than
    chunks. Nothing has to be fetched for it: the vectors stay in the database.
    """
    rows = await conn.fetch(
        """
        WITH wanted AS (
            SELECT * FROM unnest($2::text[], $3::uuid[]) AS wanted (space_id, chunk_id)
            WHERE space_id = ANY($1::text[])
        ),
        moved AS MATERIALIZED (
            SELECT COALESCE($5::vector + sum(e.embedding * array_fill(f.weight, ARRAY[1536])::vector), $5) AS query
            FROM unnest($2::text[], $3::uuid[], $6::real[]) AS f (space_id, chunk_id, weight)
            JOIN chunk_embedding AS e USING (space_id, chunk_id)
            WHERE e.model = $4 AND f.weight IS NOT NULL AND space_id = ANY($1::text[])
        )
        SELECT c.id AS chunk_id, c.document_id, d."title", c.text, c.page_start, c.page_end, c.char_start,
               c.char_end, c.headings, COALESCE(d."metadata", '{}') AS metadata,
               1 - (e.embedding <=> moved.query) AS similarity
        FROM wanted
        CROSS JOIN moved
        JOIN chunk AS c ON c.space_id = wanted.space_id AND c.id = wanted.chunk_id
        JOIN "Document" AS d ON d."spaceId" = c.space_id AND d."id" = c.document_id
        LEFT JOIN chunk_embedding AS e
            ON e.space_id = c.space_id AND e.chunk_id = c.id AND e.model = $4
        ORDER BY d."createdAt", d."id", c.ordinal
        """,
        list(spaces),
        [chunk.space_id for chunk in chunks],
        [chunk.chunk_id for chunk in chunks],
        model,
        embedding,
        list(feedback),
    )
    return [CitedChunk(**row) for row in rows]
