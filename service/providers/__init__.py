"""Who embeds: the bundled model, OpenAI, Gemini, or any endpoint that speaks OpenAI's interface."""

import contextlib
from collections.abc import AsyncIterator

from pydantic import SecretStr

from ingest.embed import EMBEDDING_WIDTH
from service.providers.batching import Limits
from service.providers.errors import ModelFilesDamaged, ProviderNotConfigured
from service.providers.recent import EmbeddingProvider, RememberingQueries
from service.providers.refusals import Endpoint
from service.providers.remote import RemoteEmbedder
from service.settings import EmbeddingProvider as ProviderName
from service.settings import Settings

__all__ = [
    "EmbeddingProvider",
    "ModelFilesDamaged",
    "ProviderNotConfigured",
    "RememberingQueries",
    "open_embedder",
]

# The shortest window in common use among models that are served by oneself.
_COMPATIBLE_WINDOW_TOKENS = 512


@contextlib.asynccontextmanager
async def open_embedder(settings: Settings) -> AsyncIterator[RememberingQueries]:
    """Open the configured embedder; one a process is enough. Raises ProviderNotConfigured."""
    embedder = RememberingQueries(await _open(settings))
    try:
        yield embedder
    finally:
        await embedder.aclose()


async def _open(settings: Settings) -> EmbeddingProvider:
    # Each provider's libraries take a while to import, so only the chosen one's are.
    match settings.embedding_provider:
        case ProviderName.LOCAL:
            from service.providers.minilm.embedder import MiniLMEmbedder

            return await MiniLMEmbedder.open()
        case ProviderName.OPENAI:
            return _openai(settings)
        case ProviderName.GEMINI:
            return _gemini(settings)
        case ProviderName.OPENAI_COMPATIBLE:
            return _compatible(settings)


def _openai(settings: Settings) -> RemoteEmbedder:
    from service.providers import openai

    model = settings.embedding_model or openai.DEFAULT_MODEL
    endpoint = Endpoint(
        provider="OpenAI",
        base_url=_base_url(settings) or openai.OPENAI_BASE_URL,
        embedding_model=model,
        key_setting="OPENAI_API_KEY",
        secret=_required(settings.openai_api_key, "OPENAI_API_KEY", settings),
    )
    api = openai.OpenAIApi(endpoint, dimensions=openai.native_dimensions(model), encoding="base64")
    # text-embedding-3-large is cut to 1536 of its 3072 numbers; the others have 1536.
    name = f"openai/{model}@{EMBEDDING_WIDTH}" if model.endswith("-3-large") else f"openai/{model}"
    return RemoteEmbedder(api, name, openai.LIMITS, _window(settings, openai.LIMITS.tokens_each))


def _gemini(settings: Settings) -> RemoteEmbedder:
    from service.providers import gemini

    model = settings.embedding_model or gemini.DEFAULT_MODEL
    endpoint = Endpoint(
        provider="Gemini",
        base_url=_base_url(settings) or gemini.GEMINI_BASE_URL,
        embedding_model=model,
        key_setting="GEMINI_API_KEY",
        secret=_required(settings.gemini_api_key, "GEMINI_API_KEY", settings),
    )
    name = f"gemini/{model}@{EMBEDDING_WIDTH}"
    window = _window(settings, gemini.LIMITS.tokens_each)
    return RemoteEmbedder(gemini.GeminiApi(endpoint), name, gemini.LIMITS, window)


def _compatible(settings: Settings) -> RemoteEmbedder:
    from service.providers import openai

    base_url = _base_url(settings)
    if base_url is None:
        raise ProviderNotConfigured("EMBEDDING_PROVIDER=openai-compatible needs EMBEDDING_BASE_URL.")
    if not settings.embedding_model:
        raise ProviderNotConfigured("EMBEDDING_PROVIDER=openai-compatible needs EMBEDDING_MODEL.")
    endpoint = Endpoint(
        provider="The openai-compatible endpoint",
        base_url=base_url,
        embedding_model=settings.embedding_model,
        key_setting="EMBEDDING_API_KEY",
        secret=settings.embedding_api_key.get_secret_value() if settings.embedding_api_key else "",
    )
    # Not every such server knows base64, or accepts a width.
    api = openai.OpenAIApi(endpoint, dimensions=None, encoding="float")
    window = _window(settings, _COMPATIBLE_WINDOW_TOKENS)
    # Such servers often run on one machine: small requests, which more of them accept and none takes long over.
    limits = Limits(texts=64, tokens_each=window, tokens_together=openai.LIMITS.tokens_together)
    return RemoteEmbedder(api, f"openai-compatible/{settings.embedding_model}", limits, window)


def _base_url(settings: Settings) -> str | None:
    return str(settings.embedding_base_url).rstrip("/") if settings.embedding_base_url else None


def _window(settings: Settings, known: int) -> int:
    return settings.embedding_window_tokens or known


def _required(key: SecretStr | None, name: str, settings: Settings) -> str:
    if key is None:
        raise ProviderNotConfigured(
            f"EMBEDDING_PROVIDER={settings.embedding_provider.value} needs a key: set {name}."
        )
    return key.get_secret_value()
