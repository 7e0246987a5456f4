"""Semantic search as a step: the workflow's own documents, and nobody else's."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from db.filters import Filter
from search.errors import InvalidQuery
from search.query import MAX_QUERY_CHARS, Mode, SearchRequest
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.caller import caller_of, search_spaces
from service.hits import Hit
from service.searching import search_for


class SearchConfig(Config, frozen=True, kw_only=True):
    query: Annotated[
        str, Meta(min_length=1, max_length=MAX_QUERY_CHARS, description="What to look for, in plain words.")
    ]
    top_k: Annotated[int, Meta(ge=1, le=100, description="Hits at most.")] = 10
    mode: Annotated[
        Literal["hybrid", "semantic", "lexical"], Meta(description="By meaning and words, or by one of them.")
    ] = "hybrid"
    min_score: Annotated[float, Meta(ge=0, le=1, description="Hits below this score are left out.")] = 0.0
    filters: Annotated[Filter | None, Meta(description="On metadata, as POST /v1/search has them.")] = None
    document_ids: Annotated[list[str] | None, Meta(description="Only in these documents.")] = None
    collection_ids: Annotated[list[str] | None, Meta(description="Only in these collections.")] = None
    output: Annotated[
        Literal["object", "items"],
        Meta(description="One item with all hits, or an item for each hit."),
    ] = "object"


class Search(NodeType[SearchConfig]):
    name = "search"
    label = "Search documents"
    description = (
        "Finds the passages of your documents that answer a question best, with pages and character spans."
    )
    config = SearchConfig
    has_effects = True

    async def run(self, call: Call[SearchConfig]) -> Emit:
        config, services = call.config, call.services
        caller = caller_of(call.run)
        request = SearchRequest(
            query=config.query,
            top_k=config.top_k,
            mode=Mode(config.mode),
            filters=config.filters,
            document_ids=None if config.document_ids is None else tuple(config.document_ids),
            min_score=config.min_score,
            collection_ids=None if config.collection_ids is None else tuple(config.collection_ids),
        )
        try:
            result = await search_for(
                caller,
                services.pool,
                services.embedder,
                services.usage_recorder,
                services.query_meter,
                request,
                spaces=await search_spaces(services.pool, call.run, config.collection_ids),
                team_id=call.run.team_id,
            )
        except InvalidQuery as exc:
            raise NodeError(str(exc), code="bad_query", field="data.query") from exc
        hits: list[Any] = [msgspec.to_builtins(Hit.from_found(hit)) for hit in result.hits]
        if config.output == "items":
            return Emit([("output", hit) for hit in hits])
        return emit(
            {
                "query": result.query,
                "count": len(hits),
                "best_score": hits[0]["score"] if hits else 0.0,
                "hits": hits,
            }
        )
