"""Gemini's streamGenerateContent, through google-genai."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types
from pydantic import ValidationError

from search.answer.model import ChatMessage, FinishReason, ModelFailed, Sampling, TextDelta
from service.providers.chat.failures import Provider
from service.providers.chat.request import OptionalParameters, alternating, system_text
from service.providers.chat.streaming import Alive, Ended, Event, Usage
from service.providers.gemini import retry_delay

GEMINI_BASE_URL = "https://generativelanguage.googleapis.com"

# Any other reason is one of its many filters, or that it gave up.
_REASONS: Mapping[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}

# google-genai has generators within generators, and closing the outermost leaves the response to the garbage
# collector. We close it ourselves: the hook of the HTTP client tells which one belongs to the stream being begun.
_responses: ContextVar[list[httpx2.Response] | None] = ContextVar("responses", default=None)


async def remember_response(response: httpx2.Response) -> None:
    opened = _responses.get()
    if opened is not None:
        opened.append(response)


class GeminiChat:
    """models/{model}:streamGenerateContent. http must have the hook remember_response."""

    def __init__(self, provider: Provider, http: httpx2.AsyncClient) -> None:
        self.provider = provider
        self._http = http
        self._optional = OptionalParameters()
        self._client = genai.Client(
            vertexai=False,
            api_key=provider.secret,
            http_options=types.HttpOptions(
                base_url=provider.base_url,
                retry_options=types.HttpRetryOptions(attempts=1),
                httpx_async_client=http,
            ),
        )

    async def events(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[Event, None]:
        responses: list[httpx2.Response] = []
        try:
            first, stream = await self._open(messages, sampling, responses)
            async with aclosing(stream):
                chunk = first
                while chunk is not None:
                    for event in self._events(chunk):
                        yield event
                    chunk = await anext(stream, None)
        except Exception as exc:
            raise self._failure(exc) from exc
        finally:
            for response in responses:
                await response.aclose()

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()

    async def _open(
        self, messages: Sequence[ChatMessage], sampling: Sampling, responses: list[httpx2.Response]
    ) -> tuple[types.GenerateContentResponse | None, AsyncGenerator[types.GenerateContentResponse, None]]:
        contents: list[Any] = [
            types.Content(
                role="model" if turn.role == "assistant" else "user", parts=[types.Part(text=turn.content)]
            )
            for turn in alternating(messages)
        ]
        while True:
            optional = {k: v for k, v in _parameters(sampling).items() if k not in self._optional.left_out}
            config = types.GenerateContentConfig(
                system_instruction=system_text(messages) or None,
                max_output_tokens=sampling.max_tokens,
                stop_sequences=list(sampling.stop) or None,
                automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
                automatic_continuation=False,
                # Deadlines are StreamedModel's: one of the client's would also bound the time between two chunks.
                **optional,
            )
            token = _responses.set(responses)
            try:
                # The client names its generator an iterator.
                stream: Any = await self._client.aio.models.generate_content_stream(
                    model=self.provider.model_id, contents=contents, config=config
                )
                return await anext(stream, None), stream
            except errors.APIError as exc:
                if not self._optional.learn(exc.code, exc.message or "", optional):
                    raise
            finally:
                _responses.reset(token)

    def _events(self, chunk: types.GenerateContentResponse) -> Iterator[Event]:
        usage = chunk.usage_metadata
        if usage is not None:
            completion = usage.candidates_token_count
            if completion is not None or usage.thoughts_token_count:
                completion = (completion or 0) + (usage.thoughts_token_count or 0)
            yield Usage(usage.prompt_token_count, completion)
        if not chunk.candidates:
            feedback = chunk.prompt_feedback
            if feedback is not None and feedback.block_reason is not None:
                raise self.provider.blocked(str(feedback.block_reason.value))
            yield Alive()
            return
        candidate = chunk.candidates[0]
        parts = (candidate.content.parts if candidate.content else None) or []
        yield TextDelta("".join(part.text for part in parts if part.text and not part.thought))
        reason = candidate.finish_reason
        if reason is not None and reason.value != "FINISH_REASON_UNSPECIFIED":
            yield Ended(_REASONS.get(reason.value, "refused"))

    def _failure(self, error: Exception) -> Exception:
        match error:
            case ModelFailed():
                return error
            case errors.APIError():
                return self._refused(error)
            case httpx2.HTTPError():
                return self.provider.unconnected(error)
            case (
                errors.UnknownApiResponseError()
                | ValidationError()
                | ValueError()
                | TypeError()
                | AttributeError()
            ):
                # What google-genai raises for a body that is not what it expects depends on how it is wrong.
                return self.provider.garbled()
            case _:
                return error

    def _refused(self, error: errors.APIError) -> ModelFailed:
        headers = dict(getattr(error.response, "headers", None) or {})
        delay = retry_delay(error.details)
        if delay is not None:
            headers.setdefault("retry-after", delay)
        # A wrong key is a 400 here.
        status = 401 if "API_KEY_INVALID" in str(error.details) else error.code
        return self.provider.refused(status, error.message or "", headers)


def _parameters(sampling: Sampling) -> dict[str, Any]:
    parameters = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    return {name: value for name, value in parameters.items() if value is not None}
