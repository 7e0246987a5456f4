"""Opening models by their rows, and keeping them open."""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from search.answer.model import ModelFailed, Sampling, TextDelta
from service.providers.chat import ChatModels, open_model
from service.secrets import SecretBox
from service.settings import load_settings
from tests.fakes.chat_servers import FakeOpenAI, Say
from tests.running import ENCRYPTION_KEY
from tests.service.providers.chat.conftest import QUESTION, ask, model_row

BOX = SecretBox(ENCRYPTION_KEY)


@pytest.fixture
def models(tmp_path: Path) -> ChatModels:
    return ChatModels(BOX, load_settings(DOCSEARCH_HOME=tmp_path))


async def test_a_sealed_key_is_opened(models: ChatModels) -> None:
    with FakeOpenAI() as server:
        row = model_row("OPENAI", endpoint=server.url, apiKey=BOX.seal("sk-sealed"))
        await ask(await models.get(row))
        await models.aclose()
    assert server.requests[0].key == "sk-sealed"


async def test_a_model_stays_open_until_its_configuration_changes(models: ChatModels) -> None:
    row = model_row("CUSTOM", endpoint="http://127.0.0.1:9/v1")
    first = await models.get(row)
    counted = msgspec.structs.replace(row, total_requests=5, updated_at=row.updated_at.replace(year=2040))
    assert await models.get(counted) is first
    changed = msgspec.structs.replace(row, config={**row.config, "temperature": 0.1})
    assert await models.get(changed) is not first
    await models.aclose()


async def test_many_who_ask_at_once_get_one_model(models: ChatModels) -> None:
    row = model_row("CUSTOM", endpoint="http://127.0.0.1:9/v1")
    opened = await asyncio.gather(*(models.get(row) for _ in range(20)))
    assert len({id(model) for model in opened}) == 1
    await models.aclose()


async def test_an_answer_under_way_outlives_a_change(models: ChatModels) -> None:
    with FakeOpenAI() as server:
        server.script(Say("one ", "two", pause_after=1))
        row = model_row("CUSTOM", endpoint=server.url)
        stream = (await models.get(row)).stream(QUESTION, Sampling())
        assert await anext(stream) == TextDelta("one ")
        for temperature in range(20):
            await models.get(msgspec.structs.replace(row, config={**row.config, "temperature": temperature}))
        server.release()
        assert await anext(stream) == TextDelta("two")
        await models.aclose()


async def test_closing_the_registry_ends_what_is_open(models: ChatModels) -> None:
    with FakeOpenAI() as server:
        server.script(Say("one ", "two", pause_after=1))
        model = await models.get(model_row("CUSTOM", endpoint=server.url))
        stream = model.stream(QUESTION, Sampling())
        await anext(stream)
        await models.aclose()
        assert await asyncio.to_thread(server.disconnected.wait, 20)
        with pytest.raises(ModelFailed) as failed:
            await anext(stream)
        assert failed.value.code == "broken_stream"


@pytest.mark.parametrize(
    ("provider", "config", "code", "word"),
    [
        ("OPENAI", {"apiKey": ""}, "key_refused", "api_key"),
        ("GEMINI", {"apiKey": None}, "key_refused", "api_key"),
        ("ANTHROPIC", {"apiKey": SecretBox("x" * 43 + "=").seal("k")}, "key_refused", "ENCRYPTION_KEY"),
        ("CUSTOM", {}, "unreachable", "endpoint"),
        ("OPENAI", {"temperature": "hot"}, "refused", "temperature"),
    ],
)
async def test_what_is_missing_is_said(
    tmp_path: Path, provider: str, config: dict[str, str], code: str, word: str
) -> None:
    settings = load_settings(DOCSEARCH_HOME=tmp_path)
    with pytest.raises(ModelFailed) as failed:
        open_model(model_row(provider, **config), BOX, settings)  # type: ignore[arg-type]
    assert failed.value.code == code
    assert word in failed.value.detail
    assert "hot" not in failed.value.detail


@pytest.mark.parametrize(
    ("model_id", "tokens"),
    [("gpt-4o-mini", 128_000), ("gpt-4", 8_192), ("gpt-4.1-nano", 1_047_576), ("who-knows", 8_192)],
)
def test_windows_of_known_models(tmp_path: Path, model_id: str, tokens: int) -> None:
    row = msgspec.structs.replace(model_row("OPENAI"), model_id=model_id)
    assert open_model(row, BOX, load_settings(DOCSEARCH_HOME=tmp_path)).context_tokens == tokens


def test_the_providers_clients_are_imported_when_one_is_asked_for() -> None:
    code = "import sys, service.app; print(*{'openai', 'anthropic', 'google.genai', 'httpx2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
