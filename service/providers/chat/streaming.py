"""What every chat model across a network shares: patience, retries before the first token, the count of tokens."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import stamina

from ingest.tokenize import TiktokenTokenizer, TokenizerSpec
from search.answer.model import ChatMessage, Finished, FinishReason, ModelFailed, Sampling, TextDelta
from service.providers.chat.failures import Provider

_TOKENIZER = TokenizerSpec("tiktoken", "cl100k_base")
"""For other models than OpenAI's the nearest thing that needs no download."""

# What a chat interface puts around each message, and around the whole: platform.openai.com, "counting tokens".
_MESSAGE_TOKENS = 4
_PROMPT_TOKENS = 3

_USAGE_WAIT_S = 5.0
"""For the account after the last word: a server that does not send one is not waited for."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The provider's own counts so far, where it gives any; later ones replace earlier ones."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The finish marker: what comes after it is no text."""

    reason: FinishReason


@dataclass(frozen=True, slots=True)
class Alive:
    """Something came that is neither text nor account, such as reasoning that is not shown."""


Event = TextDelta | Usage | Ended | Alive


class ChatApi(Protocol):
    """One provider's interface: one request, no retries, no patience."""

    @property
    def provider(self) -> Provider: ...

    def events(self, messages: Sequence[ChatMessage], sampling: Sampling) -> AsyncGenerator[Event, None]:
        """Ask, and yield what comes. Raises ModelFailed. Closing it closes the connection at once."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds to wait, and how a request is tried again that has brought no text yet."""

    connect_s: float = 10.0
    first_token_s: float = 120.0
    """A model on one's own machine may have to be loaded first, and some think before they speak."""
    idle_s: float = 60.0
    """Between two events."""
    total_s: float = 600.0
    attempts: int = 3
    retry_s: float = 45.0
    """After which no further attempt is begun."""
    wait_initial_s: float = 0.5
    wait_max_s: float = 20.0
    """A provider that asks to be left alone for longer is not waited for."""
    wait_jitter_s: float = 0.5

    def wait(self, error: Exception) -> bool | float:
        """Say whether to try again, or in how many seconds; False gives up. The shape is stamina's."""
        # After a time limit somebody has waited for long enough.
        if not isinstance(error, ModelFailed) or not error.retryable or error.code == "timeout":
            return False
        if error.retry_after_s is None:
            return True
        # stamina takes 0 for False.
        return max(error.retry_after_s, 1e-3) if error.retry_after_s <= self.wait_max_s else False


class StreamedModel:
    """A LanguageModel on a provider's chat interface."""

    def __init__(
        self,
        api: ChatApi,
        *,
        name: str,
        context_tokens: int,
        defaults: Sampling,
        patience: Patience,
    ) -> None:
        self._api = api
        self._name = name
        self._context_tokens = context_tokens
        self._defaults = defaults
        self._patience = patience
        self._reading = 0
        self._retired = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def count_tokens(self, text: str) -> int:
        """Take about a millisecond for 5,000 characters: what is much longer is counted in a thread."""
        tokenizer = _TOKENIZER.load()
        assert isinstance(tokenizer, TiktokenTokenizer)
        return tokenizer.count_tokens(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        reading = _Reading(self._api, self._patience)
        self._reading += 1
        try:
            await reading.begin(messages, _or_defaults(sampling, self._defaults))
            async for delta in reading.text():
                yield delta
        finally:
            self._reading -= 1
            await reading.aclose()
            await self._close_if_retired()
        yield await self._account(reading, messages)

    async def aclose(self) -> None:
        await self._api.aclose()

    async def retire(self) -> None:
        """Close once nobody reads an answer any more."""
        self._retired = True
        await self._close_if_retired()

    async def _close_if_retired(self) -> None:
        if self._retired and not self._reading:
            await self.aclose()

    async def _account(self, reading: "_Reading", messages: Sequence[ChatMessage]) -> Finished:
        usage, reason = reading.usage, reading.reason
        if usage.prompt_tokens is not None and usage.completion_tokens is not None:
            return Finished(
                reason=reason, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens
            )
        prompt, completion = await asyncio.to_thread(self._estimate, messages, "".join(reading.said))
        return Finished(
            reason=reason,
            prompt_tokens=prompt if usage.prompt_tokens is None else usage.prompt_tokens,
            completion_tokens=completion if usage.completion_tokens is None else usage.completion_tokens,
            estimated=True,
        )

    def _estimate(self, messages: Sequence[ChatMessage], answer: str) -> tuple[int, int]:
        prompt = sum(self.count_tokens(message.content) + _MESSAGE_TOKENS for message in messages)
        return prompt + _PROMPT_TOKENS, self.count_tokens(answer)


def load_tokenizer() -> None:
    """Read the tokenizer, which takes half a second the first time."""
    _TOKENIZER.load()


class _Reading:
    """One answer while it comes: begin, then text, and aclose whatever happens."""

    def __init__(self, api: ChatApi, patience: Patience) -> None:
        self.said: list[str] = []
        self.usage = Usage()
        self.reason: FinishReason = "stop"
        self._api = api
        self._patience = patience
        self._deadline = time.monotonic() + patience.total_s
        self._events: AsyncGenerator[Event, None] | None = None
        self._first: Event | None = None

    async def begin(self, messages: Sequence[ChatMessage], sampling: Sampling) -> None:
        """Ask until the first text or the end of the answer is there, again where that may help."""
        patience = self._patience
        attempts = stamina.retry_context(
            on=patience.wait,
            attempts=patience.attempts,
            timeout=patience.retry_s,
            wait_initial=patience.wait_initial_s,
            wait_max=patience.wait_max_s,
            wait_jitter=patience.wait_jitter_s,
        )
        async for attempt in attempts:
            with attempt:
                self._events = self._api.events(messages, sampling)
                try:
                    self._first = await self._next_of_use(self._events, patience.first_token_s)
                except BaseException:
                    await self._events.aclose()
                    raise

    async def text(self) -> AsyncGenerator[TextDelta, None]:
        assert self._events is not None
        event = self._first
        while isinstance(event, TextDelta):
            self.said.append(event.text)
            yield event
            try:
                event = await self._next_of_use(self._events, self._patience.idle_s)
            except ModelFailed as exc:
                if exc.code == "unreachable":
                    raise self._api.provider.broken() from exc
                raise
        await self._read_account(self._events)

    async def aclose(self) -> None:
        if self._events is not None:
            await self._events.aclose()

    async def _next_of_use(self, events: AsyncGenerator[Event, None], limit_s: float) -> TextDelta | Ended:
        """Return the next text, or the end; note the accounts between."""
        while True:
            match await self._next(events, limit_s):
                case TextDelta() as delta:
                    if delta.text:
                        return delta
                case Ended() as ended:
                    self.reason = ended.reason
                    return ended
                case Usage() as usage:
                    self._note(usage)
                case Alive():
                    pass
                case None:
                    raise self._api.provider.broken()

    async def _read_account(self, events: AsyncGenerator[Event, None]) -> None:
        # The answer is whole: what goes wrong from here on costs its account at most.
        with contextlib.suppress(ModelFailed):
            while (event := await self._next(events, min(self._patience.idle_s, _USAGE_WAIT_S))) is not None:
                if isinstance(event, Usage):
                    self._note(event)

    def _note(self, usage: Usage) -> None:
        self.usage = Usage(
            self.usage.prompt_tokens if usage.prompt_tokens is None else usage.prompt_tokens,
            self.usage.completion_tokens if usage.completion_tokens is None else usage.completion_tokens,
        )

    async def _next(self, events: AsyncGenerator[Event, None], limit_s: float) -> Event | None:
        """Return the next event, None at the end of them."""
        left_s = self._deadline - time.monotonic()
        try:
            async with asyncio.timeout(min(limit_s, left_s)):
                return await anext(events, None)
        except TimeoutError as exc:
            provider = self._api.provider
            if left_s <= limit_s:
                raise provider.too_slow(self._patience.total_s) from exc
            raise provider.silent(limit_s) from exc


def _or_defaults(sampling: Sampling, defaults: Sampling) -> Sampling:
    chosen = {
        field.name: getattr(sampling, field.name)
        if getattr(sampling, field.name) not in (None, ())
        else getattr(defaults, field.name)
        for field in fields(Sampling)
    }
    return Sampling(**chosen)
