"""OpenAI's chat completions: OpenAI itself, Groq, and what else speaks it, such as Ollama, vLLM and LM Studio."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import Any

import httpx2
import msgspec
import openai

from search.answer.model import ChatMessage, FinishReason, ModelFailed, Sampling, TextDelta
from service.providers.chat.failures import Provider
from service.providers.chat.request import OptionalParameters
from service.providers.chat.streaming import Alive, Ended, Event, Usage

OPENAI_BASE_URL = "https://api.openai.com/v1"
GROQ_BASE_URL = "https://api.groq.com/openai/v1"

# Anything else, such as a tool call that nobody asked for, is an end like any other.
_REASONS: Mapping[str, FinishReason] = {"length": "length", "content_filter": "refused"}
_STATUSES = {"rate_limit_exceeded": 429, "insufficient_quota": 429, "context_length_exceeded": 400}


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class OpenAIChat:
    """POST {base_url}/chat/completions, streamed. The client's own retries are off: StreamedModel has the policy."""

    def __init__(self, provider: Provider, http: httpx2.AsyncClient) -> None:
        self.provider = provider
        self._optional = OptionalParameters()
        # Newer models of OpenAI's take this name alone, servers that are not OpenAI's know the older one.
        ours = provider.base_url.rstrip("/") == OPENAI_BASE_URL
        self._max_tokens_name = "max_completion_tokens" if ours else "max_tokens"
        self._client = openai.AsyncOpenAI(
            # The client insists on a key; servers of one's own that need none ignore it.
            api_key=provider.secret or "none",
            base_url=provider.base_url,
            max_retries=0,
            timeout=http.timeout,
            http_client=http,
            # Of the environment's account, if any, which is no business of whom we ask.
            default_headers={}
            if ours
            else {"OpenAI-Organization": openai.omit, "OpenAI-Project": openai.omit},  # type: ignore[dict-item]
        )

    async def events(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        stream = await self._open(messages, sampling)
        came = False
        try:
            async for chunk in stream:
                came = True
                for event in _events(msgspec.convert(chunk, _Chunk)):
                    yield event
        except openai.APIError as exc:
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

    async def _open(self, messages: Sequence[ChatMessage], sampling: Sampling) -> openai.AsyncStream[object]:
        while True:
            optional = {
                k: v for k, v in self._parameters(sampling).items() if k not in self._optional.left_out
            }
            body = {
                "model": self.provider.model_id,
                "messages": [{"role": message.role, "content": message.content} for message in messages],
                "stream": True,
                **optional,
            }
            try:
                return await self._client.post(
                    "/chat/completions",
                    cast_to=object,
                    body=body,
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
            except openai.APIStatusError as exc:
                if self._optional.learn(exc.status_code, _words(exc), optional):
                    continue
                raise self._failure(exc) from exc
            except openai.APIError as exc:
                raise self._failure(exc) from exc

    def _parameters(self, sampling: Sampling) -> dict[str, Any]:
        parameters = {
            self._max_tokens_name: sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "frequency_penalty": sampling.frequency_penalty,
            "presence_penalty": sampling.presence_penalty,
            "stop": list(sampling.stop) or None,
            "stream_options": {"include_usage": True},
        }
        return {name: value for name, value in parameters.items() if value is not None}

    def _failure(self, error: openai.APIError) -> ModelFailed:
        match error:
            case openai.APIStatusError():
                return self.provider.refused(error.status_code, _words(error), dict(error.response.headers))
            case openai.APIConnectionError():
                return self.provider.unconnected(error)
            case _:
                # Sent within a stream that had begun with status 200.
                return self.provider.refused(_status(error), _words(error), {})


def _events(chunk: _Chunk) -> Iterator[Event]:
    for choice in (chunk.choices or [])[:1]:
        delta = choice.delta or _Delta()
        text = delta.content or delta.refusal
        yield TextDelta(text) if text else Alive()
        if choice.finish_reason:
            refused = bool(delta.refusal)
            yield Ended("refused" if refused else _REASONS.get(choice.finish_reason, "stop"))
    if chunk.usage is not None:
        yield Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens)


def _words(error: openai.APIError) -> str:
    body = error.body
    if isinstance(body, dict):
        parts = [body.get(name) for name in ("message", "code", "param")]
        words = " ".join(part for part in parts if isinstance(part, str))
        if words:
            return words
    if isinstance(error, openai.APIStatusError):
        return error.response.text
    return error.message


def _status(error: openai.APIError) -> int:
    if error.code is not None and error.code.isdecimal() and 400 <= int(error.code) < 600:
        return int(error.code)
    return _STATUSES.get(error.code or "", _STATUSES.get(error.type or "", 500))
