"""The bundled model as its users see it."""

import asyncio
import math

import numpy as np
import pytest

from ingest.errors import EmbeddingFailed
from service.providers.minilm.embedder import MiniLMEmbedder

PASSAGES = [
    "The treaty was signed in Vienna by nine ambassadors after a month of talks.",
    "Knead the dough for ten minutes, then let it rise under a damp cloth.",
    "Mitochondria release energy by oxidising sugars and fats.",
    "The function raises ValueError when the list is empty.",
    "Interest is charged on the balance that is left at the end of each month.",
]

# Bits of attention in bfloat16 depend on what a text shares its batch with; a cosine of .9999 does not.
SAME = 1e-2


@pytest.mark.parametrize(
    ("query", "nearest"),
    [
        ("Who agreed on peace, and where?", 0),
        ("how do I make bread", 1),
        ("where do cells get their energy from", 2),
        ("which exception do I get for an empty list", 3),
        ("what does borrowing on a credit card cost", 4),
    ],
)
async def test_a_query_finds_the_passage_that_answers_it(minilm: MiniLMEmbedder, query: str, nearest: int):
    passages = await minilm.embed_documents(PASSAGES)
    assert int(np.argmax(passages @ await minilm.embed_query(query))) == nearest


async def test_known_similarities_of_the_official_model_are_kept(minilm: MiniLMEmbedder):
    """The first example of the official model's page on the hub, in float: .6660, .1046, .1411."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    rows = await minilm.embed_documents(sentences)
    found = [rows[0] @ rows[1], rows[0] @ rows[2], rows[1] @ rows[2]]
    assert found == pytest.approx([0.6660, 0.1046, 0.1411], abs=0.03)


async def test_vectors_are_float32_of_length_one_and_padded_with_zeros(minilm: MiniLMEmbedder):
    rows = await minilm.embed_documents(PASSAGES)
    query = await minilm.embed_query("anything")
    assert rows.shape == (5, 1536)
    assert query.shape == (1536,)
    assert rows.dtype == query.dtype == np.float32
    assert not rows[:, 384:].any()
    assert not query[384:].any()
    np.testing.assert_allclose(np.linalg.norm([*rows, query], axis=1), 1, atol=1e-5)


async def test_no_texts_make_no_rows(minilm: MiniLMEmbedder):
    assert (await minilm.embed_documents([])).shape == (0, 1536)


async def test_a_text_is_read_up_to_the_window_and_no_further(minilm: MiniLMEmbedder):
    within = " ".join(["harbour"] * 200 + ["stone"] * 54)
    rows = await minilm.embed_documents([within, within + " entirely different matters" * 200, "harbour"])
    np.testing.assert_array_equal(rows[0], rows[1])
    almost = " ".join(["harbour"] * 200 + ["stone"] * 53)
    assert not np.array_equal((await minilm.embed_documents([almost]))[0], rows[0])
    assert minilm.window_tokens == 254


async def test_the_window_counts_what_the_tokenizer_counts(minilm: MiniLMEmbedder):
    text = " ".join(f"unbelievably{i}" for i in range(300))
    starts = minilm.tokenizer_spec.load().token_starts(text)
    cut = text[: starts[minilm.window_tokens]]
    rows = await minilm.embed_documents([text, cut])
    np.testing.assert_array_equal(rows[0], rows[1])


async def test_order_is_kept_while_many_callers_share_batches(minilm: MiniLMEmbedder):
    def text(caller: int, i: int) -> str:
        return f"Caller {caller} writes sentence {i}. " * (1 + (7 * caller + i) % 9)

    texts = [[text(caller, i) for i in range(10 + caller)] for caller in range(6)]
    together = await asyncio.gather(*(minilm.embed_documents(some) for some in texts))
    alone = [await minilm.embed_query(one) for some in texts for one in some]
    np.testing.assert_allclose(np.concatenate(together), alone, atol=SAME)


async def test_odd_texts_have_vectors_too(minilm: MiniLMEmbedder):
    rows = await minilm.embed_documents(["", " ", "\x00", "🦀", "x" * 100_000, "\ud7ff", "漢字", "שלום"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


async def test_queries_overtake_documents(own_minilm: MiniLMEmbedder):
    documents = asyncio.create_task(own_minilm.embed_documents(["a long story about nothing " * 60] * 300))
    for _ in range(3):
        await own_minilm.embed_query("quick?")
    assert not documents.done()
    documents.cancel()


async def test_a_small_document_does_not_wait_for_a_big_one(own_minilm: MiniLMEmbedder):
    big = asyncio.create_task(own_minilm.embed_documents(["a long story about nothing " * 60] * 400))
    await own_minilm.embed_query("so that the big one has begun")
    await own_minilm.embed_documents(["a small document"])
    assert not big.done()
    big.cancel()


async def test_a_cancelled_caller_takes_its_texts_along(own_minilm: MiniLMEmbedder):
    task = asyncio.create_task(own_minilm.embed_documents(["a long story about nothing " * 60] * 5_000))
    await own_minilm.embed_query("so that it has begun")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # 5,000 of them take a minute: this answer comes only because they are gone.
    async with asyncio.timeout(20):
        await own_minilm.embed_documents(["next"])


async def test_the_event_loop_is_not_held_up(own_minilm: MiniLMEmbedder):
    task = asyncio.create_task(own_minilm.embed_documents(["a long story about nothing " * 60] * 30))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    assert turns > 100


async def test_closing_fails_what_is_waiting_and_what_comes_later():
    embedder = await MiniLMEmbedder.open(threads=1)
    waiting = asyncio.create_task(embedder.embed_documents(["a long story about nothing " * 60] * 200))
    await embedder.embed_query("so that it has begun")
    await embedder.aclose()
    with pytest.raises(EmbeddingFailed, match="closed"):
        await waiting
    with pytest.raises(EmbeddingFailed, match="closed"):
        await embedder.embed_query("too late")
    with pytest.raises(EmbeddingFailed, match="closed"):
        await embedder.embed_documents(["too late"])
    await embedder.aclose()


async def test_usage_counts_texts_and_tokens(own_minilm: MiniLMEmbedder):
    await own_minilm.embed_documents(["one two three", "four"])
    await own_minilm.embed_query("five")
    assert own_minilm.usage.texts == 3
    assert own_minilm.usage.tokens == (3 + 2) + (1 + 2) + (1 + 2)


async def test_an_embedder_serves_one_event_loop_after_another(minilm: MiniLMEmbedder):
    def in_a_loop_of_its_own() -> np.ndarray:
        return asyncio.run(minilm.embed_query("the same"))

    first = await asyncio.to_thread(in_a_loop_of_its_own)
    np.testing.assert_allclose(first, await minilm.embed_query("the same"), atol=SAME)
    assert math.isclose(float(np.linalg.norm(first)), 1, rel_tol=1e-5)
