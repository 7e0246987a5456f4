"""Packing: whole passages, best first, within the budget, and exactly what stands in the document."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.passages import read_spans
from db.pool import Pool
from search.answer.passages import Passage, pack
from search.cite import Hit, LegScores
from tests.search.rows import SEPARATOR, add_document, chunk_id

SPACE = "office"
TEXTS = ["First of all 🙂.", "The second part.", "Third comes here.", "Fourth and last but one.", "The end."]
CONTENT = SEPARATOR.join(TEXTS)


@pytest.fixture
async def stored(pool: Pool) -> Pool:
    async with pool.acquire() as conn:
        for document_id in ("a", "b"):
            await add_document(conn, SPACE, document_id, TEXTS)
    return pool


def hit(ordinal: int, score: float = 0.9, document_id: str = "a") -> Hit:
    start = sum(len(text) + len(SEPARATOR) for text in TEXTS[:ordinal])
    return Hit(
        chunk_id=chunk_id(document_id, ordinal),
        document_id=document_id,
        title="",
        text=TEXTS[ordinal],
        page_start=None,
        page_end=None,
        char_start=start,
        char_end=start + len(TEXTS[ordinal]),
        headings=[],
        score=score,
        scores=LegScores(None, None),
        highlights=[],
        metadata={},
    )


async def packed(pool: Pool, hits: list[Hit], budget: int) -> list[Passage]:
    return await pack(pool, (SPACE,), hits, budget_tokens=budget, count_tokens=lambda text: len(text.split()))


async def test_without_room_for_more_the_passages_are_the_hits(stored: Pool) -> None:
    passages = await packed(stored, [hit(4), hit(0)], 6)
    assert [(passage.number, passage.text) for passage in passages] == [(1, TEXTS[4]), (2, TEXTS[0])]


async def test_what_is_left_goes_to_the_neighbours_of_the_best(stored: Pool) -> None:
    passages = await packed(stored, [hit(1)], 6)
    assert [passage.text for passage in passages] == [SEPARATOR.join(TEXTS[1:3])]
    assert passages[0].text == CONTENT[passages[0].char_start : passages[0].char_end]


async def test_hits_that_adjoin_become_one_passage(stored: Pool) -> None:
    passages = await packed(stored, [hit(2), hit(0, document_id="b"), hit(1), hit(3)], 15)
    assert [(passage.document_id, passage.text) for passage in passages] == [
        ("a", SEPARATOR.join(TEXTS[1:4])),
        ("b", TEXTS[0]),
    ]


async def test_a_hit_too_long_for_the_budget_is_passed_over_and_never_cut(stored: Pool) -> None:
    passages = await packed(stored, [hit(3), hit(4)], 3)
    assert [passage.text for passage in passages] == [TEXTS[4]]
    assert await packed(stored, [hit(3)], 2) == []


async def test_a_document_of_another_space_has_no_neighbours_and_no_text(stored: Pool) -> None:
    async with stored.acquire() as conn:
        assert await read_spans(conn, ["elsewhere"], [("a", 0, 3)]) == [None]
        assert await read_spans(conn, [SPACE], [("a", 0, 3), ("a", 0, 10_000), ("gone", 0, 1)]) == [
            "Fir",
            None,
            None,
        ]
    passages = await pack(stored, ("elsewhere",), [hit(1)], budget_tokens=50, count_tokens=lambda _: 1)
    assert [passage.text for passage in passages] == [TEXTS[1]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    chosen=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4)), unique=True, min_size=1),
    budget=st.integers(0, 40),
)
async def test_passages_are_exact_apart_and_within_the_budget(
    stored: Pool, chosen: list[tuple[str, int]], budget: int
) -> None:
    passages = await packed(stored, [hit(ordinal, document_id=name) for name, ordinal in chosen], budget)
    assert [passage.number for passage in passages] == list(range(1, len(passages) + 1))
    assert sum(len(passage.text.split()) for passage in passages) <= budget
    covered: set[tuple[str, int]] = set()
    for passage in passages:
        assert passage.text == CONTENT[passage.char_start : passage.char_end]
        span = {(passage.document_id, place) for place in range(passage.char_start, passage.char_end)}
        assert covered.isdisjoint(span)
        covered |= span
