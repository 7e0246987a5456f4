"""Both legs in PostgreSQL: what they find, what they may not see, by which plan."""

from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from db import vector_index
from db.filters import Eq, compile_filter
from db.lexical import CHUNK_COUNT, list_lookups, weigh_query
from db.pool import Conn
from db.retrieval import (
    _CANDIDATE_SEARCHES,
    _SURVEYS,
    EMBEDDING_INDEX,
    Candidate,
    Scope,
    cite_chunks,
    find_candidates,
    survey_scope,
)
from tests.search.rows import MODEL, add_document, chunk_id, unit

Vector = NDArray[np.float32]


async def find(
    conn: Conn,
    scope: Scope,
    words: str = "",
    *,
    embedding: Vector | None = None,
    model: str = MODEL,
    depth: int = 10,
    probes: int | None = None,
) -> dict[UUID, Candidate]:
    survey = await survey_scope(conn, scope, list_lookups(words))
    query = weigh_query(words, survey.chunks_with)
    found = await find_candidates(
        conn,
        scope,
        model=model,
        embedding=embedding,
        bm25=query.to_vector(),
        ranking=query.to_vector(),
        terms=[term.term for term in query.terms],
        depth=depth,
        probes=probes,
    )
    return {candidate.chunk_id: candidate for candidate in found}


async def test_the_lexical_leg_scores_by_bm25(conn: Conn) -> None:
    await add_document(conn, "s", "d", ["the panda eats bamboo", "the bear eats fish", "a panda, one panda"])
    found = await find(conn, Scope(("s",)), "panda bamboo")
    ranked = sorted(found.values(), key=lambda candidate: -(candidate.lexical or 0))
    assert [candidate.chunk_id for candidate in ranked] == [chunk_id("d", 0), chunk_id("d", 2)]
    # Two of three chunks hold "panda", one "bamboo"; a chunk of 3 or 2 terms.
    idf = {"panda": np.log(1 + 1.5 / 2.5), "bamboo": np.log(1 + 2.5 / 1.5)}
    weight = {(1, 3): 2.5 / (1 + 1.5 * (0.25 + 0.75 * 0.03)), (2, 2): 5 / (2 + 1.5 * (0.25 + 0.75 * 0.02))}
    assert ranked[0].lexical == pytest.approx(weight[1, 3] * (idf["panda"] + idf["bamboo"]), rel=1e-5)
    assert ranked[1].lexical == pytest.approx(weight[2, 2] * idf["panda"], rel=1e-5)


async def test_the_semantic_leg_scores_by_cosine(conn: Conn) -> None:
    vectors = [unit(1, 1), unit(0, 1), unit(-1, 0)]
    await add_document(conn, "s", "d", ["a", "b", "c"], vectors=vectors)
    found = await find(conn, Scope(("s",)), embedding=unit(1, 0), depth=2)
    assert {key: candidate.semantic for key, candidate in found.items()} == {
        chunk_id("d", 0): pytest.approx(0.7071, abs=1e-4),
        chunk_id("d", 1): pytest.approx(0, abs=1e-6),
    }


async def test_what_one_leg_finds_the_other_scores(conn: Conn) -> None:
    await add_document(conn, "s", "d", ["panda", "bear"], vectors=[unit(0, 1), unit(1, 0)])
    found = await find(conn, Scope(("s",)), "panda", embedding=unit(1, 0.1), depth=1)
    by_words, by_meaning = found[chunk_id("d", 0)], found[chunk_id("d", 1)]
    assert not by_words.by_semantic
    assert by_words.semantic == pytest.approx(0.0995, abs=1e-4)
    assert by_meaning.by_semantic
    assert by_meaning.lexical is None


async def test_a_leg_without_a_question_is_left_out(conn: Conn) -> None:
    await add_document(conn, "s", "d", ["panda", "bear"])
    assert await find(conn, Scope(("s",)), "the of") == {}
    found = await find(conn, Scope(("s",)), "panda")
    assert [(c.chunk_id, c.semantic) for c in found.values()] == [(chunk_id("d", 0), None)]


@pytest.mark.parametrize("probes", [None, 1])
async def test_no_leg_sees_another_space(conn: Conn, probes: int | None) -> None:
    await add_document(conn, "mine", "d1", ["panda one"])
    await add_document(conn, "theirs", "d2", ["panda two"])
    for words, embedding in (("panda", None), ("", unit(1)), ("panda", unit(1))):
        found = await find(conn, Scope(("mine",)), words, embedding=embedding, probes=probes)
        assert set(found) == {chunk_id("d1", 0)}
    both = await find(conn, Scope(("mine", "theirs")), "panda", embedding=unit(1), probes=probes)
    assert len(both) == 2
    assert await find(conn, Scope(()), "panda", embedding=unit(1), probes=probes) == {}


async def test_citing_does_not_reach_into_another_space(conn: Conn) -> None:
    await add_document(conn, "theirs", "d2", ["panda two"])
    stolen = Candidate("theirs", chunk_id("d2", 0), 1.0, 1.0, 1.0, by_semantic=True)
    cited = await cite_chunks(conn, ["mine"], [stolen], model=MODEL, embedding=unit(1), feedback=[0.1])
    assert cited == []


async def test_idf_reflects_the_searchers_spaces_only(conn: Conn) -> None:
    await add_document(conn, "mine", "d1", ["panda", "bear", "bear"])
    before = await find(conn, Scope(("mine",)), "panda")
    await add_document(conn, "theirs", "d2", ["panda"] * 50)
    after = await find(conn, Scope(("mine",)), "panda")
    assert before == after
    survey = await survey_scope(conn, Scope(("mine",)), list_lookups("panda"))
    assert survey.chunks_with[CHUNK_COUNT] == survey.chunks == 3


@pytest.mark.parametrize("probes", [None, 1])
async def test_vectors_of_another_model_are_not_compared(conn: Conn, probes: int | None) -> None:
    await add_document(conn, "s", "old", ["panda"], vectors=[unit(1)], model="model-b")
    await add_document(conn, "s", "new", ["bear"], vectors=[unit(0, 1)], model=MODEL)
    found = await find(conn, Scope(("s",)), "panda", embedding=unit(1), probes=probes)
    assert found[chunk_id("new", 0)].semantic == pytest.approx(0)
    # The words still find it; its vector says nothing about this model's query.
    assert found[chunk_id("old", 0)].semantic is None


@pytest.mark.parametrize("probes", [None, 1])
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope(("s",), document_ids=("d1", "elsewhere")), {"d1"}),
        (Scope(("s",), document_ids=()), set()),
        (Scope(("s",), filter=compile_filter(Eq(key="year", value=2024))), {"d2"}),
        (Scope(("s",), document_ids=("d1",), filter=compile_filter(Eq(key="year", value=2024))), set()),
        (Scope(("s",), filter='(!($."year" == 2023) || ($."year" == 2023) is unknown)'), {"d2", "d3"}),
    ],
)
async def test_filters_hold_in_both_legs(
    conn: Conn, scope: Scope, expected: set[str], probes: int | None
) -> None:
    await add_document(conn, "s", "d1", ["panda"], metadata={"year": 2023})
    await add_document(conn, "s", "d2", ["panda"], metadata={"year": 2024})
    await add_document(conn, "s", "d3", ["panda"], metadata=None)
    await add_document(conn, "other", "elsewhere", ["panda"], metadata={"year": 2024})
    ids = {chunk_id(document, 0) for document in expected}
    for words, embedding in (("panda", None), ("", unit(1))):
        assert set(await find(conn, scope, words, embedding=embedding, probes=probes)) == ids
    assert (await survey_scope(conn, scope, [CHUNK_COUNT])).chunks == len(expected)


async def test_a_deleted_document_leaves_no_trace(conn: Conn) -> None:
    await add_document(conn, "s", "d1", ["panda bamboo"])
    await add_document(conn, "s", "d2", ["panda"])
    await conn.execute("""DELETE FROM "Document" WHERE "id" = 'd1'""")
    found = await find(conn, Scope(("s",)), "panda bamboo", embedding=unit(1))
    assert set(found) == {chunk_id("d2", 0)}
    survey = await survey_scope(conn, Scope(("s",)), list_lookups("bamboo"))
    assert survey.chunks == 1
    assert weigh_query("bamboo", survey.chunks_with).terms == ()


async def test_a_document_that_moves_is_found_where_it_went(conn: Conn) -> None:
    await conn.execute(
        """INSERT INTO "Team" ("id", "name", "slug", "updatedAt") VALUES ('team', 't', 't', now())"""
    )
    await add_document(conn, "mine", "d", ["panda"])
    await conn.execute("""UPDATE "Document" SET "teamId" = 'team' WHERE "id" = 'd'""")
    assert await find(conn, Scope(("mine",)), "panda", embedding=unit(1)) == {}
    assert set(await find(conn, Scope(("team",)), "panda")) == {chunk_id("d", 0)}
    assert set(await find(conn, Scope(("team",)), "", embedding=unit(1))) == {chunk_id("d", 0)}


async def test_feedback_moves_the_query(conn: Conn) -> None:
    await add_document(conn, "s", "d", ["a", "b"], vectors=[unit(1, 0), unit(0, 1)])
    found = await find(conn, Scope(("s",)), embedding=unit(1, 0))
    chunks = [found[chunk_id("d", 1)], found[chunk_id("d", 0)]]
    cited = await cite_chunks(conn, ["s"], chunks, model=MODEL, embedding=unit(1, 0), feedback=[1.0])
    # (1, 0) + 1 * (0, 1), as far from one as from the other.
    assert [chunk.similarity for chunk in cited] == [pytest.approx(0.7071, abs=1e-4)] * 2
    assert [chunk.text for chunk in cited] == ["a", "b"]  # as they were written, not as asked for
    still = await cite_chunks(conn, ["s"], chunks, model=MODEL, embedding=unit(1, 0), feedback=[])
    assert {chunk.text: chunk.similarity for chunk in still} == {"a": pytest.approx(1), "b": pytest.approx(0)}


async def test_a_chunk_of_very_many_terms_can_be_stored_and_found(conn: Conn) -> None:
    characters = "".join(chr(0x4E00 + 7 * i % 20_000) for i in range(3_000))
    await add_document(conn, "s", "d", [characters])
    assert set(await find(conn, Scope(("s",)), characters[1500:1510])) == {chunk_id("d", 0)}


async def fill(conn: Conn, space: str, documents: int, *, per_document: int = 50) -> list[Vector]:
    random = np.random.default_rng(3)
    centres = random.normal(size=(12, 24))
    stored: list[Vector] = []
    for document in range(documents):
        points = centres[random.integers(12, size=per_document)] + 0.5 * random.normal(
            size=(per_document, 24)
        )
        vectors = [unit(*point) for point in points]
        texts = [f"word{document} word{ordinal} common" for ordinal in range(per_document)]
        await add_document(conn, space, f"{space}-{document}", texts, vectors=vectors)
        stored += vectors
    return stored


async def plan_of(conn: Conn, sql: str, *arguments: object) -> str:
    return "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {sql}", *arguments))


async def test_plans_use_the_indexes(conn: Conn) -> None:
    """Small tables are read whole whatever the indexes: the planner is asked as if that were dear."""
    await fill(conn, "s", 20)
    await conn.execute("ANALYZE")
    await conn.execute("SET enable_seqscan = off")
    query = weigh_query("word7 common", {CHUNK_COUNT: 1000})
    scope = Scope(("s",)).arguments
    survey = await plan_of(conn, _SURVEYS["none"], *scope, list_lookups("word7"), EMBEDDING_INDEX)
    assert "term_count_idx" in survey
    legs = await plan_of(
        conn,
        _CANDIDATE_SEARCHES["none", False],
        *scope,
        MODEL,
        unit(1),
        100,
        sorted(query.sought),
        query.to_vector(),
        100,
        query.to_vector(),
    )
    assert "Bitmap Index Scan on chunk_terms_idx" in legs
    assert "BitmapAnd" not in legs
    assert EMBEDDING_INDEX not in legs
    within = Scope(("s",), collection_ids=("c",)).arguments
    survey = await plan_of(conn, _SURVEYS["collections"], *within, list_lookups("word7"), EMBEDDING_INDEX)
    assert "Seq Scan" not in survey
    assert "on collection_document" in survey


async def test_the_approximate_leg_agrees_with_the_exact_one(conn: Conn) -> None:
    """In a space that is one of two in the index, with as many probes as the measurement says."""
    stored = await fill(conn, "s", 40)
    await fill(conn, "other", 20)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(vector_index, "MIN_VECTORS", 1_000)
        built = await vector_index.rebuild(conn)
    assert built is not None
    scope = Scope(("s",))
    survey = await survey_scope(conn, scope, [CHUNK_COUNT])
    assert survey.probes == built.probes
    shared = 0
    for vector in stored[::100]:
        exact = await find(conn, scope, embedding=vector, depth=10)
        near = await find(conn, scope, embedding=vector, depth=10, probes=built.probes)
        shared += len(exact.keys() & near.keys())
    assert shared / (10 * len(stored[::100])) >= 0.9


async def test_the_approximate_leg_fills_its_depth_from_a_sparse_space(conn: Conn) -> None:
    await fill(conn, "many", 20)
    await fill(conn, "few", 1, per_document=7)
    await conn.execute("DROP INDEX chunk_embedding_ivfflat_idx")
    await conn.execute(
        "CREATE INDEX chunk_embedding_ivfflat_idx ON chunk_embedding "
        "USING ivfflat (embedding vector_cosine_ops) WITH (lists = 30)"
    )
    found = await find(conn, Scope(("few",)), embedding=unit(1, 1), depth=5, probes=1)
    assert len(found) == 5


async def test_the_settings_of_an_approximate_search_do_not_stay(conn: Conn) -> None:
    await add_document(conn, "s", "d", ["panda"])
    await find(conn, Scope(("s",)), embedding=unit(1), probes=7)
    shown = [
        await conn.fetchval(f"SHOW {name}") for name in ("enable_sort", "ivfflat.probes", "enable_seqscan")
    ]
    assert shown == ["on", "1", "on"]
