"""Ranking metrics, as trec_eval has them."""

import math
from collections.abc import Mapping, Sequence

Judgements = Mapping[str, int]
"""Document id to grade; a grade above 0 is relevant, an absent document is not."""


def ndcg(ranking: Sequence[str], judgements: Judgements, depth: int = 10) -> float:
    """Return normalised discounted cumulative gain with linear gain (Järvelin & Kekäläinen, 2002)."""
    ideal = _dcg(sorted((grade for grade in judgements.values() if grade > 0), reverse=True)[:depth])
    if ideal == 0:
        return 0.0
    return _dcg([max(0, judgements.get(document, 0)) for document in ranking[:depth]]) / ideal


def recall(ranking: Sequence[str], judgements: Judgements, depth: int = 100) -> float:
    """Return the share of the relevant documents that are among the first `depth`."""
    relevant = {document for document, grade in judgements.items() if grade > 0}
    return len(relevant.intersection(ranking[:depth])) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[str], judgements: Judgements, depth: int = 10) -> float:
    """Return 1 / rank of the first relevant document, 0 where none is among the first `depth`."""
    ranks = (rank for rank, document in enumerate(ranking[:depth], 1) if judgements.get(document, 0) > 0)
    return 1 / next(ranks, math.inf)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile: the smallest value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _dcg(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))
