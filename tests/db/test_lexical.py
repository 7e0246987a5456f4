"""BM25 as an inner product, and the choice of language by the corpus."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db import lexical
from db.analyzer import hash_terms
from db.lexical import (
    CHUNK_COUNT,
    LANGUAGE_MARKS,
    compact_term_counts,
    encode_chunk,
    list_lookups,
    match_spans,
    weigh_query,
)
from db.pool import Pool

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


def term(word: str, language: str = "english") -> int:
    return hash_terms(word, language)[0]


def counts(chunks: int, *, english: int | None = None, **languages: int) -> dict[int, int]:
    marks = {"english": chunks if english is None else english, **languages}
    return {CHUNK_COUNT: chunks} | {LANGUAGE_MARKS[name]: held for name, held in marks.items()}


def test_a_weight_is_what_bm25_says() -> None:
    # 4 terms: panda twice, bamboo and eats once each.
    _, weights = encode_chunk("", [], "The panda eats bamboo, panda.")
    norm = lexical.K1 * (1 - lexical.B + lexical.B * 4 / lexical.REFERENCE_LENGTH)
    expected = {
        term("panda"): 2 * (lexical.K1 + 1) / (2 + norm),
        term("bamboo"): (lexical.K1 + 1) / (1 + norm),
        term("eats"): (lexical.K1 + 1) / (1 + norm),
    }
    assert dict(zip(weights.indices(), weights.values(), strict=True)) == pytest.approx(expected)


def test_terms_are_those_of_the_weights_and_one_mark_of_the_language() -> None:
    terms, weights = encode_chunk("Pandas", ["Food"], "What pandas eat, and where they eat it")
    assert set(terms) == {*weights.indices(), LANGUAGE_MARKS["english"]}
    assert len(terms) == len(set(terms))


def test_title_and_headings_are_found_with_the_chunk() -> None:
    terms, _ = encode_chunk("Annual report", ["Revenue", "Europe"], "It grew by a tenth.")
    assert {term("report"), term("revenue"), term("europe"), term("grew")} <= set(terms)


def test_a_heading_that_repeats_counts_once() -> None:
    assert encode_chunk("", ["Food", "Food"], "panda") == encode_chunk("", ["Food"], "panda")


def test_a_rare_word_weighs_more_than_a_common_one() -> None:
    held = counts(1000) | {term("panda"): 3, term("report"): 700}
    weighed = {word.term: word.idf for word in weigh_query("panda report", held).terms}
    assert weighed[term("panda")] == pytest.approx(math.log(1 + 997.5 / 3.5))
    assert weighed[term("report")] == pytest.approx(math.log(1 + 300.5 / 700.5))


def test_words_the_corpus_lacks_are_no_terms_but_count_in_the_ceiling() -> None:
    held = counts(1000) | {term("panda"): 3}
    with_unknown, without = weigh_query("panda xyzzy", held), weigh_query("panda", held)
    assert with_unknown.terms == without.terms
    assert with_unknown.best_score > without.best_score * 1.5


def test_a_query_of_small_words_asks_for_nothing() -> None:
    assert weigh_query("what is it and why", counts(10)).terms == ()


def test_an_empty_corpus_has_no_terms() -> None:
    assert weigh_query("panda", {}).terms == ()


def test_a_query_without_small_words_is_read_in_the_corpus_language() -> None:
    german = term("Verteidigung", "german")
    held = counts(100, english=0, german=100) | {german: 4}
    assert [word.term for word in weigh_query("Verteidigung Panthers", held).terms] == [german]


def test_small_words_choose_among_the_languages_of_the_corpus() -> None:
    german, english = term("Vereinigung", "german"), term("Vereinigung")
    held = counts(100, english=60, german=40) | {german: 4, english: 1}
    found = {word.term for word in weigh_query("was ist die Vereinigung", held).terms}
    assert found == {german}
    both = {word.term for word in weigh_query("Vereinigung", held).terms}
    assert both == {german, english}


def test_a_stray_language_is_not_assumed() -> None:
    held = counts(1000, english=999, danish=1) | {term("hope"): 5, term("hope", "danish"): 5}
    assert {word.term for word in weigh_query("hope", held).terms} == {term("hope")}


@given(TEXT, TEXT)
def test_lookups_hold_all_that_weighing_reads(query: str, text: str) -> None:
    asked = set(list_lookups(query))

    class Watched(dict[int, int]):
        def get(self, key: int, default: int = 0) -> int:  # type: ignore[override]
            assert key in asked
            return super().get(key, default)

    terms, _ = encode_chunk("", [], text)
    weigh_query(query, Watched({CHUNK_COUNT: 1} | dict.fromkeys(terms, 1)))


@given(TEXT)
def test_a_chunk_is_found_by_its_own_words(text: str) -> None:
    terms, weights = encode_chunk("", [], text)
    held = {CHUNK_COUNT: 1} | dict.fromkeys(terms, 1)
    assert {word.term for word in weigh_query(text, held).terms} <= set(weights.indices())
    assert bool(weights.indices()) == bool(weigh_query(text, held).terms)


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("The panda's diet: pandas eat bamboo.", "panda", ["panda's", "pandas"]),
        ("黑豹队的防守", "豹队的人", ["豹队的"]),
        ("Send an e-mail, not mail", "email", ["e-mail"]),
        ("a👩‍🚀b naïve 𝒳 panda", "naive panda", ["naïve", "panda"]),
        ("nothing here", "panda", []),
        ("the of and", "the of and", []),
    ],
)
def test_highlights_mark_the_words_of_the_query(text: str, query: str, marked: list[str]) -> None:
    words = weigh_query(query, counts(10))
    assert [text[start:end] for start, end in match_spans(text, words)] == marked


@given(TEXT, TEXT)
def test_highlights_are_in_order_and_apart(text: str, query: str) -> None:
    ends = 0
    for start, end in match_spans(text, weigh_query(query, counts(10))):
        assert ends <= start < end <= len(text)
        ends = end + 1


async def test_compaction_keeps_every_sum(pool: Pool) -> None:
    deltas = [
        ("a", 0, 2),
        ("a", 0, 3),
        ("a", 7, 1),
        ("a", 7, -1),
        ("a", 9, 1),
        ("b", 0, 4),
        ("b", 9, 2),
        ("b", 9, 1),
    ]
    async with pool.acquire() as conn:
        await conn.copy_records_to_table("term_count", records=deltas, columns=["space_id", "term", "chunks"])
        folded = [await compact_term_counts(conn, keys=2) for _ in range(4)]
        rows = await conn.fetch("SELECT space_id, term, chunks FROM term_count ORDER BY space_id, term")
    assert [tuple(row) for row in rows] == [("a", 0, 5), ("a", 9, 1), ("b", 0, 4), ("b", 9, 3)]
    assert sum(folded) == 4
    assert folded[-1] == 0


async def test_compactions_at_once_count_each_delta_once(pool: Pool) -> None:
    async with pool.acquire() as one, pool.acquire() as other, pool.acquire() as writer:
        for _ in range(20):
            await writer.execute("INSERT INTO term_count VALUES ('a', 0, 1)")
        transaction = one.transaction()
        await transaction.start()
        await compact_term_counts(one)
        await writer.execute("INSERT INTO term_count VALUES ('a', 0, 1)")
        waiting = await other.fetchval("SELECT sum(chunks) FROM term_count WHERE space_id = 'a'")
        await transaction.commit()
        await compact_term_counts(other)
        assert waiting == 21
        assert await writer.fetchval("SELECT array_agg(chunks) FROM term_count WHERE space_id = 'a'") == [21]
