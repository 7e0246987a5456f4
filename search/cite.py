"""Hits as they are shown: the chunk, where it stands, what of the query it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from db.lexical import LexicalQuery, match_spans
from db.retrieval import CitedChunk
from search.fuse import Legs, Ranked


@dataclass(frozen=True, slots=True)
class LegScores:
    """semantic is the cosine similarity of query and chunk, lexical the BM25 score; None where a leg has none."""

    semantic: float | None
    lexical: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """text is content[char_start:char_end] of the document; pages count from 1."""

    chunk_id: UUID
    document_id: str
    title: str
    text: str
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    headings: list[str]
    score: float
    """0..1, in the order of the hits, and comparable between queries."""
    scores: LegScores
    highlights: list[tuple[int, int]]
    """[start, end) in code points of text."""
    metadata: Mapping[str, object]


def cite(ranked: Ranked, chunk: CitedChunk, legs: Legs, words: LexicalQuery) -> Hit:
    semantic = ranked.candidate.semantic
    return Hit(
        chunk_id=chunk.chunk_id,
        document_id=chunk.document_id,
        title=chunk.title,
        text=chunk.text,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        char_start=chunk.char_start,
        char_end=chunk.char_end,
        headings=chunk.headings,
        score=min(1.0, ranked.fused * legs.trust),
        scores=LegScores(
            None if semantic is None else min(1.0, max(0.0, semantic)), ranked.candidate.lexical
        ),
        highlights=match_spans(chunk.text, words),
        metadata=chunk.metadata if isinstance(chunk.metadata, Mapping) else {},
    )
