"""POST /v1/vector_stores/{id}/search: our search, in one collection, as OpenAI's clients see it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from uuid import UUID

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from db.members import Described, describe_members
from db.pool import Pool
from db.tenancy import as_caller
from search.cite import Hit
from search.query import Mode, SearchRequest
from service.auth.caller import Caller
from service.errors import Problem
from service.metering import UsageRecorder
from service.openai_api.errors import failures
from service.openai_api.ids import to_file_id
from service.openai_api.schemas import (
    HybridWeights,
    RankingOptions,
    ResultScores,
    SearchPage,
    SearchResult,
    StoreSearch,
    TextContent,
)
from service.openai_api.vector_stores import StoreParameter
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter
from service.searching import open_collections, search_for

DEFAULT_RESULTS = 10


@post(
    "/vector_stores/{vector_store_id:str}/search",
    status_code=200,
    responses=failures(402, 404),
    summary="Search a vector store",
)
async def search_store(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    embedder: NamedDependency[EmbeddingProvider],
    usage_recorder: NamedDependency[UsageRecorder],
    query_meter: NamedDependency[QueryMeter],
    vector_store_id: StoreParameter,
    data: JSONBody[StoreSearch],
) -> SearchPage:
    """Return the passages that answer best. Queries are not rewritten."""
    queries = [data.query] if isinstance(data.query, str) else data.query
    requests = [_to_request(query, vector_store_id, data) for query in queries]
    (store,) = await open_collections(pool, caller, [vector_store_id])
    hits: list[Hit] = []
    for request in requests:
        result = await search_for(
            caller,
            pool,
            embedder,
            usage_recorder,
            query_meter,
            request,
            spaces=(store.space_id,),
            team_id=store.team_id,
        )
        hits.extend(result.hits)
    best = _merge(hits, requests[0].top_k)
    async with as_caller(pool, caller.subject) as conn:
        described = await describe_members(
            conn, store.space_id, store.id, list({hit.document_id for hit in best})
        )
    return SearchPage(
        object="vector_store.search_results.page",
        search_query=queries,
        data=_show(best, described),
        has_more=False,
        next_page=None,
    )


def _to_request(query: str, store_id: str, data: StoreSearch) -> SearchRequest:
    ranking = data.ranking_options or RankingOptions()
    mode, weight = _weigh(ranking.hybrid_search)
    return SearchRequest(
        query=query,
        top_k=data.max_num_results or DEFAULT_RESULTS,
        mode=mode,
        min_score=ranking.score_threshold or 0.0,
        collection_ids=(store_id,),
        attributes=data.filters,
        semantic_weight=weight,
    )


def _weigh(weights: HybridWeights | None) -> tuple[Mode, float | None]:
    """Return the mode, and of hybrid search the share of meaning: a leg that weighs nothing is not asked."""
    if weights is None:
        return Mode.HYBRID, None
    whole = weights.embedding_weight + weights.text_weight
    if whole <= 0:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "ranking_options.hybrid_search: one of the weights has to be more than 0.",
            param="ranking_options.hybrid_search",
        )
    if weights.text_weight == 0:
        return Mode.SEMANTIC, None
    if weights.embedding_weight == 0:
        return Mode.LEXICAL, None
    return Mode.HYBRID, weights.embedding_weight / whole


def _merge(hits: Sequence[Hit], limit: int) -> list[Hit]:
    """Return each chunk once, with its best score, best first: scores compare across queries."""
    best: dict[UUID, Hit] = {}
    for hit in hits:
        known = best.get(hit.chunk_id)
        if known is None or hit.score > known.score:
            best[hit.chunk_id] = hit
    return sorted(best.values(), key=lambda hit: -hit.score)[:limit]


def _show(hits: Sequence[Hit], described: Mapping[str, Described]) -> list[SearchResult]:
    # A file that was taken out since it was found is not shown any more.
    return [_to_result(hit, described[hit.document_id]) for hit in hits if hit.document_id in described]


def _to_result(hit: Hit, described: Described) -> SearchResult:
    return SearchResult(
        file_id=to_file_id(hit.document_id),
        filename=described.filename,
        score=hit.score,
        attributes=described.attributes,
        content=[TextContent(type="text", text=hit.text)],
        chunk_id=str(hit.chunk_id),
        page_start=hit.page_start,
        page_end=hit.page_end,
        char_start=hit.char_start,
        char_end=hit.char_end,
        headings=hit.headings,
        scores=ResultScores(semantic=hit.scores.semantic, lexical=hit.scores.lexical),
    )


search_routes = [search_store]
