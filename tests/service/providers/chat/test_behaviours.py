"""One table of behaviours, for all families of providers: what a server does, and what comes of it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest

from db.ai_models import Provider
from search.answer.model import (
    ChatMessage,
    FailureCode,
    Finished,
    FinishReason,
    ModelFailed,
    Sampling,
    TextDelta,
)
from service.providers.chat.streaming import StreamedModel
from tests.fakes.chat_servers import (
    HELLO,
    Behaviour,
    Break,
    EndEarly,
    FailWithin,
    Garbage,
    Hang,
    Page,
    Refuse,
    Say,
    Silent,
    Unknown,
)
from tests.service.providers.chat.conftest import KEY, QUESTION, FakeChat, Open, ask


async def test_an_answer_streams_and_ends_with_the_account(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    async with open_at(provider, server.url) as model:
        asked = await ask(model)
        assert model.name == f"{provider.lower()}/some-model"
    assert asked.text == "Hello, world."
    end = asked.finished
    assert (end.reason, end.prompt_tokens, end.completion_tokens, end.estimated) == ("stop", 11, 7, False)
    [request] = server.requests
    assert request.key == KEY
    assert request.messages == [("user", "Where is the boiler?")]


async def test_text_comes_while_the_rest_is_still_to_be_said(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    server.script(Say("one ", "two ", "three", pause_after=1))
    async with open_at(provider, server.url) as model, contextlib.aclosing(_stream(model)) as stream:
        assert await anext(stream) == TextDelta("one ")
        server.release()
        assert await anext(stream) == TextDelta("two ")
        assert await anext(stream) == TextDelta("three")


@dataclass(frozen=True)
class Case:
    behaviour: Behaviour
    code: FailureCode
    requests: int = 1
    text: str = ""
    retryable: bool = False


CASES = {
    "wrong key": Case(Refuse(401, "Incorrect API key provided"), "key_refused"),
    "forbidden": Case(Refuse(403, "not for this project"), "key_refused"),
    "unknown model": Case(Refuse(404, "The model does not exist"), "no_such_model"),
    "no credit": Case(Refuse(429, "You exceeded your current quota, check your plan and billing"), "quota"),
    "rate limit for ever": Case(Refuse(429, "slow down"), "rate_limited", requests=3, retryable=True),
    "rate limit for an hour": Case(
        Refuse(429, "slow down", headers={"retry-after": "3600"}), "rate_limited", retryable=True
    ),
    "server error for ever": Case(Refuse(500, "oops"), "unreachable", requests=3, retryable=True),
    "overloaded for ever": Case(Refuse(529, "overloaded"), "unreachable", requests=3, retryable=True),
    "too long": Case(Refuse(400, "prompt is too long: 9000 tokens > 8192 maximum"), "context_too_long"),
    "filtered": Case(Refuse(400, "blocked by content_filter"), "refused"),
    "malformed": Case(Refuse(400, "temperature: must be below 2"), "refused"),
    "redirected": Case(Refuse(307, headers={"location": "http://127.0.0.1:1/"}), "unreachable"),
    "broken before the first token": Case(Break(0), "unreachable", requests=3, retryable=True),
    "broken in mid-stream": Case(Break(1), "broken_stream", text="Hello", retryable=True),
    "ended with nothing": Case(EndEarly(0), "broken_stream", requests=3, retryable=True),
    "ended early": Case(EndEarly(2), "broken_stream", text="Hello, ", retryable=True),
    "error in mid-stream": Case(FailWithin(1), "broken_stream", text="Hello", retryable=True),
    "error at once": Case(FailWithin(0), "unreachable", requests=3, retryable=True),
    "garbage": Case(Garbage(), "garbled"),
    "garbage in mid-stream": Case(Garbage(2), "garbled", text="Hello, "),
    "a page": Case(Page(), "garbled"),
}


@pytest.mark.parametrize("name", CASES)
async def test_what_goes_wrong_has_a_code_and_a_sentence(
    server: FakeChat, provider: Provider, open_at: Open, name: str
) -> None:
    case = CASES[name]
    server.always = case.behaviour
    said: list[str] = []
    async with open_at(provider, server.url) as model:
        with pytest.raises(ModelFailed) as failed:
            await _read(model, said)
    assert failed.value.code == case.code, failed.value.detail
    assert failed.value.retryable == case.retryable
    assert "".join(said) == case.text
    assert len(server.requests) == case.requests
    assert failed.value.detail.endswith((".", "…"))
    assert KEY not in str(failed.value)
    assert KEY not in repr(failed.value)


@pytest.mark.parametrize(
    "first",
    [
        Refuse(429, headers={"retry-after": "0"}),
        Refuse(429, headers={"retry-after": "0.01"}),
        Refuse(503),
        Break(0),
        EndEarly(0),
        FailWithin(0),
    ],
    ids=str,
)
async def test_what_may_heal_is_asked_again_before_the_first_token(
    server: FakeChat, provider: Provider, open_at: Open, first: Behaviour
) -> None:
    server.script(first, HELLO)
    async with open_at(provider, server.url) as model:
        asked = await ask(model)
    assert asked.text == "Hello, world."
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


async def test_retry_after_is_reported_where_it_is_not_waited_for(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    server.always = Refuse(429, headers={"retry-after": "3600"})
    async with open_at(provider, server.url) as model:
        with pytest.raises(ModelFailed) as failed:
            await ask(model)
    assert failed.value.retry_after_s == 3600


@pytest.mark.parametrize("behaviour", [Hang(), Silent()], ids=["no headers", "headers alone"])
async def test_a_server_that_says_nothing_is_left(
    server: FakeChat, provider: Provider, open_at: Open, behaviour: Behaviour
) -> None:
    server.script(behaviour)
    async with open_at(provider, server.url, patience={"first_token_s": 0.3}) as model:
        with pytest.raises(ModelFailed) as failed:
            await ask(model)
        assert (failed.value.code, failed.value.retryable) == ("timeout", True)
        assert await asyncio.to_thread(server.disconnected.wait, 20)
    assert len(server.requests) == 1


@pytest.mark.parametrize("patience", [{"idle_s": 0.3}, {"total_s": 0.5}], ids=str)
async def test_a_stream_that_stops_is_left(
    server: FakeChat, provider: Provider, open_at: Open, patience: dict[str, float]
) -> None:
    server.script(Say("one ", "two", pause_after=1))
    async with (
        open_at(provider, server.url, patience=patience) as model,
        contextlib.aclosing(_stream(model)) as stream,
    ):
        assert await anext(stream) == TextDelta("one ")
        with pytest.raises(ModelFailed) as failed:
            await anext(stream)
        assert failed.value.code == "timeout"
        assert await asyncio.to_thread(server.disconnected.wait, 20)


async def test_slow_tokens_are_waited_for(server: FakeChat, provider: Provider, open_at: Open) -> None:
    server.script(Say("a", "b", "c", "d", gap_s=0.2))
    async with open_at(provider, server.url, patience={"idle_s": 5}) as model:
        assert (await ask(model)).text == "abcd"


async def test_closing_the_iterator_closes_the_connection_at_once(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    server.script(Say("one ", "two", pause_after=1))
    async with open_at(provider, server.url) as model:
        stream = _stream(model)
        assert await anext(stream) == TextDelta("one ")
        assert not server.disconnected.is_set()
        await stream.aclose()
        assert await asyncio.to_thread(server.disconnected.wait, 20)


@pytest.mark.parametrize(
    "behaviour", [Hang(), Silent(), Say("one ", "two", pause_after=1)], ids=["asking", "waiting", "reading"]
)
async def test_cancelling_the_reader_closes_the_connection_at_once(
    server: FakeChat, provider: Provider, open_at: Open, behaviour: Behaviour
) -> None:
    server.script(behaviour)
    async with open_at(provider, server.url) as model:
        task = asyncio.create_task(ask(model))
        await asyncio.to_thread(server.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.disconnected.wait, 20)
        assert (await ask(model)).text == "Hello, world.", "the model can be asked again"


@pytest.mark.parametrize("reason", ["stop", "length", "refused"])
async def test_reasons_are_told_apart(
    server: FakeChat, provider: Provider, open_at: Open, reason: FinishReason
) -> None:
    server.script(Say("So much.", reason=reason))
    async with open_at(provider, server.url) as model:
        assert (await ask(model)).finished.reason == reason


async def test_tokens_that_are_not_told_are_estimated(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    server.script(Say("The boiler is ", "in hall B.", prompt_tokens=None, completion_tokens=None))
    async with open_at(provider, server.url) as model:
        end = (await ask(model)).finished
        assert end.completion_tokens == model.count_tokens("The boiler is in hall B.") == 7
        assert end.prompt_tokens == model.count_tokens("Where is the boiler?") + 7
    assert end.estimated


async def test_nothing_is_there(provider: Provider, open_at: Open) -> None:
    async with open_at(provider, "http://127.0.0.1:9") as model:
        with pytest.raises(ModelFailed) as failed:
            await ask(model)
    assert failed.value.code == "unreachable"
    assert "http://127.0.0.1:9" in failed.value.detail


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("http://169.254.169.254/latest", {}),
        ("http://10.0.0.1", {}),
        ("https://10.0.0.1", {}),
        # Public, but a key would go there in the clear.
        ("http://93.184.216.34", {}),
        ("http://127.0.0.1:9", {"model_allowed_networks": "10.0.0.0/8"}),
        ("http://127.0.0.1:9", {"database_url": "postgresql://shared/db"}),
        ("http://localhost:9", {"database_url": "postgresql://shared/db"}),
    ],
)
async def test_private_addresses_are_not_connected_to(
    provider: Provider, open_at: Open, url: str, settings: dict[str, str]
) -> None:
    async with open_at(provider, url, settings=settings) as model:
        with pytest.raises(ModelFailed) as failed:
            await ask(model)
    assert (failed.value.code, failed.value.retryable) == ("unreachable", False)
    assert "MODEL_ALLOWED_NETWORKS" in failed.value.detail


async def test_a_parameter_that_a_model_does_not_take_is_left_out_from_then_on(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    server.always = Unknown("temperature")
    async with open_at(provider, server.url) as model:
        for _ in range(2):
            asked = await ask(model, sampling=Sampling(temperature=0.5))
            assert asked.text == "Hello, world."
    assert ["temperature" in str(request.body) for request in server.requests] == [True, False, False]


async def test_conversations_reach_each_provider_as_it_wants_them(
    server: FakeChat, provider: Provider, open_at: Open
) -> None:
    conversation = [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "One."),
        ChatMessage("user", "Two."),
        ChatMessage("assistant", "Yes."),
        ChatMessage("user", "Three."),
    ]
    async with open_at(provider, server.url) as model:
        await ask(model, conversation)
    assistant = "model" if provider == "GEMINI" else "assistant"
    merged = [("user", "One."), ("user", "Two.")] if provider == "OPENAI" else [("user", "One.\n\nTwo.")]
    assert server.requests[0].messages == [
        ("system", "Be brief."),
        *merged,
        (assistant, "Yes."),
        ("user", "Three."),
    ]


async def _read(model: StreamedModel, said: list[str]) -> None:
    async for event in model.stream(QUESTION, Sampling()):
        assert isinstance(event, TextDelta)
        said.append(event.text)


def _stream(model: StreamedModel) -> AsyncGenerator[TextDelta | Finished, None]:
    return model.stream(QUESTION, Sampling())
