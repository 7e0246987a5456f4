"""Feedback: what moves the query, and by how much."""

from uuid import UUID

import pytest

from db.retrieval import Candidate
from search.fuse import Legs, Ranked, fuse
from search.rerank import FEEDBACK_HITS, FEEDBACK_SHARE, rerank, weigh_feedback

LEGS = Legs(1.0, best_semantic=1.0, best_lexical=0.0, best_words=0.0, lexical_ceiling=0.0)


def ranked(number: int, similarity: float) -> Ranked:
    one = Candidate("s", UUID(int=number), similarity, None, None, by_semantic=True)
    return fuse([Ranked(one, similarity)], LEGS)[0]


def test_the_first_hits_share_the_feedback_by_their_scores() -> None:
    weights = weigh_feedback([ranked(number, score) for number, score in enumerate((0.8, 0.4, 0.4))])
    assert weights == pytest.approx([0.125, 0.0625, 0.0625])


def test_feedback_is_the_stated_share_of_the_moved_query() -> None:
    total = sum(weigh_feedback([ranked(number, 0.5) for number in range(20)]))
    assert total / (1 + total) == pytest.approx(FEEDBACK_SHARE)
    assert len(weigh_feedback([ranked(number, 0.5) for number in range(20)])) == FEEDBACK_HITS


@pytest.mark.parametrize("hits", [[], [ranked(1, 0.0)]])
def test_without_a_good_hit_there_is_no_feedback(hits: list[Ranked]) -> None:
    assert weigh_feedback(hits) == []


def test_hits_are_ranked_by_the_moved_similarity_and_keep_their_own() -> None:
    hits = rerank([ranked(1, 0.8), ranked(2, 0.7)], {UUID(int=1): 0.6, UUID(int=2): 0.75}, LEGS)
    assert [(hit.candidate.chunk_id.int, hit.similarity, hit.candidate.semantic) for hit in hits] == [
        (2, 0.75, 0.7),
        (1, 0.6, 0.8),
    ]


def test_a_chunk_that_went_meanwhile_is_no_hit() -> None:
    hits = rerank([ranked(1, 0.8), ranked(2, 0.7)], {UUID(int=2): 0.7}, LEGS)
    assert [hit.candidate.chunk_id.int for hit in hits] == [2]


def test_of_equal_hits_the_first_written_comes_first() -> None:
    written = {UUID(int=2): 0.7, UUID(int=1): 0.7}
    hits = rerank([ranked(1, 0.7), ranked(2, 0.7)], written, LEGS)
    assert [hit.candidate.chunk_id.int for hit in hits] == [2, 1]
