"""Searching for a caller: in what they may see, charged for, and counted in the metrics."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus

from db.collections import CollectionSpace, find_spaces, touch_collections
from db.pool import Pool
from db.tenancy import as_caller, as_service
from search.pipeline import SearchResult, search
from search.query import SearchRequest
from service.auth.caller import Caller
from service.budgets import Budgets
from service.errors import Problem, not_found
from service.metering import UsageRecorder
from service.metrics import SEARCH_SECONDS, SEARCHES
from service.providers import EmbeddingProvider
from service.query_meter import QueryMeter


async def search_for(
    caller: Caller,
    pool: Pool,
    embedder: EmbeddingProvider,
    usage_recorder: UsageRecorder,
    query_meter: QueryMeter,
    request: SearchRequest,
    *,
    spaces: tuple[str, ...],
    team_id: str | None,
) -> SearchResult:
    """Search spaces that the caller may see; team_id is whose usage it is, if one team was asked about.

    Raises Problem 402 where a budget does not suffice for reading the query.
    """
    written: list[asyncio.Future[None]] = []
    budgets = Budgets(pool)
    cost = query_meter.query_cost(request.query, request.mode)
    reservation = await budgets.reserve(caller, team_id, cost)

    def record() -> None:
        # Written down while the database retrieves: nobody waits for it but a reply that is faster.
        entry = query_meter.entry(caller, request.query, request.mode, team_id, reservation)
        written.append(usage_recorder.record(entry))

    try:
        result = await search(pool, embedder, request, spaces, on_embedded=record)
    finally:
        if not written:
            await budgets.release(reservation)
    await asyncio.gather(*written)
    _observe(result)
    return result


async def open_collections(
    pool: Pool, caller: Caller, collection_ids: Sequence[str]
) -> list[CollectionSpace]:
    """Return collections that are to be searched, and note their use.

    Raises 404 where one is not the caller's, 422 where one has expired.
    """
    # PostgreSQL cannot even look for such an id.
    if any("\x00" in collection_id for collection_id in collection_ids):
        raise not_found("collection")
    async with as_caller(pool, caller.subject) as conn:
        found = await find_spaces(conn, caller.spaces, collection_ids)
        if {collection.id for collection in found} != set(collection_ids):
            raise not_found("collection")
        for collection in found:
            if collection.team_id is not None:
                caller.require("search", collection.team_id)
            if collection.is_expired:
                raise expired(collection.id)
        # A viewer's search is a use as well, and changes nothing that is theirs.
        async with as_service(conn):
            await touch_collections(conn, caller.spaces, collection_ids)
    return found


def expired(collection_id: str) -> Problem:
    return Problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{collection_id} has expired: nobody used it for as long as its expires_after says. Set another one, "
        "or none, to use it again.",
        code="vector_store_expired",
    )


def _observe(result: SearchResult) -> None:
    SEARCHES.labels(result.mode.value, result.plan).inc()
    for part in ("embed", "retrieve", "total"):
        SEARCH_SECONDS.labels(part).observe(getattr(result.took_ms, part) / 1000)
