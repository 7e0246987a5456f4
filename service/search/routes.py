"""POST /v1/search."""

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.pool import Pool
from search.query import Mode, SearchRequest
from service.auth.caller import Caller
from service.metering import UsageRecorder
from service.openapi import problems
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter
from service.search.schemas import SearchBody, SearchReply
from service.searching import open_collections, search_for


@post(
    "/v1/search",
    status_code=200,
    tags=["search"],
    responses=problems(402, 404, 422),
    summary="Search",
)
async def search_documents(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    usage_recorder: NamedDependency[UsageRecorder],
    query_meter: NamedDependency[QueryMeter],
    data: JSONBody[SearchBody],
) -> SearchReply:
    """Return the passages that answer best, each with its document, pages and character span."""
    request = SearchRequest(
        query=data.query,
        top_k=data.top_k,
        mode=Mode(data.mode),
        filters=data.filters,
        document_ids=None if data.document_ids is None else tuple(data.document_ids),
        min_score=data.min_score,
        collection_ids=None if data.collection_ids is None else tuple(data.collection_ids),
    )
    spaces = _spaces(caller, data.team_id)
    if data.collection_ids is not None:
        opened = await open_collections(pool, caller, data.collection_ids)
        held = {collection.space_id for collection in opened}
        spaces = tuple(space for space in spaces if space in held)
    result = await search_for(
        caller,
        pool,
        embedder,
        usage_recorder,
        query_meter,
        request,
        spaces=spaces,
        team_id=data.team_id,
    )
    return SearchReply.from_result(result)


def _spaces(caller: Caller, team_id: str | None) -> tuple[str, ...]:
    """Return all that the caller may see, or the one team they name. Raises 404 for a team that is not theirs."""
    if team_id is None:
        return caller.spaces
    caller.require("search", team_id)
    return (team_id,)


search_routes = [search_documents]
