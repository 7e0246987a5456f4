"""POST /dify/retrieval: our search, as Dify asks an external knowledge base."""

from http import HTTPStatus

from litestar import Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.filters import Filter
from db.pool import Pool
from search.query import SearchRequest
from service.auth.caller import Caller
from service.dify.conditions import ValueUnusable, to_filter
from service.dify.errors import dify_errors, failures
from service.dify.schemas import Record, RetrievalBody, RetrievalReply
from service.errors import Problem, not_found
from service.metering import UsageRecorder
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter
from service.searching import open_collections, search_for

EVERYTHING = "all"
_STORE_PREFIX = "vs_"


@post(
    "/retrieval",
    status_code=200,
    responses=failures(404, 422),
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
    """Return the passages that answer best: of `all`, of a team's documents by its id, or of a vector store's."""
    spaces, team_id, collection_ids = await _knowledge(pool, caller, data.knowledge_id)
    request = SearchRequest(
        query=data.query,
        top_k=data.retrieval_setting.top_k,
        min_score=data.retrieval_setting.score_threshold or 0.0,
        filters=_filter(data),
        collection_ids=collection_ids,
    )
    result = await search_for(
        caller,
        pool,
        embedder,
        usage_recorder,
        query_meter,
        request,
        spaces=spaces,
        team_id=team_id,
    )
    return RetrievalReply(records=[Record.from_found(hit) for hit in result.hits])


async def _knowledge(
    pool: Pool, caller: Caller, knowledge_id: str
) -> tuple[tuple[str, ...], str | None, tuple[str, ...] | None]:
    """Return the spaces, the team and the collections that an id stands for. Raises 404 for what is not theirs."""
    if not knowledge_id.isprintable():  # no id has such characters, and PostgreSQL not all of them
        raise not_found("knowledge base")
    if knowledge_id == EVERYTHING:
        return caller.spaces, None, None
    if knowledge_id.startswith(_STORE_PREFIX):
        (store,) = await open_collections(pool, caller, [knowledge_id])
        return (store.space_id,), store.team_id, (store.id,)
    caller.require("search", knowledge_id)
    return (knowledge_id,), knowledge_id, None


def _filter(data: RetrievalBody) -> Filter | None:
    try:
        return to_filter(data.metadata_condition)
    except ValueUnusable as exc:
        raise Problem(HTTPStatus.BAD_REQUEST, f"metadata_condition: {exc}") from exc


dify_router = Router("/dify", tags=["Dify"], exception_handlers=dify_errors(), route_handlers=[retrieve])
