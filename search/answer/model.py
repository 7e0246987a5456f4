"""What answering needs of a language model. Those that there are live in service/providers/chat."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol

from search.errors import SearchError

Role = Literal["system", "user", "assistant"]

FinishReason = Literal["stop", "length", "refused"]
"""Said all it had to say; reached the limit of its tokens; the provider's filter cut it off."""

FailureCode = Literal[
    "key_refused", "no_such_model", "quota", "rate_limited", "context_too_long", "refused", "unreachable", "timeout",
    "broken_stream", "garbled",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """None leaves it to the model's configuration, and then to the provider."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of a stream. Tokens are the provider's own count, or ours where it gives none (estimated)."""

    reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False


class ModelFailed(SearchError):
    """A model gave no answer, or only the beginning of one. The message holds no key and can be shown to a user."""

    def __init__(
        self, detail: str, *, code: FailureCode, retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class LanguageModel(Protocol):
    @property
    def name(self) -> str:
        """Provider and model, as in usage and messages: openai/gpt-4o-mini."""
        ...

    @property
    def context_tokens(self) -> int:
        """Prompt and answer together, at most."""
        ...

    def count_tokens(self, text: str) -> int:
        """Count as nearly as can be done without asking the provider."""
        ...

    def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[TextDelta | Finished, None]:
        """Yield text as it comes, and one Finished at the end. Raises ModelFailed.

        Closing the generator, or cancelling the task that reads it, cancels the provider's call: no token is paid for
        that nobody reads.
        """
        ...


async def complete(model: LanguageModel, messages: Sequence[ChatMessage], sampling: Sampling) -> str:
    """Return a whole answer at once. Raises ModelFailed."""
    async with aclosing(model.stream(messages, sampling)) as events:
        return "".join([event.text async for event in events if isinstance(event, TextDelta)])
