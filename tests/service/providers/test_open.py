"""Which embedder the settings choose, and what they must say."""

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from service.providers import ProviderNotConfigured, open_embedder
from service.providers.recent import RecentEmbeddings, RememberingQueries, text_key
from service.settings import Settings
from tests.fakes.embedding_servers import FakeProvider, vector_for

NAMES = ("PROVIDER", "MODEL", "BASE_URL", "API_KEY", "WINDOW_TOKENS")


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *(f"EMBEDDING_{name}" for name in NAMES),
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "OPENAI_BASE_URL",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "model", "window"),
    [
        ({"embedding_provider": "openai", "openai_api_key": "k"}, "openai/text-embedding-3-small", 8191),
        (
            {
                "embedding_provider": "openai",
                "openai_api_key": "k",
                "embedding_model": "text-embedding-3-large",
            },
            "openai/text-embedding-3-large@1536",
            8191,
        ),
        ({"embedding_provider": "gemini", "gemini_api_key": "k"}, "gemini/gemini-embedding-001@1536", 2048),
        (
            {
                "embedding_provider": "openai-compatible",
                "embedding_base_url": "http://127.0.0.1:1/v1",
                "embedding_model": "nomic-embed-text",
            },
            "openai-compatible/nomic-embed-text",
            512,
        ),
        (
            {"embedding_provider": "openai", "openai_api_key": "k", "embedding_window_tokens": 300},
            "openai/text-embedding-3-small",
            300,
        ),
    ],
)
async def test_settings_choose_the_embedder(settings: dict[str, object], model: str, window: int):
    async with open_embedder(Settings.model_validate(settings)) as embedder:
        assert embedder.model == model
        assert embedder.window_tokens == window
        assert embedder.tokenizer_spec.load().token_starts("two words") == pytest.approx([0, 3])


async def test_the_bundled_model_is_the_default():
    async with open_embedder(Settings()) as embedder:
        assert embedder.model == "local/all-MiniLM-L6-v2"
        assert embedder.window_tokens == 254
        assert (await embedder.embed_query("hello")).shape == (1536,)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"embedding_provider": "openai"}, "EMBEDDING_PROVIDER=openai needs a key: set OPENAI_API_KEY."),
        ({"embedding_provider": "gemini"}, "EMBEDDING_PROVIDER=gemini needs a key: set GEMINI_API_KEY."),
        ({"embedding_provider": "openai-compatible", "embedding_model": "m"}, "needs EMBEDDING_BASE_URL"),
        (
            {"embedding_provider": "openai-compatible", "embedding_base_url": "http://127.0.0.1:1"},
            "needs EMBEDDING_MODEL",
        ),
    ],
)
async def test_what_is_missing_is_named(settings: dict[str, object], words: str):
    with pytest.raises(ProviderNotConfigured, match=words):
        async with open_embedder(Settings.model_validate(settings)):
            pass


@pytest.mark.parametrize("name", ["openai", "gemini", "openai-compatible"])
async def test_each_provider_is_reached_at_the_configured_address(provider: FakeProvider, name: str):
    settings = Settings.model_validate(
        {
            "embedding_provider": name,
            "embedding_base_url": f"{provider.base_url}/v1" if name != "gemini" else provider.base_url,
            "embedding_model": "a-model",
            "openai_api_key": "k1",
            "gemini_api_key": "k2",
        }
    )
    async with open_embedder(settings) as embedder:
        rows = await embedder.embed_documents(["one"])
    np.testing.assert_allclose(rows[0], vector_for("one", 1536), atol=1e-6)


async def test_a_compatible_endpoint_is_asked_for_nothing_unusual(provider: FakeProvider):
    provider.width = 768
    settings = Settings.model_validate(
        {
            "embedding_provider": "openai-compatible",
            "embedding_base_url": f"{provider.base_url}/v1/",
            "embedding_model": "nomic-embed-text",
            "embedding_api_key": "its-key",
        }
    )
    async with open_embedder(settings) as embedder:
        row = await embedder.embed_query("one")
    [request] = provider.requests
    assert request.path == "/v1/embeddings"
    assert request.headers["authorization"] == "Bearer its-key"
    assert request.body == {"model": "nomic-embed-text", "input": ["one"], "encoding_format": "float"}
    np.testing.assert_allclose(row[:768], vector_for("one", 768), atol=1e-6)
    assert not row[768:].any()


async def test_a_repeated_query_is_answered_from_memory(provider: FakeProvider):
    settings = Settings.model_validate(
        {
            "embedding_provider": "openai",
            "embedding_base_url": f"{provider.base_url}/v1",
            "openai_api_key": "k",
        }
    )
    async with open_embedder(settings) as embedder:
        assert isinstance(embedder, RememberingQueries)
        first, second = await embedder.embed_query("again"), await embedder.embed_query("again")
        other = await embedder.embed_query("Again")
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, other)
    assert len(provider.requests) == 2


def test_what_was_used_longest_ago_is_forgotten_first():
    recent = RecentEmbeddings(2)
    row = np.ones(1536, np.float32)
    a, b, c = (text_key(text) for text in "abc")
    recent.put(a, row)
    recent.put(b, row)
    recent.get(a)
    recent.put(c, row)
    assert recent.get(b) is None
    assert recent.get(a) is not None
    assert recent.get(c) is not None


def test_what_is_remembered_cannot_be_changed_by_who_gave_or_got_it():
    recent = RecentEmbeddings(2)
    row = np.ones(1536, np.float32)
    recent.put(b"key", row)
    row[:] = 5
    got = recent.get(b"key")
    assert got is not None
    assert got[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 7


class _Counting:
    """An embedder on the other side of a network, as far as this needs one: it waits to be let, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = asyncio.Event()

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        self.asked.append(text)
        await self.go.wait()
        return np.ones(1536, dtype=np.float32)


async def test_a_query_is_asked_and_charged_for_once_however_many_ask_at_once() -> None:
    inner = _Counting()
    embedder = RememberingQueries(inner)  # type: ignore[arg-type]
    asking = [asyncio.create_task(embedder.embed_query("lease")) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    inner.go.set()
    await asyncio.gather(*asking[1:])
    await embedder.embed_query("lease")
    assert inner.asked == ["lease"]
    assert [embedder.claim_charge("lease") for _ in range(3)] == [True, False, False]
    assert not embedder.claim_charge("never asked")
