"""google-genai against a server on loopback that misbehaves."""

import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from ingest.errors import EmbeddingFailed
from service.providers.gemini import DEFAULT_MODEL, LIMITS, GeminiApi
from service.providers.refusals import Endpoint
from service.providers.remote import RemoteEmbedder, RetryPolicy
from tests.fakes.embedding_servers import (
    Change,
    Drop,
    FakeProvider,
    Garble,
    Hang,
    Refuse,
    fake_provider,
    vector_for,
)

KEY = "AIza-verysecret"
QUICK = RetryPolicy(
    3, request_timeout_s=20, timeout_s=20, wait_initial_s=0.001, wait_max_s=0.5, wait_jitter_s=0
)


@contextlib.asynccontextmanager
async def opened(provider: FakeProvider, timeout_s: float = 20) -> AsyncIterator[RemoteEmbedder]:
    endpoint = Endpoint("Gemini", provider.base_url, DEFAULT_MODEL, "GEMINI_API_KEY", secret=KEY)
    embedder = RemoteEmbedder(
        GeminiApi(endpoint, timeout_s=timeout_s),
        f"gemini/{DEFAULT_MODEL}@1536",
        LIMITS,
        2048,
        document_retries=QUICK,
        query_retries=QUICK,
    )
    try:
        yield embedder
    finally:
        await embedder.aclose()


async def test_documents_are_asked_for_as_documents_at_our_width(provider: FakeProvider):
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["one", "two"])
        assert embedder.usage.tokens > 0
    [request] = provider.requests
    assert request.path.endswith(f"models/{DEFAULT_MODEL}:batchEmbedContents")
    assert request.headers["x-goog-api-key"] == KEY
    assert request.texts == ["one", "two"]
    for entry in request.body["requests"]:
        assert entry["taskType"] == "RETRIEVAL_DOCUMENT"
        assert entry["outputDimensionality"] == 1536
    # The server's vectors have length three, as Gemini's below full width have not one.
    np.testing.assert_allclose(rows, [vector_for("one", 1536), vector_for("two", 1536)], atol=1e-6)


async def test_queries_are_asked_for_as_queries(provider: FakeProvider):
    async with opened(provider) as embedder:
        row = await embedder.embed_query("where?")
    assert provider.requests[0].body["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    np.testing.assert_allclose(row, vector_for("where?", 1536), atol=1e-6)


async def test_a_request_holds_at_most_a_hundred_texts(provider: FakeProvider):
    texts = [f"text {i}" for i in range(230)]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(texts)
    assert sorted(len(request.texts) for request in provider.requests) == [30, 100, 100]
    np.testing.assert_allclose(rows, [vector_for(text, 1536) for text in texts], atol=1e-6)


@pytest.mark.parametrize(
    "trouble",
    [
        Refuse(500, "oops"),
        Refuse(503),
        Refuse(429, "slow down", details=[{"@type": "google.rpc.RetryInfo", "retryDelay": "0s"}]),
        Drop(),
        Garble(b"<html>gateway</html>"),
        Garble(b""),
        Garble(b"[]"),
        Garble(b'{"embeddings": "none"}'),
        Garble(b"\xff\xfe"),
        Change(lambda answer: answer["embeddings"].pop()),
        Change(lambda answer: answer["embeddings"][0].update(values=[])),
        Change(lambda answer: answer["embeddings"][0].pop("values")),
        Change(lambda answer: answer.pop("embeddings")),
        Change(lambda answer: answer["embeddings"][0].update(values=[0.0] * 1536)),
        Change(lambda answer: answer["embeddings"][0].update(values=[float("nan")] * 1536)),
    ],
    ids=lambda trouble: f"{type(trouble).__name__}-{getattr(trouble, 'status', '')}",
)
async def test_trouble_that_passes_is_retried(provider: FakeProvider, trouble):
    provider.script += [trouble, trouble]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["one", "two"])
    np.testing.assert_allclose(rows, [vector_for("one", 1536), vector_for("two", 1536)], atol=1e-6)
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (
            Refuse(400, "API key not valid.", details=[{"reason": "API_KEY_INVALID"}]),
            "The key in GEMINI_API_KEY was refused by Gemini",
        ),
        (Refuse(401, "who?"), "The key in GEMINI_API_KEY was refused by Gemini"),
        (Refuse(403, "no access"), "may not use gemini-embedding-001"),
        (Refuse(404), "check EMBEDDING_MODEL"),
        (Refuse(400, f"what is {KEY}"), "what is …"),
        (Refuse(429, details=[{"retryDelay": "86400s"}]), "limiting the rate"),
    ],
)
async def test_trouble_that_stays_is_not_retried(provider: FakeProvider, trouble: Refuse, words: str):
    provider.script.append(trouble)
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match=words) as caught:
            await embedder.embed_documents(["one"])
    assert KEY not in caught.value.detail
    assert len(provider.requests) == 1


async def test_a_provider_that_does_not_answer_is_given_up_on(provider: FakeProvider):
    provider.script += [Hang()] * QUICK.attempts
    async with opened(provider, timeout_s=0.1) as embedder:
        with pytest.raises(EmbeddingFailed, match=r"did not answer within 0\.1 s") as caught:
            await embedder.embed_query("hello?")
    assert caught.value.retryable
    assert len(provider.requests) == QUICK.attempts


async def test_a_provider_that_is_not_there_is_named():
    with fake_provider() as gone:
        pass
    async with opened(gone) as embedder:
        with pytest.raises(EmbeddingFailed, match=f"could not be reached at {gone.base_url}"):
            await embedder.embed_query("hello?")
