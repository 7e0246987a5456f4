"""A language model that says what a test wants, and keeps what it was told. Real ones have tests of their own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from search.answer.model import ChatMessage, Finished, ModelFailed, Sampling, TextDelta


@dataclass
class ScriptedModel:
    """Gives its replies in turn, each in parts; a ModelFailed among the parts ends it there."""

    replies: list[Sequence[str | ModelFailed]]
    name: str = "scripted/model"
    context_tokens: int = 8_000
    told: list[list[ChatMessage]] = field(default_factory=list)
    sampled: list[Sampling] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a stream is over, read to its end or not."""

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        self.told.append(list(messages))
        self.sampled.append(sampling)
        try:
            for part in self.replies.pop(0):
                if isinstance(part, ModelFailed):
                    raise part
                yield TextDelta(part)
            yield Finished(reason="stop", prompt_tokens=10, completion_tokens=5)
        finally:
            self.closed.set()
