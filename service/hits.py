"""A hit on the wire: what searches reply with, and what workflows pass on."""

from typing import Any

import msgspec

from search.cite import Hit as FoundHit


class Scores(msgspec.Struct, kw_only=True, frozen=True):
    """Each leg's own: cosine similarity, and BM25. null where the leg does not know the chunk."""

    semantic: float | None
    lexical: float | None


class Hit(msgspec.Struct, kw_only=True, frozen=True):
    """A chunk that answers, with what to cite it by; text is content[char_start:char_end], in code points."""

    chunk_id: str
    document_id: str
    title: str
    text: str
    page_start: int | None
    page_end: int | None
    char_start: int
    char_end: int
    headings: list[str]
    score: float
    scores: Scores
    highlights: list[tuple[int, int]]
    metadata: dict[str, Any]

    @classmethod
    def from_found(cls, hit: FoundHit) -> "Hit":
        return cls(
            chunk_id=str(hit.chunk_id),
            document_id=hit.document_id,
            title=hit.title,
            text=hit.text,
            page_start=hit.page_start,
            page_end=hit.page_end,
            char_start=hit.char_start,
            char_end=hit.char_end,
            headings=hit.headings,
            score=hit.score,
            scores=Scores(semantic=hit.scores.semantic, lexical=hit.scores.lexical),
            highlights=hit.highlights,
            metadata=dict(hit.metadata),
        )
