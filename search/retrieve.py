"""The two legs: which chunks are candidates, by which plan."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from db.lexical import LexicalQuery
from db.pool import Pool
from db.retrieval import Candidate, Survey, find_candidates
from search.query import Mode, Query

Plan = Literal["exact", "approximate"]

LEG_DEPTH = 100
"""Candidates of a leg. 200 changes no nDCG@10; 50 loses recall@100."""

EXACT_CHUNKS = 20_000
"""Scopes up to this size are compared vector by vector: 18 ms on one core, and nothing is missed."""

FUSION_STEEPNESS = 1.5
"""Power of the IDF in hybrid search: common words are what the semantic leg is good at already, the name or the
number that it has never seen is what it needs the other for. Measured over eight collections: +.001 nDCG@10, from
-.008 to +.007; with BM25 as it is, hybrid is .004 and .007 worse than words alone in two of them."""

FEW_CHUNKS = 1_000
"""Chunks that the lexical leg may always score: no word of the query is too common then."""

MANY_CHUNKS = 20_000
"""Chunks that it scores at most, as long as the query has another word: they take 25 ms."""

COMMON_SHARE = 0.2
"""Of a query's whole weight, that its commonest words may have and not bring up chunks on their own. Measured
over nine collections: a quarter to a half of the chunks to score, the same nDCG@10; .35 loses some."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    candidates: list[Candidate]
    plan: Plan


async def retrieve(
    pool: Pool,
    query: Query,
    *,
    model: str,
    embedding: NDArray[np.float32] | None,
    words: LexicalQuery,
    survey: Survey,
) -> Retrieval:
    """Return what either leg finds. The semantic leg never finds fewer chunks than there are."""
    depth = max(LEG_DEPTH, query.top_k)
    async with pool.acquire() as conn:
        find = partial(
            find_candidates,
            conn,
            query.scope,
            model=model,
            embedding=embedding,
            bm25=words.to_vector(),
            ranking=words.to_vector(1.0 if query.mode is Mode.LEXICAL else FUSION_STEEPNESS),
            terms=[] if query.mode is Mode.SEMANTIC else choose_terms(words),
            depth=depth,
        )
        if embedding is not None and survey.probes is not None and survey.chunks > EXACT_CHUNKS:
            candidates = await find(probes=survey.probes)
            if sum(candidate.by_semantic for candidate in candidates) >= min(depth, survey.chunks):
                return Retrieval(candidates, "approximate")
            # The index does not hold what there is, or not of this model: rather slow than incomplete.
        return Retrieval(await find(), "exact")


def choose_terms(words: LexicalQuery) -> list[int]:
    """Return the terms that bring a chunk before the lexical leg: all, less the commonest where they are many.

    Every term counts in the score of a chunk that another brings up. What is lost are chunks that hold none but
    the lightest words of the query: MaxScore (Turtle & Flood, "Query Evaluation: Strategies and Optimizations",
    1995) with a guess in place of a bound.
    """
    terms = sorted(words.terms, key=lambda term: (-term.idf, term.term))
    chunks = sum(term.chunks for term in terms)
    spare = COMMON_SHARE * sum(term.idf for term in terms)
    while len(terms) > 1 and (chunks > MANY_CHUNKS or (chunks > FEW_CHUNKS and terms[-1].idf <= spare)):
        dropped = terms.pop()
        chunks -= dropped.chunks
        spare -= dropped.idf
    return [term.term for term in terms]
