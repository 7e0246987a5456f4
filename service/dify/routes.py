"""POST /dify/retrieval: Dify searches here as in a knowledge base of its own."""

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.pool import Pool
from search.query import SearchRequest
from service.auth.caller import Caller
from service.dify.conditions import to_filter
from service.dify.errors import dify_errors, failures
from service.dify.knowledge import find_knowledge
from service.dify.schemas import Record, RetrievalBody, RetrievalReply
from service.metering import UsageRecorder
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter
from service.searching import search_for

MAX_RECORDS = 100


@post(
    "/dify/retrieval",
    status_code=200,
    tags=["search"],
    responses=failures(404, 422),
    exception_handlers=dify_errors(),
    summary="Search for Dify",
)
async def retrieve(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    usage_recorder: NamedDependency[UsageRecorder],
    query_meter: NamedDependency[QueryMeter],
    data: JSONBody[RetrievalBody],
) -> RetrievalReply:
    """Return the passages that answer best, as Dify's External Knowledge API has them."""
    filters = to_filter(data.metadata_condition)
    knowledge = await find_knowledge(pool, caller, data.knowledge_id)
    request = SearchRequest(
        query=data.query,
        top_k=min(data.retrieval_setting.top_k, MAX_RECORDS),
        filters=filters,
        min_score=data.retrieval_setting.score_threshold or 0.0,
        collection_ids=knowledge.collection_ids,
    )
    result = await search_for(
        caller,
        pool,
        embedder,
        usage_recorder,
        query_meter,
        request,
        spaces=knowledge.spaces,
        team_id=knowledge.team_id,
    )
    return RetrievalReply(records=[Record.from_found(hit) for hit in result.hits])
