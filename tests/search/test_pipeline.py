"""The whole way from a request to cited hits, on a real database with the bundled model."""

import dataclasses

import pytest

from db import vector_index
from db.filters import Eq, Gt
from db.pool import Pool, open_pool
from search import retrieve
from search.pipeline import SearchResult, search
from search.query import Mode, SearchRequest
from service.providers.minilm.embedder import MiniLMEmbedder
from tests.search.conftest import SPACE
from tests.search.labelled import PASSAGES
from tests.search.rows import add_document


def documents(result: SearchResult) -> list[str]:
    return [hit.document_id for hit in result.hits]


async def test_a_hit_says_where_it_stands_and_why(office: Pool, minilm: MiniLMEmbedder) -> None:
    result = await search(office, minilm, SearchRequest(query="paper jams in the printer"), (SPACE,))
    hit = result.hits[0]
    assert hit.document_id == "printer"
    assert hit.text == PASSAGES["printer"]
    assert [hit.text[start:end] for start, end in hit.highlights] == ["printer", "jams", "paper"]
    assert hit.metadata == {"language": "en", "length": len(hit.text)}
    assert hit.scores.semantic is not None
    assert hit.scores.lexical is not None
    assert 0 < hit.scores.semantic <= 1 < hit.scores.lexical
    assert (result.mode, result.plan) == (Mode.HYBRID, "exact")
    assert 0 < result.took_ms.retrieve < result.took_ms.total
    assert 0 < result.took_ms.embed < result.took_ms.total


@pytest.mark.parametrize("mode", list(Mode))
async def test_scores_are_shares_in_the_order_of_the_hits(
    office: Pool, minilm: MiniLMEmbedder, mode: Mode
) -> None:
    request = SearchRequest(query="errors of the conveyor", mode=mode, top_k=50)
    scores = [hit.score for hit in (await search(office, minilm, request, (SPACE,))).hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


async def test_a_leg_that_was_not_asked_has_no_score(office: Pool, minilm: MiniLMEmbedder) -> None:
    async def first(mode: Mode) -> tuple[float | None, float | None]:
        hit = (await search(office, minilm, SearchRequest(query="honey bees", mode=mode), (SPACE,))).hits[0]
        return hit.scores.semantic, hit.scores.lexical

    semantic, lexical = await first(Mode.SEMANTIC), await first(Mode.LEXICAL)
    assert semantic[0] is not None
    assert lexical[0] is None
    assert lexical[1] is not None


async def test_the_score_of_a_semantic_search_is_the_cosine(office: Pool, minilm: MiniLMEmbedder) -> None:
    result = await search(office, minilm, SearchRequest(query="honey bees", mode=Mode.SEMANTIC), (SPACE,))
    assert [hit.score for hit in result.hits] == pytest.approx([hit.scores.semantic for hit in result.hits])


async def test_top_k_and_min_score_cut_the_same_list(office: Pool, minilm: MiniLMEmbedder) -> None:
    request = SearchRequest(query="what are wasp nests made of", top_k=10)
    full = await search(office, minilm, request, (SPACE,))
    short = await search(office, minilm, dataclasses.replace(request, top_k=3), (SPACE,))
    assert documents(short) == documents(full)[:3]
    floor = full.hits[4].score
    cut = await search(office, minilm, dataclasses.replace(request, min_score=floor), (SPACE,))
    assert documents(cut) == documents(full)[:5]


@pytest.mark.parametrize("mode", list(Mode))
async def test_filters_hold_in_every_mode(office: Pool, minilm: MiniLMEmbedder, mode: Mode) -> None:
    query = "Urlaub holiday days"
    german = SearchRequest(query=query, mode=mode, filters=Eq(key="language", value="de"), top_k=50)
    assert set(documents(await search(office, minilm, german, (SPACE,)))) <= {"urlaub", "kuendigung"}
    one = SearchRequest(query=query, mode=mode, document_ids=("holiday",))
    assert documents(await search(office, minilm, one, (SPACE,))) == ["holiday"]
    none = SearchRequest(query=query, mode=mode, filters=Gt(key="length", value=10_000))
    assert documents(await search(office, minilm, none, (SPACE,))) == []


@pytest.mark.parametrize("mode", list(Mode))
async def test_nobody_sees_another_space(office: Pool, minilm: MiniLMEmbedder, mode: Mode) -> None:
    request = SearchRequest(query="honey bees", mode=mode)
    assert documents(await search(office, minilm, request, ("elsewhere",))) == []
    assert documents(await search(office, minilm, request, ())) == []


@pytest.mark.parametrize(
    "query",
    [
        "the of and",
        "?!…",
        "👩‍🚀🛰",
        "\0\ud800 bees",
        "a" * 8000,
        "蜜蜂 " * 2000,
        "-- ' \" \\ % _ $1 {}",
        "0",
        "é",
    ],
)
@pytest.mark.parametrize("mode", list(Mode))
async def test_odd_queries_are_answered(office: Pool, minilm: MiniLMEmbedder, query: str, mode: Mode) -> None:
    result = await search(office, minilm, SearchRequest(query=query, mode=mode), (SPACE,))
    assert all(0 <= hit.score <= 1 for hit in result.hits)
    assert (len(result.hits) == 0) <= (mode is Mode.LEXICAL)


async def test_a_query_of_small_words_is_left_to_the_semantic_leg(
    office: Pool, minilm: MiniLMEmbedder
) -> None:
    hybrid = await search(office, minilm, SearchRequest(query="what should we do"), (SPACE,))
    assert hybrid.hits[0].scores.semantic is not None
    assert hybrid.hits[0].score == pytest.approx(hybrid.hits[0].scores.semantic, abs=0.1)


async def test_a_document_of_another_model_is_found_by_its_words(
    office: Pool, minilm: MiniLMEmbedder
) -> None:
    async with office.acquire() as conn:
        await add_document(conn, SPACE, "other", ["The zeppelin is moored at noon."], model="another-model")
    result = await search(office, minilm, SearchRequest(query="zeppelin"), (SPACE,))
    assert documents(result)[0] == "other"
    assert result.hits[0].scores.semantic is None
    semantic = SearchRequest(query="zeppelin", mode=Mode.SEMANTIC, top_k=100)
    assert "other" not in documents(await search(office, minilm, semantic, (SPACE,)))


async def test_a_large_scope_is_searched_by_the_index(
    office: Pool, minilm: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_index, "MIN_VECTORS", 10)
    monkeypatch.setattr(vector_index, "choose_lists", lambda _vectors: 3)
    monkeypatch.setattr(retrieve, "LEG_DEPTH", 10)
    request = SearchRequest(query="honey bees", top_k=5)
    exact = await search(office, minilm, request, (SPACE,))
    async with office.acquire() as conn:
        await vector_index.rebuild(conn)
    monkeypatch.setattr(retrieve, "EXACT_CHUNKS", 10)
    near = await search(office, minilm, request, (SPACE,))
    assert (exact.plan, near.plan) == ("exact", "approximate")
    assert documents(near)[0] == documents(exact)[0] == "bees"


async def test_an_index_that_finds_too_little_is_not_relied_on(
    office: Pool, minilm: MiniLMEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scope holds more chunks than vectors of the model, so the index cannot bring enough of them."""
    async with office.acquire() as conn:
        await add_document(conn, SPACE, "other", ["zeppelin"] * 30, model="another-model")
        await conn.execute("INSERT INTO vector_index VALUES ($1, 3, 1, 10)", "chunk_embedding_ivfflat_idx")
    monkeypatch.setattr(retrieve, "EXACT_CHUNKS", 10)
    result = await search(
        office, minilm, SearchRequest(query="honey bees", mode=Mode.SEMANTIC, top_k=50), (SPACE,)
    )
    assert result.plan == "exact"
    assert len(result.hits) == len(PASSAGES)


async def test_a_pooler_in_transaction_mode_is_no_obstacle(
    office: Pool, minilm: MiniLMEmbedder, database_url: str
) -> None:
    """Nothing is prepared and nothing of the session is counted on, so any connection may serve any statement."""
    request = SearchRequest(query="honey bees")
    expected = await search(office, minilm, request, (SPACE,))
    async with open_pool(database_url, size=2, statement_cache_size=0) as pooled:
        assert documents(await search(pooled, minilm, request, (SPACE,))) == documents(expected)
