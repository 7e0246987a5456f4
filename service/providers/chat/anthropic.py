"""Anthropic's messages interface."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import anthropic
import httpx2
import msgspec

from search.answer.model import ChatMessage, FinishReason, ModelFailed, Sampling, TextDelta
from service.providers.chat.failures import Provider
from service.providers.chat.request import OptionalParameters, alternating, system_text
from service.providers.chat.streaming import Alive, Ended, Event, Usage

ANTHROPIC_BASE_URL = "https://api.anthropic.com"

_MAX_TOKENS = 4096
"""The interface wants a limit; where neither request nor configuration has one, it is this."""

_REASONS: Mapping[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}
# docs.anthropic.com/en/api/errors: within a stream there is the type alone.
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Message | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None


class AnthropicChat:
    """POST {base_url}/v1/messages, streamed. The client's own retries are off: StreamedModel has the one policy."""

    def __init__(self, provider: Provider, http: httpx2.AsyncClient) -> None:
        self.provider = provider
        self._optional = OptionalParameters()
        self._client = anthropic.AsyncAnthropic(
            api_key=provider.secret,
            base_url=provider.base_url,
            max_retries=0,
            timeout=http.timeout,
            http_client=http,
        )

    async def events(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        stream = await self._open(messages, sampling)
        came = False
        try:
            async for data in stream:
                came = True
                for event in _events(msgspec.convert(data, _Event)):
                    yield event
        except anthropic.APIError as exc:
            raise self._failure(exc) from exc
        except httpx2.HTTPError as exc:
            raise self.provider.unconnected(exc) from exc
        except (ValueError, msgspec.MsgspecError) as exc:
            raise self.provider.garbled() from exc
        finally:
            await stream.close()
        if not came and "event-stream" not in stream.response.headers.get("content-type", ""):
            raise self.provider.garbled()

    async def aclose(self) -> None:
        await self._client.close()

    async def _open(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> anthropic.AsyncStream[object]:
        body = {
            "model": self.provider.model_id,
            "max_tokens": sampling.max_tokens or _MAX_TOKENS,
            "messages": [{"role": turn.role, "content": turn.content} for turn in alternating(messages)],
            "stream": True,
        }
        system = system_text(messages)
        if system:
            body["system"] = system
        while True:
            optional = {k: v for k, v in _parameters(sampling).items() if k not in self._optional.left_out}
            try:
                return await self._client.post(
                    "/v1/messages",
                    cast_to=object,
                    body={**body, **optional},
                    stream=True,
                    stream_cls=anthropic.AsyncStream[object],
                )
            except anthropic.APIStatusError as exc:
                if self._optional.learn(exc.status_code, _words(exc), optional):
                    continue
                raise self._failure(exc) from exc
            except anthropic.APIError as exc:
                raise self._failure(exc) from exc

    def _failure(self, error: anthropic.APIError) -> ModelFailed:
        match error:
            case anthropic.APIStatusError():
                status = error.status_code
                if status == 200:  # sent within a stream that had begun well
                    status = _STATUSES.get(error.type or "", 500)
                return self.provider.refused(status, _words(error), dict(error.response.headers))
            case anthropic.APIConnectionError():
                return self.provider.unconnected(error)
            case _:
                return self.provider.garbled()


def _parameters(sampling: Sampling) -> dict[str, Any]:
    """Return what newer models refuse, some both of the first two together and some each; penalties there are none."""
    parameters = {
        # From 0 to 1 here, and to 2 elsewhere.
        "temperature": None if sampling.temperature is None else min(sampling.temperature, 1.0),
        "top_p": sampling.top_p if sampling.temperature is None else None,
        "stop_sequences": list(sampling.stop) or None,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _events(event: _Event) -> Iterator[Event]:
    delta = event.delta or _Delta()
    match event.type:
        case "message_start":
            yield _usage(event.message.usage if event.message else None)
        case "content_block_delta" if delta.type == "text_delta" and delta.text:
            yield TextDelta(delta.text)
        case "message_delta":
            yield _usage(event.usage)
            if delta.stop_reason:
                yield Ended(_REASONS.get(delta.stop_reason, "stop"))
        case _:
            yield Alive()


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    prompt = None
    if usage.input_tokens is not None:
        # input_tokens are those that no cache had.
        cached = (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)
        prompt = usage.input_tokens + cached
    return Usage(prompt, usage.output_tokens)


def _words(error: anthropic.APIStatusError) -> str:
    if error.api_message:
        return error.api_message
    body = error.body
    return error.response.text if error.status_code != 200 else str(body or "")
