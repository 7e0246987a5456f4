"""Searches on the wire."""

from typing import Annotated, Any, Literal

import msgspec

from db.filters import Filter
from search.cite import Hit as FoundHit
from search.pipeline import SearchResult
from search.query import MAX_QUERY_CHARS


class SearchBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What to look for, how, and in what part of what the caller may see."""

    query: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_QUERY_CHARS)]
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10
    mode: Literal["hybrid", "semantic", "lexical"] = "hybrid"
    filters: Filter | None = None
    document_ids: Annotated[list[str], msgspec.Meta(max_length=1000)] | None = None
    collection_ids: Annotated[list[str], msgspec.Meta(max_length=100)] | None = None
    team_id: str | None = None
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


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


class Took(msgspec.Struct, kw_only=True, frozen=True):
    """Milliseconds: the query's embedding, what the database was waited for, all of it."""

    embed: float
    retrieve: float
    total: float


class SearchReply(msgspec.Struct, kw_only=True, frozen=True):
    """Hits, best first, and how they were found."""

    query: str
    mode: Literal["hybrid", "semantic", "lexical"]
    plan: Literal["exact", "approximate"]
    took_ms: Took
    hits: list[Hit]

    @classmethod
    def from_result(cls, result: SearchResult) -> "SearchReply":
        took = result.took_ms
        return cls(
            query=result.query,
            mode=result.mode.value,
            plan=result.plan,
            took_ms=Took(
                embed=round(took.embed, 2), retrieve=round(took.retrieve, 2), total=round(took.total, 2)
            ),
            hits=[Hit.from_found(hit) for hit in result.hits],
        )
