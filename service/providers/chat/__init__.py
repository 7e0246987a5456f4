"""Who writes answers: OpenAI, Gemini, Groq, Anthropic, and what else speaks OpenAI's interface; one registry."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any

from db.ai_models import AIModelRow
from ingest.outbound import Network
from search.answer.model import LanguageModel, ModelFailed
from service.providers.chat.config import ModelConfig, read_config
from service.providers.chat.failures import Provider
from service.providers.chat.streaming import ChatApi, Patience, StreamedModel, load_tokenizer
from service.providers.chat.windows import window_tokens
from service.secrets import SecretBox, SecretUnreadable
from service.settings import Settings

__all__ = ["ChatModels", "open_model"]

MAX_OPEN = 64
"""Models whose connections are kept: more than anybody configures, and a bound on what deleted ones leave behind."""
_LEEWAY = 8


def open_model(
    row: AIModelRow, secret_box: SecretBox, settings: Settings, patience: Patience | None = None
) -> StreamedModel:
    """Return a model, to be closed. Raises ModelFailed, which says what is missing in its configuration.

    Asks nobody, but imports the provider's client and reads a tokenizer: run it in a thread.
    """
    patience = patience or Patience()
    config = read_config(row.config, row.model_id)
    load_tokenizer()
    return StreamedModel(
        _open_api(row, config, _secret(row, config, secret_box), settings.model_networks, patience),
        name=f"{row.provider.lower()}/{row.model_id}",
        context_tokens=config.context_tokens or window_tokens(row.model_id),
        defaults=config.sampling,
        patience=patience,
    )


class ChatModels:
    """The open models of a process, each opened when it is first asked, and anew when its configuration changes."""

    def __init__(self, secret_box: SecretBox, settings: Settings, patience: Patience | None = None) -> None:
        self._secret_box = secret_box
        self._settings = settings
        self._patience = patience
        self._open: dict[str, tuple[tuple[Any, ...], StreamedModel]] = {}
        self._retired: deque[StreamedModel] = deque()
        self._lock = asyncio.Lock()

    async def get(self, row: AIModelRow) -> LanguageModel:
        """Return the model of a row. Raises ModelFailed where its configuration does not let it be asked.

        A row that differs from the one before in nothing but its counts gives the same model: "updatedAt" moves with
        every answer, and so says nothing.
        """
        made_of = (row.provider, row.model_id, row.config)
        async with self._lock:
            known = self._open.pop(row.id, None)
            if known is None or known[0] != made_of:
                if known is not None:
                    await self._retire(known[1])
                model = await asyncio.to_thread(
                    open_model, row, self._secret_box, self._settings, self._patience
                )
                known = (made_of, model)
            self._open[row.id] = known
            while len(self._open) > MAX_OPEN:
                _, oldest = self._open.pop(next(iter(self._open)))
                await self._retire(oldest)
        return known[1]

    async def aclose(self) -> None:
        """Close all connections, those of answers that are still being written too."""
        async with self._lock, contextlib.AsyncExitStack() as stack:
            for model in [*self._retired, *(model for _, model in self._open.values())]:
                stack.push_async_callback(model.aclose)
            self._open.clear()
            self._retired.clear()

    async def _retire(self, model: StreamedModel) -> None:
        # Not at once: somebody may have got it a moment ago, and be about to ask.
        self._retired.append(model)
        while len(self._retired) > _LEEWAY:
            await self._retired.popleft().retire()


def _secret(row: AIModelRow, config: ModelConfig, secret_box: SecretBox) -> str:
    if not config.api_key:
        if row.provider == "CUSTOM":
            return ""  # a server of one's own may want none
        raise ModelFailed(f"{row.model_id} has no key: set its api_key.", code="key_refused")
    try:
        return secret_box.open(config.api_key)
    except SecretUnreadable as exc:
        raise ModelFailed(f"The api_key of {row.model_id}: {exc}", code="key_refused") from exc


def _open_api(
    row: AIModelRow, config: ModelConfig, secret: str, networks: Sequence[Network], patience: Patience
) -> ChatApi:
    # Each provider's client takes a while to import, so only those that are asked for are.
    from service.providers.chat.transport import open_http

    endpoint = (config.endpoint or "").strip().rstrip("/")

    def provider(name: str, default_url: str) -> Provider:
        return Provider(name=name, model_id=row.model_id, base_url=endpoint or default_url, secret=secret)

    match row.provider:
        case "OPENAI" | "GROQ" | "CUSTOM":
            from service.providers.chat import openai

            if row.provider == "CUSTOM" and not endpoint:
                raise ModelFailed(
                    f"{row.model_id} has no endpoint: set it to the base URL of its server, such as "
                    "http://127.0.0.1:11434/v1.",
                    code="unreachable",
                )
            who = {
                "OPENAI": provider("OpenAI", openai.OPENAI_BASE_URL),
                "GROQ": provider("Groq", openai.GROQ_BASE_URL),
                "CUSTOM": provider("The custom server", endpoint),
            }[row.provider]
            return openai.OpenAIChat(
                who, open_http(who.base_url, networks, connect_timeout_s=patience.connect_s)
            )
        case "ANTHROPIC":
            from service.providers.chat import anthropic

            # The client adds /v1 itself, and people copy it along.
            endpoint = endpoint.removesuffix("/v1")
            who = provider("Anthropic", anthropic.ANTHROPIC_BASE_URL)
            return anthropic.AnthropicChat(
                who, open_http(who.base_url, networks, connect_timeout_s=patience.connect_s)
            )
        case "GEMINI":
            from service.providers.chat import gemini

            who = provider("Gemini", gemini.GEMINI_BASE_URL)
            return gemini.GeminiChat(
                who,
                open_http(
                    who.base_url,
                    networks,
                    connect_timeout_s=patience.connect_s,
                    on_response=[gemini.remember_response],
                ),
            )
