"""A query to its hits, the whole way on one screen.

        query ──► embed ───┐
              └─► survey ──┴─► retrieve ──► fuse ──► feedback, cite ──► rerank ──► hits
                  (db)          (db)                  (db)

Three statements; as the survey runs beside the embedding, search waits for two round trips.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.lexical import LexicalQuery, list_lookups, weigh_query
from db.pool import Pool
from db.retrieval import Survey, cite_chunks, survey_scope
from search.cite import Hit, cite
from search.fuse import SEMANTIC_WEIGHT, Ranked, fuse, weigh_legs
from search.query import Mode, Query, QueryEmbedder, SearchRequest, embed_query, read_request
from search.rerank import rerank, weigh_feedback
from search.retrieve import Plan, retrieve

RERANK_MARGIN = 40
"""Hits beyond top_k that feedback may still lift into it."""

_SEMANTIC_WEIGHTS = {Mode.HYBRID: SEMANTIC_WEIGHT, Mode.SEMANTIC: 1.0, Mode.LEXICAL: 0.0}


@dataclass(frozen=True, slots=True)
class Took:
    """Milliseconds. embed and the survey overlap; retrieve is all the rest of what the database is waited for."""

    embed: float
    retrieve: float
    total: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    query: str
    mode: Mode
    plan: Plan
    took_ms: Took
    hits: list[Hit]
    words: LexicalQuery
    """What the query's words weigh in the searcher's corpus."""


def _nothing() -> None:
    pass


async def search(
    pool: Pool,
    embedder: QueryEmbedder,
    request: SearchRequest,
    spaces: tuple[str, ...],
    *,
    on_embedded: Callable[[], None] = _nothing,
) -> SearchResult:
    """Return the best chunks of these spaces, best first; on_embedded is called once the query has its vector.

    Raises InvalidQuery, QueryNotEmbedded, and what the embedder raises. No connection is held while it works.
    """
    started = time.perf_counter()
    query = read_request(request, spaces)
    (embedding, embed_ms), survey = await asyncio.gather(_embed(embedder, query), _survey(pool, query))
    on_embedded()
    words = weigh_query(query.text, survey.chunks_with)
    retrieving = time.perf_counter()
    found = await retrieve(pool, query, model=embedder.model, embedding=embedding, words=words, survey=survey)
    # A query without a word, of emoji or of small words alone, asks the lexical leg nothing: it has no say.
    mode = Mode.SEMANTIC if query.mode is Mode.HYBRID and not words.sought else query.mode
    weight = _SEMANTIC_WEIGHTS[mode]
    if mode is Mode.HYBRID and query.semantic_weight is not None:
        weight = query.semantic_weight
    legs = weigh_legs(found.candidates, lexical_ceiling=words.best_score, semantic_weight=weight)
    hits = fuse([Ranked(candidate, candidate.semantic) for candidate in found.candidates], legs)
    hits = hits[: query.top_k + (RERANK_MARGIN if query.mode is Mode.HYBRID else 0)]
    async with pool.acquire() as conn:
        cited = await cite_chunks(
            conn,
            spaces,
            [hit.candidate for hit in hits],
            model=embedder.model,
            embedding=embedding,
            feedback=weigh_feedback(hits) if query.mode is Mode.HYBRID else [],
        )
    retrieve_ms = _ms_since(retrieving)
    chunks = {chunk.chunk_id: chunk for chunk in cited}
    hits = rerank(hits, {chunk.chunk_id: chunk.similarity for chunk in cited}, legs)[: query.top_k]
    shown = [cite(hit, chunks[hit.candidate.chunk_id], legs, words) for hit in hits]
    return SearchResult(
        query=request.query,
        mode=query.mode,
        plan=found.plan,
        took_ms=Took(embed=embed_ms, retrieve=retrieve_ms, total=_ms_since(started)),
        hits=[hit for hit in shown if hit.score >= query.min_score],
        words=words,
    )


async def _embed(embedder: QueryEmbedder, query: Query) -> tuple[NDArray[np.float32] | None, float]:
    started = time.perf_counter()
    return await embed_query(embedder, query), _ms_since(started)


async def _survey(pool: Pool, query: Query) -> Survey:
    async with pool.acquire() as conn:
        return await survey_scope(conn, query.scope, list_lookups(query.text))


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
