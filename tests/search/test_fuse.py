"""Fusion: order, absent legs, and a score that means the same in every query."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.retrieval import Candidate
from search.fuse import Legs, Ranked, fuse, weigh_legs

SCORES = st.none() | st.floats(-1, 1)
WORDS = st.none() | st.floats(0.01, 50)


def candidate(number: int, semantic: float | None, words: float | None) -> Candidate:
    return Candidate("s", UUID(int=number), semantic, words, words, by_semantic=semantic is not None)


CANDIDATES = st.lists(st.tuples(SCORES, WORDS), max_size=8).map(
    lambda pairs: [candidate(number, *pair) for number, pair in enumerate(pairs)]
)


def run(
    candidates: list[Candidate], *, weight: float = 0.5, ceiling: float = 10.0
) -> tuple[list[Ranked], Legs]:
    legs = weigh_legs(candidates, lexical_ceiling=ceiling, semantic_weight=weight)
    return fuse([Ranked(one, one.semantic) for one in candidates], legs), legs


def order(hits: list[Ranked]) -> list[int]:
    return [hit.candidate.chunk_id.int for hit in hits]


def test_both_legs_count() -> None:
    hits, _ = run([candidate(1, 0.8, None), candidate(2, 0.6, 10.0), candidate(3, 0.1, 9.0)])
    assert [(hit.candidate.chunk_id.int, round(hit.fused, 6)) for hit in hits] == [
        (2, 0.3 + 0.5),
        (3, 0.05 + 0.45),
        (1, 0.4),
    ]


def test_an_absent_channel_adds_nothing() -> None:
    alone, _ = run([candidate(1, 0.8, None), candidate(2, 0.4, None)])
    assert [hit.fused for hit in alone] == [0.4, 0.2]
    words, _ = run([candidate(1, None, 10.0), candidate(2, None, 5.0)])
    assert [hit.fused for hit in words] == [0.5, 0.25]


def test_a_negative_cosine_counts_as_none() -> None:
    hits, _ = run([candidate(1, -0.9, 10.0), candidate(2, None, 10.0)])
    assert hits[0].fused == hits[1].fused


def test_equal_hits_stay_in_the_order_they_came_in() -> None:
    assert order(run([candidate(number, 0.5, 1.0) for number in (3, 1, 2)])[0]) == [3, 1, 2]


@pytest.mark.parametrize(("weight", "expected"), [(1.0, [1, 2]), (0.0, [2, 1])])
def test_a_mode_of_one_leg_is_that_legs_order(weight: float, expected: list[int]) -> None:
    hits, _ = run([candidate(1, 0.9, 1.0), candidate(2, 0.1, 9.0)], weight=weight)
    assert order(hits) == expected


def test_a_semantic_score_is_the_cosine() -> None:
    hits, legs = run([candidate(1, 0.7, 3.0)], weight=1.0)
    assert hits[0].fused * legs.trust == pytest.approx(0.7)


@pytest.mark.parametrize(("words", "expected"), [(10.0, 1.0), (25.0, 1.0), (4.0, 0.4)])
def test_a_lexical_score_is_the_share_of_the_query_that_is_there(words: float, expected: float) -> None:
    hits, legs = run([candidate(1, None, words)], weight=0.0)
    assert hits[0].fused * legs.trust == pytest.approx(expected)


def test_the_best_of_a_hopeless_query_scores_little() -> None:
    """Both are first of both legs; only one of them has the query's words and meaning."""
    hopeless, low = run([candidate(1, 0.15, 1.0), candidate(2, 0.1, 0.5)])
    hopeful, high = run([candidate(1, 0.7, 9.0), candidate(2, 0.1, 0.5)])
    assert hopeless[0].fused * low.trust < 0.2
    assert hopeful[0].fused * high.trust > 0.75


@given(CANDIDATES, st.floats(0, 1), st.floats(0, 60))
def test_scores_are_shares_in_the_order_of_the_hits(
    candidates: list[Candidate], weight: float, ceiling: float
) -> None:
    hits, legs = run(candidates, weight=weight, ceiling=ceiling)
    scores = [hit.fused * legs.trust for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for score in scores)
    assert sorted(order(hits)) == sorted(one.chunk_id.int for one in candidates)
    assert 0 <= legs.trust <= 1
