"""What is particular to OpenAI's interface, and to the servers that speak it in their own ways."""

from collections.abc import Iterator

import pytest

from search.answer.model import ChatMessage, ModelFailed, Sampling
from tests.fakes.chat_servers import FakeOpenAI, Refuse, Say, Unknown
from tests.service.providers.chat.conftest import Open, ask


@pytest.fixture
def openai_server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


async def test_a_server_that_knows_no_stream_options_is_asked_without(
    openai_server: FakeOpenAI, open_at: Open
) -> None:
    openai_server.always = Unknown("stream_options")
    async with open_at("CUSTOM", openai_server.url) as model:
        first, second = await ask(model), await ask(model)
    assert first.text == second.text == "Hello, world."
    assert first.finished.estimated
    assert ["stream_options" in request.body for request in openai_server.requests] == [True, False, False]


async def test_request_has_what_is_configured_and_what_is_asked_for(
    openai_server: FakeOpenAI, open_at: Open
) -> None:
    config = {"maxTokens": 100, "temperature": 0.7, "topP": 0.9, "frequencyPenalty": 0.1}
    async with open_at("GROQ", openai_server.url, **config) as model:
        await ask(model, sampling=Sampling(temperature=0.0, presence_penalty=0.2, stop=("END",)))
    body = openai_server.requests[0].body
    assert body == {
        "model": "some-model",
        "messages": [{"role": "user", "content": "Where is the boiler?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 100,
        "temperature": 0.0,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "stop": ["END"],
    }


async def test_numbers_that_a_form_wrote_as_text_are_numbers(
    openai_server: FakeOpenAI, open_at: Open
) -> None:
    async with open_at("OPENAI", openai_server.url, maxTokens="100", contextTokens="5000") as model:
        await ask(model)
        assert model.context_tokens == 5000
    assert openai_server.requests[0].body["max_tokens"] == 100


async def test_a_server_of_ones_own_needs_no_key(openai_server: FakeOpenAI, open_at: Open) -> None:
    async with open_at("CUSTOM", openai_server.url, apiKey="") as model:
        assert (await ask(model)).text == "Hello, world."


@pytest.mark.parametrize("name", ["openai", "localhost"])
async def test_localhost_is_found_whichever_of_its_addresses_answers(
    openai_server: FakeOpenAI, open_at: Open, name: str
) -> None:
    url = openai_server.url.replace("127.0.0.1", "localhost")
    async with open_at("CUSTOM", url + "/") as model:
        assert (await ask(model)).text == "Hello, world."


async def test_a_key_that_is_echoed_does_not_get_into_the_message(
    openai_server: FakeOpenAI, open_at: Open
) -> None:
    openai_server.script(Refuse(400, "bad thing: sk-verysecret"))
    async with open_at("OPENAI", openai_server.url) as model:
        with pytest.raises(ModelFailed) as failed:
            await ask(model)
    assert "bad thing" in failed.value.detail
    assert "sk-verysecret" not in failed.value.detail


async def test_an_account_that_never_comes_costs_no_answer(openai_server: FakeOpenAI, open_at: Open) -> None:
    openai_server.script(Say("All of it.", prompt_tokens=None))
    async with open_at("OPENAI", openai_server.url) as model:
        asked = await ask(model)
    assert (asked.text, asked.finished.reason, asked.finished.estimated) == ("All of it.", "stop", True)


@pytest.mark.parametrize("content", ["word " * 50_000, "x" * 200_000, "長い" * 50_000])
async def test_long_conversations_are_counted_whole(
    openai_server: FakeOpenAI, open_at: Open, content: str
) -> None:
    openai_server.script(Say("Short.", prompt_tokens=None))
    async with open_at("OPENAI", openai_server.url) as model:
        end = (await ask(model, [ChatMessage("user", content)])).finished
        assert end.prompt_tokens == model.count_tokens(content) + 7
