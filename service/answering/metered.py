"""A language model whose every call is counted, those that were cut off too."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from search.answer.model import ChatMessage, Finished, LanguageModel, Sampling, TextDelta

_LONG_CHARS = 20_000
"""Counting this takes some milliseconds: beyond it a thread does."""


@dataclass(slots=True)
class ModelUsage:
    """Of one answer: rewriting the question, condensing the history, and the answer itself."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = False
    """Whether some of it is our count, for a call that was cut off or a provider that gives none."""

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class MeteredModel:
    """Passes everything through, and adds to usage what each call took."""

    def __init__(self, model: LanguageModel, usage: ModelUsage) -> None:
        self._model = model
        self._usage = usage

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def context_tokens(self) -> int:
        return self._model.context_tokens

    def count_tokens(self, text: str) -> int:
        return self._model.count_tokens(text)

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        self._usage.requests += 1
        parts: list[str] = []
        counted = False
        events = self._model.stream(messages, sampling)
        try:
            async for event in events:
                if isinstance(event, Finished):
                    self._add(event.prompt_tokens, event.completion_tokens, estimated=event.estimated)
                    counted = True
                else:
                    parts.append(event.text)
                yield event
        finally:
            await events.aclose()
            # Cut off: the provider has read the prompt and written this much at least, and charges for it.
            if not counted and parts:
                prompt = "\n".join(message.content for message in messages)
                self._add(await self._count(prompt), await self._count("".join(parts)), estimated=True)

    def _add(self, prompt_tokens: int, completion_tokens: int, *, estimated: bool) -> None:
        self._usage.prompt_tokens += prompt_tokens
        self._usage.completion_tokens += completion_tokens
        self._usage.estimated |= estimated

    async def _count(self, text: str) -> int:
        if len(text) <= _LONG_CHARS:
            return self._model.count_tokens(text)
        return await asyncio.shield(asyncio.to_thread(self._model.count_tokens, text))
