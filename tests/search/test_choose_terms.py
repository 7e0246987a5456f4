"""Which words of a query bring chunks before the lexical leg."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.lexical import LexicalQuery, WeightedTerm
from search.retrieve import COMMON_SHARE, FEW_CHUNKS, MANY_CHUNKS, choose_terms


def query(*terms: tuple[float, int]) -> LexicalQuery:
    weighted = tuple(WeightedTerm(number, idf, chunks) for number, (idf, chunks) in enumerate(terms, 1))
    return LexicalQuery(weighted, sum(idf for idf, _ in terms), ("english",), frozenset())


@pytest.mark.parametrize(
    ("terms", "chosen"),
    [
        ([], []),
        ([(0.1, 900_000)], [1]),  # nothing else to go by
        ([(6.0, 10), (0.5, 800)], [1, 2]),  # few chunks: nothing is left out
        ([(6.0, 10), (0.5, 8_000)], [1]),  # light and common
        ([(2.0, 3_000), (1.9, 3_000)], [1, 2]),  # common, but half of the query
        ([(2.0, 15_000), (1.9, 15_000)], [1]),  # too many, whatever it weighs
    ],
)
def test_light_common_words_bring_up_nothing(terms: list[tuple[float, int]], chosen: list[int]) -> None:
    assert choose_terms(query(*terms)) == chosen


@given(st.lists(st.tuples(st.floats(0.01, 15), st.integers(1, 100_000)), max_size=12))
def test_what_is_left_out_is_light_or_too_much(terms: list[tuple[float, int]]) -> None:
    asked = query(*terms)
    chosen = set(choose_terms(asked))
    left_out = [term for term in asked.terms if term.term not in chosen]
    kept = [term for term in asked.terms if term.term in chosen]
    assert bool(chosen) == bool(terms)
    assert all(out.idf <= term.idf for out in left_out for term in kept)
    if sum(term.chunks for term in asked.terms) <= FEW_CHUNKS:
        assert not left_out
    if sum(term.chunks for term in asked.terms) <= MANY_CHUNKS:
        assert sum(term.idf for term in left_out) <= COMMON_SHARE * sum(t.idf for t in asked.terms) + 1e-9
