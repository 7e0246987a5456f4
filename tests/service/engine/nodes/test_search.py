"""Searching and answering: in the run's own space alone, charged for, and what goes on."""

from typing import Any

import pytest

from db.collections import insert_collection
from db.members import NewMember, insert_members
from db.pool import Pool
from ingest.embed import embedding_text
from service.engine.errors import NodeError
from service.engine.nodes.base import RunContext
from service.engine.services import Services
from tests.search.rows import add_document
from tests.service.chatting import LEASE, PRINTER, QUESTION
from tests.service.engine.calls import new_run, one_row, outputs

TEXTS = {"Lease": LEASE, "Printer": PRINTER}


async def store(services: Services, pool: Pool, run: RunContext, prefix: str = "", **texts: str) -> None:
    """Put texts into a run's own space, as documents that can be found."""
    vectors = await services.embedder.embed_documents(
        [embedding_text("", (), text) for text in texts.values()]
    )
    async with pool.acquire() as conn:
        for (name, text), vector in zip(texts.items(), vectors, strict=True):
            await add_document(
                conn,
                run.space_id,
                prefix + name,
                [text],
                vectors=[vector],
                model=services.embedder.model,
                title=name,
                metadata={"kind": name.lower()},
            )


@pytest.fixture
async def office(services: Services, pool: Pool, run: RunContext) -> RunContext:
    """A run whose space holds two documents, while somebody else's holds the same."""
    await store(services, pool, run, **TEXTS)
    other = await new_run(services, "other@example.com")
    await store(services, pool, other, prefix="other-", **TEXTS)
    return run


async def found(services: Services, run: RunContext, **data: Any) -> Any:
    ((_, item),) = await outputs("search", {"query": QUESTION, **data}, {}, services=services, run=run)
    return item


async def test_hits_come_from_the_runs_own_space_alone(office: RunContext, services: Services) -> None:
    item = await found(services, office)
    assert item["query"] == QUESTION
    assert {hit["document_id"] for hit in item["hits"]} == {"Lease", "Printer"}
    assert item["count"] == 2
    best = item["hits"][0]
    assert (best["document_id"], best["title"], best["text"]) == ("Lease", "Lease", LEASE)
    assert item["best_score"] == best["score"]
    assert {"chunk_id", "char_start", "char_end", "page_start", "scores", "highlights", "metadata"} < set(
        best
    )


async def test_what_is_looked_for_can_be_narrowed(office: RunContext, services: Services) -> None:
    by_filter = await found(services, office, filters={"type": "eq", "key": "kind", "value": "printer"})
    assert [hit["document_id"] for hit in by_filter["hits"]] == ["Printer"]
    by_id = await found(services, office, documentIds=["Printer", "other-Lease"])
    assert [hit["document_id"] for hit in by_id["hits"]] == ["Printer"]
    assert (await found(services, office, topK=1))["count"] == 1
    nothing = await found(services, office, minScore=1.0)
    assert nothing == {"query": QUESTION, "hits": [], "best_score": None, "count": 0}


async def test_hits_can_go_on_one_by_one(office: RunContext, services: Services) -> None:
    data = {"query": QUESTION, "outputMode": "items", "topK": 2}
    items = await outputs("search", data, {}, services=services, run=office)
    assert [(handle, item["document_id"]) for handle, item in items] == [
        ("output", "Lease"),
        ("output", "Printer"),
    ]
    assert await outputs("search", {**data, "minScore": 1.0}, {}, services=services, run=office) == []


async def test_collections_are_those_of_the_space(office: RunContext, services: Services, pool: Pool) -> None:
    other = await new_run(services, "third@example.com")
    async with pool.acquire() as conn:
        mine, theirs = [
            await insert_collection(
                conn,
                user_id=space,
                team_id=None,
                name=None,
                description=None,
                metadata=None,
                expires_after_days=None,
            )
            for space in (office.space_id, other.user_id)
        ]
        await insert_members(conn, office.space_id, mine, [NewMember(document_id="Printer", attributes=None)])
    item = await found(services, office, collectionIds=[mine])
    assert [hit["document_id"] for hit in item["hits"]] == ["Printer"]
    for unknown in (theirs, "none", "nul\x00"):
        with pytest.raises(NodeError) as raised:
            await found(services, office, collectionIds=[unknown])
        assert raised.value.code == "not_found"


async def test_a_query_that_says_nothing_fails(office: RunContext, services: Services) -> None:
    for query in ("", "  ", None, "x" * 8_001):
        with pytest.raises(NodeError) as raised:
            await found(services, office, query=query)
        assert (raised.value.code, raised.value.retryable) == ("invalid_query", False)


async def test_searches_are_written_down(office: RunContext, services: Services, pool: Pool) -> None:
    await found(services, office)
    row = await one_row(pool, 'SELECT "userId", "resourceType", "action" FROM "UsageLog"')
    assert row == (office.user_id, "search", "query")


async def test_sentences_of_documents_answer_without_a_model(office: RunContext, services: Services) -> None:
    ((_, item),) = await outputs("answer", {"question": QUESTION}, {}, services=services, run=office)
    assert "The lease of hall B ends on the last day of May." in item["answer"]
    assert item["citations"][0]["document_id"] == "Lease"
    assert (item["declined"], item["model"], item["usage"]["cost"]) == (False, "extractive", 0.0)


async def test_an_answer_declines_where_nothing_is_found(office: RunContext, services: Services) -> None:
    data = {"question": QUESTION, "minScore": 1.0}
    ((_, item),) = await outputs("answer", data, {}, services=services, run=office)
    assert (item["declined"], item["citations"]) == (True, [])
    with pytest.raises(NodeError, match="says nothing"):
        await outputs("answer", {"question": " "}, {}, services=services, run=office)
