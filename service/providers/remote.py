"""What every provider across a network shares: batches, retries, checks, and what was paid for is kept."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import stamina
from numpy.typing import NDArray

from ingest.embed import EMBEDDING_WIDTH, Embeddings
from ingest.errors import EmbeddingFailed
from ingest.tokenize import TokenizerSpec
from service.providers.batching import Limits, plan_batches, to_unit_rows
from service.providers.errors import RequestFailed
from service.providers.recent import RecentEmbeddings, text_key
from service.providers.usage import EmbeddingUsage

Task = Literal["document", "query"]

# Remembered document vectors, 6 kB each: a job that is tried again pays only for what is missing.
_RECENT_TEXTS = 2048

TOKENIZER = TokenizerSpec("tiktoken", "cl100k_base")
"""Exact for OpenAI; for other providers the nearest thing that needs no download."""


@dataclass(frozen=True, slots=True)
class Reply:
    """rows[i] belongs to texts[i]; tokens as the provider counted them, if it says."""

    rows: Sequence[Sequence[float]]
    tokens: int | None


class EmbeddingApi(Protocol):
    """One provider's interface: one request, no retries."""

    @property
    def provider(self) -> str:
        """The provider's name in messages."""
        ...

    async def embed(self, texts: Sequence[str], task: Task) -> Reply:
        """Raises RequestFailed."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of retrying one request. A provider that asks to wait beyond wait_max_s is not waited for."""

    attempts: int
    request_timeout_s: float
    timeout_s: float
    """After which no further attempt is begun."""
    wait_initial_s: float
    wait_max_s: float
    wait_jitter_s: float

    def wait(self, error: Exception) -> bool | float:
        """Say whether to try again, or in how many seconds; False gives up. The shape is stamina's."""
        if not isinstance(error, RequestFailed) or not error.retryable:
            return False
        if error.retry_after_s is None:
            return True
        # stamina takes 0 for False.
        return max(error.retry_after_s, 1e-3) if error.retry_after_s <= self.wait_max_s else False


DOCUMENT_RETRIES = RetryPolicy(
    attempts=6, request_timeout_s=60, timeout_s=150, wait_initial_s=0.5, wait_max_s=60, wait_jitter_s=0.5
)
QUERY_RETRIES = RetryPolicy(
    attempts=3, request_timeout_s=5, timeout_s=8, wait_initial_s=0.2, wait_max_s=3, wait_jitter_s=0.1
)
"""A person is waiting for a query."""


class RemoteEmbedder:
    """Embeds through a provider's API. Raises EmbeddingFailed, retryable where the provider may recover."""

    tokenizer_spec = TOKENIZER

    def __init__(
        self,
        api: EmbeddingApi,
        model: str,
        limits: Limits,
        window_tokens: int,
        *,
        concurrency: int = 4,
        document_retries: RetryPolicy = DOCUMENT_RETRIES,
        query_retries: RetryPolicy = QUERY_RETRIES,
    ) -> None:
        """model is stored with each vector."""
        self.model = model
        self.window_tokens = window_tokens
        self.usage = EmbeddingUsage()
        self._api = api
        self._limits = limits
        self._slots = asyncio.Semaphore(concurrency)
        self._document_retries = document_retries
        self._query_retries = query_retries
        self._recent = RecentEmbeddings(_RECENT_TEXTS)
        self._width: int | None = None

    async def embed_documents(self, texts: Sequence[str]) -> Embeddings:
        """Return (n, 1536), row i for texts[i]; what is behind a text's first window_tokens tokens is not read."""
        keys = [text_key(text) for text in texts]
        rows = {key: row for key in keys if (row := self._recent.get(key)) is not None}
        missing = list({key: text for key, text in zip(keys, texts, strict=True) if key not in rows}.items())
        prepared, counts = await asyncio.to_thread(self._prepare, [text for _, text in missing])
        stop = asyncio.Event()

        async def run(batch: range) -> None:
            async with self._slots:
                if stop.is_set():
                    return
                try:
                    found = await self._embed(
                        [prepared[i] for i in batch], sum(counts[i] for i in batch), "document"
                    )
                except RequestFailed:
                    stop.set()
                    raise
            for i, row in zip(batch, found, strict=True):
                rows[missing[i][0]] = row
                self._recent.put(missing[i][0], row)

        # Requests under way are let finish when one fails: they are paid for, and what they bring is kept.
        outcomes = await asyncio.gather(
            *(run(batch) for batch in plan_batches(counts, self._limits)), return_exceptions=True
        )
        _raise_first(outcomes)
        return np.stack([rows[key] for key in keys]) if keys else _no_rows(0)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return (1536,). Does not wait for documents."""
        prepared, counts = self._prepare([text])
        try:
            rows = await self._embed(prepared, counts[0], "query")
        except RequestFailed as exc:
            raise EmbeddingFailed(exc.detail, retryable=exc.retryable) from exc
        query: NDArray[np.float32] = rows[0]
        return query

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _embed(self, texts: Sequence[str], tokens: int, task: Task) -> Embeddings:
        """Return (n, 1536); asks again for each half when the provider finds the request too large."""
        try:
            return await self._embed_with_retries(texts, tokens, task)
        except RequestFailed as exc:
            if not exc.too_large or len(texts) == 1:
                raise
        half = len(texts) // 2
        first = await self._embed(texts[:half], tokens // 2, task)
        return np.concatenate([first, await self._embed(texts[half:], tokens - tokens // 2, task)])

    async def _embed_with_retries(self, texts: Sequence[str], tokens: int, task: Task) -> Embeddings:
        policy = self._query_retries if task == "query" else self._document_retries
        attempts = stamina.retry_context(
            on=policy.wait,
            attempts=policy.attempts,
            timeout=policy.timeout_s,
            wait_initial=policy.wait_initial_s,
            wait_max=policy.wait_max_s,
            wait_jitter=policy.wait_jitter_s,
        )
        async for attempt in attempts:
            with attempt:
                reply = await self._ask(texts, task, policy.request_timeout_s)
                self.usage.add(
                    requests=1, texts=len(texts), tokens=tokens if reply.tokens is None else reply.tokens
                )
                return self._checked(reply, len(texts))
        raise AssertionError("retry_context ends by returning or raising")

    async def _ask(self, texts: Sequence[str], task: Task, timeout_s: float) -> Reply:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._api.embed(texts, task)
        except TimeoutError as exc:
            raise RequestFailed(
                f"{self._api.provider} did not answer within {timeout_s:g} s.", retryable=True
            ) from exc

    def _checked(self, reply: Reply, expected: int) -> Embeddings:
        rows = to_unit_rows(reply.rows, expected, self._api.provider)
        width = rows.shape[1]
        if self._width is not None and width != self._width:
            raise RequestFailed(
                f"{self._api.provider} returned vectors of {self._width} numbers before and of {width} now: "
                "they are not of one model. Check what serves EMBEDDING_BASE_URL.",
                retryable=False,
            )
        self._width = width
        padded = _no_rows(expected)
        padded[:, :width] = rows
        return padded

    def _prepare(self, texts: Sequence[str]) -> tuple[list[str], list[int]]:
        """Return the texts cut to what the provider reads, and their token counts."""
        tokenizer = self.tokenizer_spec.load()
        limit = min(self.window_tokens, self._limits.tokens_each)
        prepared, counts = [], []
        for text in texts:
            if not text.strip():
                raise EmbeddingFailed("There is an empty text among those to embed.", retryable=False)
            starts = tokenizer.token_starts(text)
            prepared.append(text if len(starts) <= limit else text[: starts[limit]])
            counts.append(min(len(starts), limit))
        return prepared, counts


def _no_rows(count: int) -> Embeddings:
    return np.zeros((count, EMBEDDING_WIDTH), dtype=np.float32)


def _raise_first(outcomes: Sequence[BaseException | None]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, RequestFailed):
            raise EmbeddingFailed(outcome.detail, retryable=outcome.retryable) from outcome
        if outcome is not None:
            raise outcome
