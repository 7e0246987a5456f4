"""Embeddings that were asked for lately."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ingest.embed import Embeddings
from ingest.tokenize import TokenizerSpec
from service.providers.usage import EmbeddingUsage

_RECENT_QUERIES = 512
_CHARGED = object()


class RecentEmbeddings:
    """The `capacity` embeddings used last, 6 kB each; no text is kept, only its hash."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._rows: OrderedDict[bytes, NDArray[np.float32]] = OrderedDict()

    def get(self, key: bytes) -> NDArray[np.float32] | None:
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def put(self, key: bytes, row: NDArray[np.float32]) -> None:
        # A copy: a row of a bigger array would keep all of it. Read-only: it is handed to many.
        kept = row.copy()
        kept.flags.writeable = False
        self._rows[key] = kept
        self._rows.move_to_end(key)
        if len(self._rows) > self._capacity:
            self._rows.popitem(last=False)


def text_key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


@runtime_checkable
class EmbeddingProvider(Protocol):
    """What both ingestion and search need of an embedder; the members are described in ingest.embed.Embedder."""

    @property
    def model(self) -> str: ...

    @property
    def window_tokens(self) -> int: ...

    @property
    def tokenizer_spec(self) -> TokenizerSpec: ...

    @property
    def usage(self) -> EmbeddingUsage: ...

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings: ...

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return (1536,) float32 of length one. Raises EmbeddingFailed."""
        ...

    async def aclose(self) -> None: ...


class RememberingQueries:
    """An embedder that answers a query it was asked lately from memory, and one it is being asked from that one asking.

    So a query is paid for once, however often it is asked: claim_charge says by whom.
    """

    def __init__(self, embedder: EmbeddingProvider) -> None:
        self._embedder = embedder
        self._recent = RecentEmbeddings(_RECENT_QUERIES)
        self._asking: dict[bytes, asyncio.Task[NDArray[np.float32]]] = {}
        self._uncharged: OrderedDict[bytes, None] = OrderedDict()

    @property
    def model(self) -> str:
        return self._embedder.model

    @property
    def window_tokens(self) -> int:
        return self._embedder.window_tokens

    @property
    def tokenizer_spec(self) -> TokenizerSpec:
        return self._embedder.tokenizer_spec

    @property
    def usage(self) -> EmbeddingUsage:
        return self._embedder.usage

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        return await self._embedder.embed_documents(texts)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        key = text_key(text)
        row = self._recent.get(key)
        if row is not None:
            return row
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key, text))
        # One of several who asked may go away: the others still want it.
        return await asyncio.shield(asking)

    def claim_charge(self, text: str) -> bool:
        """Return whether the caller is to be charged for a query: the first who asks this, once an embedding."""
        return self._uncharged.pop(text_key(text), _CHARGED) is None

    async def _ask(self, key: bytes, text: str) -> NDArray[np.float32]:
        try:
            row = await self._embedder.embed_query(text)
        finally:
            del self._asking[key]
        self._recent.put(key, row)
        self._uncharged[key] = None
        if len(self._uncharged) > _RECENT_QUERIES:
            self._uncharged.popitem(last=False)
        return row

    async def aclose(self) -> None:
        await self._embedder.aclose()
