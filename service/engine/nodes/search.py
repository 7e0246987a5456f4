"""search: passages from the documents of the run's space."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from db import collections
from db.filters import Filter
from db.tenancy import as_system
from search.query import Mode, SearchRequest
from service.engine.acting import payer_of, refusals
from service.engine.definition import OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.text import AS_TEXT, Text, as_text
from service.hits import Hit
from service.searching import search_for
from service.text import storable


class SearchConfig(Config, frozen=True, kw_only=True):
    query: Annotated[Text, msgspec.Meta(description="What to look for.", extra_json_schema=AS_TEXT)]
    top_k: Annotated[int, msgspec.Meta(ge=1, le=100, description="How many passages at most.")] = 10
    mode: Annotated[
        Literal["hybrid", "semantic", "lexical"],
        msgspec.Meta(description="semantic: by meaning; lexical: by words; hybrid: by both."),
    ] = "hybrid"
    filters: Annotated[
        Filter | None, msgspec.Meta(description="On the documents' metadata, as of POST /v1/search.")
    ] = None
    document_ids: Annotated[
        Annotated[list[str], msgspec.Meta(max_length=1_000)] | None,
        msgspec.Meta(description="Only in these documents."),
    ] = None
    collection_ids: Annotated[
        Annotated[list[str], msgspec.Meta(max_length=100)] | None,
        msgspec.Meta(description="Only in these collections."),
    ] = None
    min_score: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="Leave out passages that score less.")
    ] = 0.0
    output_mode: Annotated[
        Literal["object", "items"],
        msgspec.Meta(description="One item with all hits (object), or an item for each (items)."),
    ] = "object"


class Search(NodeType[SearchConfig]):
    name = "search"
    label = "Search"
    description = "Finds the passages that answer best in the documents of the workflow's owner or team."
    config = SearchConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data.get("query") else [("query", "is missing: what to look for")]

    async def run(self, call: Call[SearchConfig]) -> Emit:
        config, run = call.config, call.run
        query = as_text(config.query)
        request = SearchRequest(
            query=query,
            top_k=config.top_k,
            mode=Mode(config.mode),
            filters=config.filters,
            document_ids=_tuple(config.document_ids),
            collection_ids=_tuple(config.collection_ids),
            min_score=config.min_score,
        )
        if config.collection_ids is not None:
            await _open_collections(call, config.collection_ids)
        services = call.services
        with refusals():
            result = await search_for(
                await payer_of(services, run),
                services.pool,
                services.embedder,
                services.usage_recorder,
                services.query_meter,
                request,
                spaces=(run.space_id,),
                team_id=run.team_id,
            )
        hits = [msgspec.to_builtins(Hit.from_found(hit)) for hit in result.hits]
        if config.output_mode == "items":
            return Emit([(OUTPUT, hit) for hit in hits])
        best = max((hit["score"] for hit in hits), default=None)
        return emit({"query": query, "hits": hits, "best_score": best, "count": len(hits)})


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


async def _open_collections(call: Call[SearchConfig], collection_ids: Sequence[str]) -> None:
    """Note that collections are used. Raises NodeError for one that is not the space's, or has expired."""
    wanted = [storable(collection_id) for collection_id in collection_ids]
    spaces = (call.run.space_id,)
    async with as_system(call.services.pool) as conn:
        found = {one.id: one for one in await collections.find_spaces(conn, spaces, wanted)}
        for collection_id in wanted:
            if collection_id not in found:
                raise NodeError(
                    f"There is no collection {collection_id!r} here.",
                    code="not_found",
                    field="data.collectionIds",
                )
            if found[collection_id].is_expired:
                raise NodeError(
                    f"The collection {collection_id!r} has expired.",
                    code="expired",
                    field="data.collectionIds",
                )
        await collections.touch_collections(conn, spaces, wanted)
