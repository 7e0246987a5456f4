"""POST /v1/search."""

import asyncio

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.pool import Pool
from search.pipeline import SearchResult, search
from search.query import Mode, SearchRequest
from service.auth.caller import Caller
from service.metering import UsageRecorder
from service.metrics import SEARCH_SECONDS, SEARCHES
from service.openapi import problems
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter
from service.search.schemas import SearchBody, SearchReply


@post(
    "/v1/search",
    status_code=200,
    tags=["search"],
    responses=problems(404, 422),
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
    )
    written: list[asyncio.Future[None]] = []

    def record() -> None:
        # Written down while the database retrieves: nobody waits for it but a reply that is faster.
        written.append(
            usage_recorder.record(query_meter.entry(caller, request.query, request.mode, data.team_id))
        )

    result = await search(pool, embedder, request, _spaces(caller, data.team_id), on_embedded=record)
    await asyncio.gather(*written)
    _observe(result)
    return SearchReply.from_result(result)


def _spaces(caller: Caller, team_id: str | None) -> tuple[str, ...]:
    """Return all that the caller may see, or the one team they name. Raises 404 for a team that is not theirs."""
    if team_id is None:
        return caller.spaces
    caller.require("search", team_id)
    return (team_id,)


def _observe(result: SearchResult) -> None:
    SEARCHES.labels(result.mode.value, result.plan).inc()
    for part in ("embed", "retrieve", "total"):
        SEARCH_SECONDS.labels(part).observe(getattr(result.took_ms, part) / 1000)


search_routes = [search_documents]
