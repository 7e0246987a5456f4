"""BM25 as an inner product: what a chunk stores, what a query weighs, what a highlight marks.

A chunk stores its distinct terms (for the GIN index) and, for each, the part of BM25 that only the chunk
knows, ``tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / REFERENCE_LENGTH))``. The query brings the part that
only the searcher's own corpus knows, the IDF. Their inner product is the BM25 score (Robertson & Zaragoza,
"The Probabilistic Relevance Framework", 2009).

Stemming depends on the language, and a short query seldom shows its own. So every chunk also holds a term
that marks its language: the counts that give the IDF tell, too, which languages the searcher's corpus is in.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pgvector import SparseVector

from db.analyzer import TERM_LIMIT, count_surfaces, find_surfaces, hash_mark, hash_terms
from db.languages import ENGLISH, LATIN_LANGUAGES, count_stop_words, guess_language
from db.pool import Conn

K1 = 1.5
B = 0.75
REFERENCE_LENGTH = 100.0
"""Terms of a usual chunk. A constant in place of the corpus' mean: a mean would change with every upload, and
every stored weight with it. Measured: 70 to 150 differ by less than .005 nDCG@10 over six collections."""

TITLE_WEIGHT = 2
"""Times that a title counts in each of its chunks. Measured: 0 costs .02 nDCG@10, 1 costs .005, 3 changes
nothing."""

CHUNK_COUNT = 0
"""The term that counts the chunks themselves."""

LANGUAGE_MARKS = {language: hash_mark(f"language:{language}") for language in LATIN_LANGUAGES}
PRESENT_SHARE = 0.005
"""Of the chunks. A rarer language is not assumed of a query: a table of names may pass for anything."""


def encode_chunk(title: str, headings: Sequence[str], text: str) -> tuple[list[int], SparseVector]:
    """Return a chunk's distinct terms and its language mark, and the terms' weights as sparsevec(1000000000).

    Headings count as if they stood in the chunk: a passage seldom repeats what it is about.
    """
    surfaces = count_surfaces("\n".join([*dict.fromkeys(headings), text]))
    for surface, count in count_surfaces(title).items():
        surfaces[surface] += TITLE_WEIGHT * count
    language = _guess_language(surfaces)
    frequencies: dict[int, int] = {}
    for surface, count in surfaces.items():
        for term in hash_terms(surface, language):
            frequencies[term] = frequencies.get(term, 0) + count
    norm = K1 * (1 - B + B * sum(frequencies.values()) / REFERENCE_LENGTH)
    weights = {term: tf * (K1 + 1) / (tf + norm) for term, tf in frequencies.items()}
    return [*weights, LANGUAGE_MARKS[language]], SparseVector(weights, TERM_LIMIT)


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    term: int
    idf: float
    """Times how often the query says the word."""
    chunks: int
    """How many of the searcher's chunks hold the term."""


@dataclass(frozen=True, slots=True)
class LexicalQuery:
    """What a query asks of a corpus."""

    terms: tuple[WeightedTerm, ...]
    best_score: float
    """What a chunk of reference length scores that holds every word of the query once."""
    languages: tuple[str, ...]
    """What the query was read in."""
    sought: frozenset[int]
    """Every term that the query has in those languages, be it in the corpus or not."""

    def to_vector(self, steepness: float = 1.0) -> SparseVector:
        """Return the weights that make BM25 of a chunk's; a steeper one lets rare words weigh more."""
        return SparseVector({term.term: term.idf**steepness for term in self.terms}, TERM_LIMIT)


def list_lookups(query: str) -> list[int]:
    """Return the terms whose counts weigh_query needs: the query's in every language, and the marks."""
    lookups = {CHUNK_COUNT, *LANGUAGE_MARKS.values()}
    for surface in count_surfaces(query):
        for language in LATIN_LANGUAGES:
            lookups.update(hash_terms(surface, language))
    return sorted(lookups)


def weigh_query(query: str, chunks_with: Mapping[int, int]) -> LexicalQuery:
    """Weigh a query's words by how many chunks of the searcher's corpus hold each term."""
    surfaces = count_surfaces(query)
    total = max(0, chunks_with.get(CHUNK_COUNT, 0))
    languages = choose_languages(surfaces, chunks_with)
    weights: dict[int, float] = {}
    best_score = 0.0
    for surface, count in surfaces.items():
        for variants in _variants(surface, languages):
            # The forms of a word in several languages are one word: it is as common as all of them together.
            holding = min(total, sum(max(0, chunks_with.get(term, 0)) for term in variants))
            idf = count * math.log(1 + (total - holding + 0.5) / (holding + 0.5))
            best_score += idf
            for term in variants:
                weights[term] = max(idf, weights.get(term, 0.0))
    terms = (WeightedTerm(term, idf, chunks_with.get(term, 0)) for term, idf in weights.items())
    return LexicalQuery(
        tuple(term for term in terms if term.chunks > 0),
        best_score,
        languages=tuple(languages),
        sought=frozenset(weights),
    )


def choose_languages(surfaces: Iterable[str], chunks_with: Mapping[int, int]) -> list[str]:
    """Return the corpus' languages that the query has most stop words of: all of them where it has none."""
    total = chunks_with.get(CHUNK_COUNT, 0)
    present = [
        name for name, mark in LANGUAGE_MARKS.items() if chunks_with.get(mark, 0) > PRESENT_SHARE * total
    ]
    hits = count_stop_words(_casefold(surfaces))
    most = max((hits[name] for name in present), default=0)
    return [name for name in present if hits[name] == most] or [ENGLISH]


def match_spans(text: str, query: LexicalQuery) -> list[tuple[int, int]]:
    """Return [start, end) of the words that text shares with the query, in code points, touching ones joined."""
    wanted = {
        surface
        for surface in count_surfaces(text)
        for language in query.languages
        if not query.sought.isdisjoint(hash_terms(surface, language))
    }
    spans: list[tuple[int, int]] = []
    for token in find_surfaces(text, wanted) if wanted else ():
        if spans and token.char_start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], token.char_end)
        else:
            spans.append((token.char_start, token.char_end))
    return spans


def _casefold(surfaces: Iterable[str]) -> set[str]:
    return {surface.casefold() for surface in surfaces}


def _guess_language(surfaces: Iterable[str]) -> str:
    return guess_language(_casefold(surfaces))


def _variants(surface: str, languages: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the terms of a word, each with the forms it takes in the other languages."""
    forms: dict[int, dict[int, None]] = {}
    for language in languages:
        for place, term in enumerate(hash_terms(surface, language)):
            forms.setdefault(place, {})[term] = None
    return [tuple(terms) for terms in forms.values()]


async def compact_term_counts(conn: Conn, *, keys: int = 20_000) -> int:
    """Fold the count deltas of up to `keys` terms into one row each; return how many rows went, 0 when done.

    A reader sees the deltas or their sum, never both; a delta written meanwhile is not touched, and two
    compactions wait for each other row by row, so that each delta is folded once.
    """
    result = await conn.fetchval(
        """
        WITH scattered AS (
            SELECT space_id, term FROM term_count GROUP BY space_id, term
            HAVING count(*) > 1 OR sum(chunks) = 0 LIMIT $1
        ),
        deltas AS (
            DELETE FROM term_count USING scattered
            WHERE term_count.space_id = scattered.space_id AND term_count.term = scattered.term
            RETURNING term_count.space_id, term_count.term, term_count.chunks
        ),
        folded AS (
            INSERT INTO term_count (space_id, term, chunks)
            SELECT space_id, term, sum(chunks) FROM deltas GROUP BY space_id, term HAVING sum(chunks) <> 0
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM deltas) - (SELECT count(*) FROM folded)
        """,
        keys,
    )
    return int(result)
