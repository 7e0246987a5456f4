"""Searches on the wire."""

from typing import Annotated, Literal

import msgspec

from db.filters import Filter
from search.pipeline import SearchResult
from search.query import MAX_QUERY_CHARS
from service.hits import Hit


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
