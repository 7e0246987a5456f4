"""Each provider's real client against a server on loopback that speaks its wire format; short patience."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from db.ai_models import AIModelRow, Provider
from search.answer.model import ChatMessage, Finished, LanguageModel, Sampling, TextDelta
from service.providers.chat import open_model
from service.providers.chat.streaming import Patience, StreamedModel
from service.secrets import SecretBox
from service.settings import load_settings
from tests.fakes.chat_servers import FakeAnthropic, FakeGemini, FakeOpenAI
from tests.running import ENCRYPTION_KEY

KEY = "sk-verysecret"
QUESTION = [ChatMessage("user", "Where is the boiler?")]
QUICK = Patience(wait_initial_s=0.001, wait_max_s=0.5, wait_jitter_s=0)

FakeChat = FakeOpenAI | FakeGemini | FakeAnthropic
Open = Callable[..., AbstractAsyncContextManager[StreamedModel]]
_FAKES: dict[Provider, type[FakeChat]] = {
    "OPENAI": FakeOpenAI,
    "GROQ": FakeOpenAI,
    "CUSTOM": FakeOpenAI,
    "GEMINI": FakeGemini,
    "ANTHROPIC": FakeAnthropic,
}


def model_row(provider: Provider, **config: Any) -> AIModelRow:
    now = datetime.now(UTC)
    return AIModelRow(
        id=f"id-of-{provider}",
        name="A model",
        provider=provider,
        model_id="some-model",
        config={"apiKey": KEY, **config},
        is_active=True,
        total_requests=0,
        total_tokens=0,
        total_cost=0.0,
        created_at=now,
        updated_at=now,
    )


@dataclass(frozen=True)
class Asked:
    text: str
    finished: Finished


async def ask(
    model: LanguageModel, messages: list[ChatMessage] = QUESTION, sampling: Sampling | None = None
) -> Asked:
    """Return what a model says, and how it ended; that comes once, and last."""
    deltas: list[str] = []
    finished: list[Finished] = []
    async for event in model.stream(messages, sampling or Sampling()):
        assert not finished
        if isinstance(event, TextDelta):
            deltas.append(event.text)
        else:
            finished.append(event)
    [end] = finished
    return Asked("".join(deltas), end)


@pytest.fixture(params=["OPENAI", "GEMINI", "ANTHROPIC"])
def provider(request: pytest.FixtureRequest) -> Provider:
    """One of each family."""
    chosen: Provider = request.param
    return chosen


@pytest.fixture
def server(provider: Provider) -> Iterator[FakeChat]:
    with _FAKES[provider]() as running:
        yield running


@pytest.fixture
def open_at(tmp_path: Path) -> Open:
    """Open a model at an address, with patience and settings as given."""

    @asynccontextmanager
    async def opened(
        provider: Provider,
        url: str,
        *,
        settings: dict[str, Any] | None = None,
        patience: dict[str, Any] | None = None,
        **config: Any,
    ) -> AsyncIterator[StreamedModel]:
        loaded = load_settings(DOCSEARCH_HOME=tmp_path, **(settings or {}))
        model = open_model(
            model_row(provider, endpoint=url, **config),
            SecretBox(ENCRYPTION_KEY),
            loaded,
            replace(QUICK, **(patience or {})),
        )
        try:
            yield model
        finally:
            await model.aclose()

    return opened
