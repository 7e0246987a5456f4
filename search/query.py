"""What is asked: checked, cleaned, embedded."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from db.filters import Filter, FilterUnusable, compile_filter
from db.retrieval import Scope
from search.errors import InvalidQuery, QueryNotEmbedded

MAX_QUERY_CHARS = 8_000
"""A question has hundreds; a pasted page still passes. Embedders read their window and drop the rest."""

MAX_TOP_K = 1_000
"""The interface offers 100; an evaluation of documents by their best chunk needs more chunks than documents."""

EMBEDDING_WIDTH = 1536

# Control characters, lone surrogates and non-characters; tabs and line ends are spaces anyway.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


class Mode(StrEnum):
    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    LEXICAL = "lexical"


class QueryEmbedder(Protocol):
    """What search needs of an embedder; raises errors of its own."""

    @property
    def model(self) -> str: ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return (1536,), of length one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    query: str
    top_k: int = 10
    mode: Mode = Mode.HYBRID
    filters: Filter | None = None
    document_ids: tuple[str, ...] | None = None
    min_score: float = 0.0
    collection_ids: tuple[str, ...] | None = None
    """Only documents of these collections; they narrow what the spaces allow, and never widen it."""
    attributes: Filter | None = None
    """A filter over what a document has in these collections."""
    semantic_weight: float | None = None
    """Of the semantic leg in hybrid search, from 0 to 1; None: the measured best."""


@dataclass(frozen=True, slots=True)
class Query:
    """A request that can be searched for; text holds at least one printing character."""

    text: str
    scope: Scope
    top_k: int
    mode: Mode
    min_score: float
    semantic_weight: float | None = None


def read_request(request: SearchRequest, spaces: tuple[str, ...]) -> Query:
    """Check a request against what the caller may see. Raises InvalidQuery."""
    text = clean_query(request.query)
    if not text:
        raise InvalidQuery("The query is empty: say what to look for.")
    if len(request.query) > MAX_QUERY_CHARS:
        raise InvalidQuery(f"The query is longer than {MAX_QUERY_CHARS} characters.")
    if not 1 <= request.top_k <= MAX_TOP_K:
        raise InvalidQuery(f"top_k is {request.top_k}: it goes from 1 to {MAX_TOP_K}.")
    if not 0 <= request.min_score <= 1:
        raise InvalidQuery(f"min_score is {request.min_score}: it goes from 0 to 1.")
    if request.semantic_weight is not None and not 0 <= request.semantic_weight <= 1:
        raise InvalidQuery(f"semantic_weight is {request.semantic_weight}: it goes from 0 to 1.")
    if any(
        _UNPRINTABLE.search(name) for name in (*(request.document_ids or ()), *(request.collection_ids or ()))
    ):
        raise InvalidQuery("The id of a document or a collection holds no control characters.")
    scope = Scope(
        spaces,
        document_ids=request.document_ids,
        filter=_compile(request.filters),
        collection_ids=request.collection_ids,
        attributes=_compile(request.attributes),
    )
    return Query(text, scope, request.top_k, request.mode, request.min_score, request.semantic_weight)


def clean_query(query: str) -> str:
    """Return a query as it is searched for and embedded: one line of printing characters, composed."""
    return " ".join(_UNPRINTABLE.sub(" ", unicodedata.normalize("NFC", query)).split())


def _compile(filters: Filter | None) -> str | None:
    try:
        return None if filters is None else compile_filter(filters)
    except FilterUnusable as exc:
        raise InvalidQuery(str(exc)) from exc


async def embed_query(embedder: QueryEmbedder, query: Query) -> NDArray[np.float32] | None:
    """Return the query's unit vector, (1536,) float32; None for a lexical search, which needs none.

    Raises QueryNotEmbedded, and what the embedder raises.
    """
    if query.mode is Mode.LEXICAL:
        return None
    embedding = np.asarray(await embedder.embed_query(query.text), dtype=np.float32)
    if embedding.shape != (EMBEDDING_WIDTH,) or not np.isfinite(embedding).all() or not embedding.any():
        raise QueryNotEmbedded(f"The embedder {embedder.model} returned no usable vector for the query.")
    return embedding
