"""Asking a model one short question, to see whether and how fast it answers."""

import asyncio
import time
from dataclasses import dataclass

from search.answer.model import ChatMessage, Finished, LanguageModel, ModelFailed, Sampling, TextDelta

_QUESTION = (ChatMessage("user", "Answer with the one word: ready"),)
_SAMPLING = Sampling(max_tokens=64)
"""Enough for a model that thinks a little before it speaks."""
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """finished is None where failure is not."""

    latency_ms: int
    first_token_ms: int | None
    finished: Finished | None
    failure: ModelFailed | None


async def try_model(model: LanguageModel) -> Trial:
    """Ask; what goes wrong is in the result."""
    started = time.monotonic()
    first_token_ms: int | None = None
    finished: Finished | None = None
    failure: ModelFailed | None = None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async for event in model.stream(_QUESTION, _SAMPLING):
                if isinstance(event, TextDelta):
                    first_token_ms = _elapsed_ms(started) if first_token_ms is None else first_token_ms
                else:
                    finished = event
    except ModelFailed as exc:
        failure = exc
    except TimeoutError:
        failure = ModelFailed(
            f"{model.name} had not answered a short question after {TIMEOUT_S:g} s.",
            code="timeout",
            retryable=True,
        )
    return Trial(_elapsed_ms(started), first_token_ms, finished, failure)


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
