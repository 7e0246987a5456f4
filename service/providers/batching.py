"""Cut texts into requests that a provider accepts, and check what it sends back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.embed import EMBEDDING_WIDTH, Embeddings
from service.providers.errors import RequestFailed


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may hold."""

    texts: int
    tokens_each: int
    tokens_together: int


def plan_batches(token_counts: Sequence[int], limits: Limits) -> list[range]:
    """Return runs of indexes, in order and without gaps, each within the limits; a text too long goes alone."""
    batches: list[range] = []
    start, together = 0, 0
    for index, tokens in enumerate(token_counts):
        full = index - start == limits.texts or together + tokens > limits.tokens_together
        if index > start and full:
            batches.append(range(start, index))
            start, together = index, 0
        together += tokens
    if start < len(token_counts):
        batches.append(range(start, len(token_counts)))
    return batches


def to_unit_rows(rows: Sequence[Sequence[float]], expected: int, provider: str) -> Embeddings:
    """Return (expected, width) float32 of length one; width is the provider's.

    Raises RequestFailed unless there are as many rows as expected, all as wide as each other and no wider than
    EMBEDDING_WIDTH, finite and not zero.
    """
    if len(rows) != expected:
        raise _garbled(provider, f"{len(rows)} vectors for {expected} texts")
    widths = sorted({len(row) for row in rows})
    if len(widths) != 1:
        raise _garbled(provider, f"vectors of widths {', '.join(map(str, widths))}")
    check_width(widths[0], provider)
    values: NDArray[np.float64] = np.asarray(rows, dtype=np.float64)
    if not np.isfinite(values).all():
        raise _garbled(provider, "a vector that is not finite")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not lengths.all():
        raise _garbled(provider, "a vector of zeros")
    unit: Embeddings = (values / lengths).astype(np.float32)
    return unit


def check_width(width: int, provider: str) -> None:
    if width > EMBEDDING_WIDTH:
        raise RequestFailed(
            f"{provider} returns vectors of {width} numbers, and the database holds {EMBEDDING_WIDTH}: "
            "choose a model, or a deployment of it, that returns no more.",
            retryable=False,
        )
    if width == 0:
        raise _garbled(provider, "an empty vector")


def _garbled(provider: str, what: str) -> RequestFailed:
    return RequestFailed(f"{provider} sent an answer that cannot be used: {what}.", retryable=True)
