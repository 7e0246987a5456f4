"""OpenAI's client against a server on loopback that misbehaves."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from ingest.errors import EmbeddingFailed
from service.providers.batching import Limits
from service.providers.openai import LIMITS, OpenAIApi, native_dimensions
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

KEY = "sk-verysecret"
MODEL = "text-embedding-3-small"
SMALL = Limits(texts=2, tokens_each=8191, tokens_together=300_000)
QUICK = RetryPolicy(
    3, request_timeout_s=20, timeout_s=20, wait_initial_s=0.001, wait_max_s=0.5, wait_jitter_s=0
)


@contextlib.asynccontextmanager
async def opened(
    provider: FakeProvider,
    limits: Limits = LIMITS,
    timeout_s: float = 20,
    concurrency: int = 1,
    window: int = 8191,
    queries: RetryPolicy = QUICK,
) -> AsyncIterator[RemoteEmbedder]:
    endpoint = Endpoint("OpenAI", f"{provider.base_url}/v1", MODEL, "OPENAI_API_KEY", secret=KEY)
    api = OpenAIApi(endpoint, dimensions=native_dimensions(MODEL), encoding="base64", timeout_s=timeout_s)
    embedder = RemoteEmbedder(
        api,
        f"openai/{MODEL}",
        limits,
        window,
        concurrency=concurrency,
        document_retries=QUICK,
        query_retries=queries,
    )
    try:
        yield embedder
    finally:
        await embedder.aclose()


def expected(texts: list[str]) -> np.ndarray:
    return np.stack([vector_for(text, 1536) for text in texts])


async def test_texts_become_vectors_in_order(provider: FakeProvider):
    texts = ["one", "two", "three"]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(texts)
        assert embedder.usage.tokens == 21
        assert embedder.usage.requests == 1
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, expected(texts), atol=1e-6)
    [request] = provider.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {"model": MODEL, "input": texts, "dimensions": 1536, "encoding_format": "base64"}


async def test_a_query_is_one_vector(provider: FakeProvider):
    async with opened(provider) as embedder:
        row = await embedder.embed_query("where is it?")
    np.testing.assert_allclose(row, vector_for("where is it?", 1536), atol=1e-6)


async def test_no_texts_need_no_request(provider: FakeProvider):
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents([])
    assert rows.shape == (0, 1536)
    assert provider.requests == []


async def test_many_texts_are_sent_in_batches(provider: FakeProvider):
    texts = [f"text {i}" for i in range(7)]
    async with opened(provider, SMALL, concurrency=3) as embedder:
        rows = await embedder.embed_documents(texts)
    np.testing.assert_allclose(rows, expected(texts), atol=1e-6)
    assert sorted(len(request.texts) for request in provider.requests) == [1, 2, 2, 2]


async def test_equal_texts_are_paid_for_once(provider: FakeProvider):
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["same", "other", "same"])
    assert [request.texts for request in provider.requests] == [["same", "other"]]
    np.testing.assert_array_equal(rows[0], rows[2])


async def test_rows_are_put_in_the_order_of_their_indexes(provider: FakeProvider):
    provider.script.append(Change(lambda answer: answer["data"].reverse()))
    texts = ["one", "two", "three"]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(texts)
    np.testing.assert_allclose(rows, expected(texts), atol=1e-6)


async def test_a_text_beyond_the_window_is_cut_to_it(provider: FakeProvider):
    async with opened(provider, window=50) as embedder:
        await embedder.embed_documents(["word " * 200])
    [sent] = provider.requests[0].texts
    assert sent == "word" + " word" * 49


async def test_an_empty_text_is_refused_before_anything_is_sent(provider: FakeProvider):
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match="empty text") as caught:
            await embedder.embed_documents(["fine", " \n"])
    assert not caught.value.retryable
    assert provider.requests == []


@pytest.mark.parametrize(
    "trouble",
    [
        Refuse(500, "oops"),
        Refuse(503),
        Refuse(429, "slow down", headers={"retry-after": "0"}),
        Refuse(408),
        Drop(),
        Garble(b"<html>gateway</html>"),
        Garble(b""),
        Garble(b'{"data": "none"}'),
        Garble(b"\xff\xfe"),
        Change(lambda answer: answer["data"].pop()),
        Change(lambda answer: answer["data"].append(dict(answer["data"][0], index=2))),
        Change(lambda answer: answer["data"][0].update(index=1)),
        Change(lambda answer: answer["data"][0].update(embedding="not base64!")),
        Change(lambda answer: answer["data"][0].update(embedding=[float(i == 0) for i in range(3)])),
        Change(lambda answer: answer["data"][0].update(embedding=[0.0] * 1536)),
    ],
    ids=lambda trouble: f"{type(trouble).__name__}-{getattr(trouble, 'status', '')}",
)
async def test_trouble_that_passes_is_retried(provider: FakeProvider, trouble):
    provider.script += [trouble, trouble]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["one", "two"])
    np.testing.assert_allclose(rows, expected(["one", "two"]), atol=1e-6)
    assert len(provider.requests) == 3


async def test_not_a_number_is_retried(provider: FakeProvider):
    bad = np.full(1536, np.nan, np.float32).tobytes()
    provider.script.append(
        Change(lambda answer: answer["data"][0].update(embedding=base64.b64encode(bad).decode()))
    )
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["one"])
    assert np.isfinite(rows).all()
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (Refuse(401, f"Incorrect API key provided: {KEY}"), "key in OPENAI_API_KEY was refused"),
        (Refuse(403, "no access"), "may not use text-embedding-3-small"),
        (Refuse(404), "check EMBEDDING_MODEL"),
        (Refuse(400, "unknown parameter"), "unknown parameter"),
        (Refuse(429, "You exceeded your current quota", code="insufficient_quota"), "quota of the key"),
    ],
)
async def test_trouble_that_stays_is_not_retried(provider: FakeProvider, trouble: Refuse, words: str):
    provider.script.append(trouble)
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match=words) as caught:
            await embedder.embed_documents(["one"])
    assert not caught.value.retryable
    assert KEY not in caught.value.detail
    assert len(provider.requests) == 1


async def test_retries_are_bounded(provider: FakeProvider):
    provider.script += [Refuse(500)] * 10
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match="status 500") as caught:
            await embedder.embed_documents(["one"])
    assert caught.value.retryable
    assert len(provider.requests) == QUICK.attempts


async def test_a_provider_that_asks_for_a_long_wait_is_left_to_a_later_attempt(provider: FakeProvider):
    provider.script.append(Refuse(429, headers={"retry-after": "3600"}))
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match="limiting the rate") as caught:
            await embedder.embed_documents(["one"])
    assert caught.value.retryable
    assert len(provider.requests) == 1


async def test_retry_after_is_waited_for(provider: FakeProvider):
    provider.script.append(Refuse(429, headers={"retry-after-ms": "150"}))
    loop = asyncio.get_running_loop()
    async with opened(provider) as embedder:
        before = loop.time()
        await embedder.embed_documents(["one"])
    assert loop.time() - before >= 0.15


async def test_a_provider_that_does_not_answer_is_given_up_on(provider: FakeProvider):
    provider.script += [Hang()] * QUICK.attempts
    async with opened(provider, timeout_s=0.1) as embedder:
        with pytest.raises(EmbeddingFailed, match=r"did not answer within 0\.1 s") as caught:
            await embedder.embed_query("hello?")
    assert caught.value.retryable


async def test_a_query_is_not_waited_for_as_long_as_documents(provider: FakeProvider):
    provider.script += [Hang()] * 2
    impatient = RetryPolicy(
        2, request_timeout_s=0.5, timeout_s=5, wait_initial_s=0.001, wait_max_s=0.5, wait_jitter_s=0
    )
    async with opened(provider, queries=impatient) as embedder:
        with pytest.raises(EmbeddingFailed, match=r"OpenAI did not answer within 0\.5 s") as caught:
            await embedder.embed_query("hello?")
    assert caught.value.retryable
    assert len(provider.requests) == 2


async def test_a_provider_that_is_not_there_is_named():
    with fake_provider() as gone:
        pass
    async with opened(gone) as embedder:
        with pytest.raises(EmbeddingFailed, match=f"could not be reached at {gone.base_url}/v1") as caught:
            await embedder.embed_query("hello?")
    assert caught.value.retryable


async def test_a_second_attempt_pays_only_for_what_failed(provider: FakeProvider):
    texts = [f"text {i}" for i in range(6)]
    provider.refuse_when = lambda request: Refuse(400, "no such thing") if "text 2" in request.texts else None
    async with opened(provider, SMALL) as embedder:
        with pytest.raises(EmbeddingFailed, match="no such thing"):
            await embedder.embed_documents(texts)
        # One at a time, and none after the one that failed.
        assert [request.texts for request in provider.requests] == [
            ["text 0", "text 1"],
            ["text 2", "text 3"],
        ]
        provider.refuse_when = None
        provider.requests.clear()
        rows = await embedder.embed_documents(texts)
    assert [request.texts for request in provider.requests] == [["text 2", "text 3"], ["text 4", "text 5"]]
    np.testing.assert_allclose(rows, expected(texts), atol=1e-6)


@pytest.mark.parametrize(
    "refusal", [Refuse(413), Refuse(400, "maximum number of tokens per request exceeded")]
)
async def test_a_request_that_is_too_large_is_halved(provider: FakeProvider, refusal: Refuse):
    provider.refuse_when = lambda request: refusal if len(request.texts) > 2 else None
    texts = [f"text {i}" for i in range(7)]
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(texts)
    np.testing.assert_allclose(rows, expected(texts), atol=1e-6)


async def test_one_text_that_is_too_large_fails(provider: FakeProvider):
    provider.refuse_when = lambda _: Refuse(413, "too large")
    async with opened(provider) as embedder:
        with pytest.raises(EmbeddingFailed, match="status 413") as caught:
            await embedder.embed_documents(["one", "two"])
    assert not caught.value.retryable


async def test_vectors_that_are_too_wide_are_refused():
    with fake_provider(width=3072) as wide:
        async with opened(wide) as embedder:
            with pytest.raises(EmbeddingFailed, match="3072 numbers, and the database holds 1536") as caught:
                await embedder.embed_documents(["one"])
        assert not caught.value.retryable
        assert len(wide.requests) == 1


async def test_narrower_vectors_are_padded_with_zeros():
    with fake_provider(width=768) as narrow:
        async with opened(narrow) as embedder:
            rows = await embedder.embed_documents(["one", "two"])
    assert rows.shape == (2, 1536)
    assert not rows[:, 768:].any()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


async def test_a_width_that_changes_is_refused(provider: FakeProvider):
    async with opened(provider) as embedder:
        await embedder.embed_documents(["one"])
        provider.width = 768
        with pytest.raises(EmbeddingFailed, match="1536 numbers before and of 768 now") as caught:
            await embedder.embed_documents(["two"])
    assert not caught.value.retryable


async def test_a_query_does_not_wait_for_documents(provider: FakeProvider):
    provider.script.append(Hang())
    async with opened(provider, concurrency=1) as embedder:
        documents = asyncio.create_task(embedder.embed_documents(["slow"]))
        assert await asyncio.to_thread(provider.arrived.acquire, timeout=10)
        row = await embedder.embed_query("quick")
        np.testing.assert_allclose(row, vector_for("quick", 1536), atol=1e-6)
        assert not documents.done()
        provider.released.set()
        await documents


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda answer: [row.pop("index") for row in answer["data"]], "no indexes"),
        (lambda answer: answer.pop("usage"), "no usage"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_servers_that_leave_out_what_is_not_needed_are_understood(
    provider: FakeProvider, change: Callable[[dict], object], name: str
):
    provider.script.append(Change(change))
    async with opened(provider) as embedder:
        rows = await embedder.embed_documents(["one", "two"])
        assert embedder.usage.tokens > 0
    np.testing.assert_allclose(rows, expected(["one", "two"]), atol=1e-6)
