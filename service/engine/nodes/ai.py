"""ai: a prompt to a language model that an administrator has set up, and what it says."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from search.answer.model import ChatMessage, Sampling
from search.answer.pipeline import Answered
from service.answering.schemas import AnswerSettings
from service.engine.asking import begin, charged, usage_of
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.text import AS_TEXT, Text, as_text
from service.text import storable

MAX_PROMPT_CHARS = 400_000
"""More than models read, and little enough to count."""


class AiConfig(Config, frozen=True, kw_only=True):
    model: Annotated[
        str, msgspec.Meta(min_length=1, max_length=200, description="Its id or name, as gemini-1.5-flash.")
    ]
    prompt: Annotated[Text, msgspec.Meta(description="What it is asked.", extra_json_schema=AS_TEXT)]
    system: Annotated[
        Text, msgspec.Meta(description="What it is told before.", extra_json_schema=AS_TEXT)
    ] = ""
    temperature: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=2)] | None, msgspec.Meta(description="Unset: the model's own.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None,
        msgspec.Meta(description="Of what it says. Unset: the model's own."),
    ] = None
    top_p: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=1)] | None, msgspec.Meta(description="Unset: the model's own.")
    ] = None
    json: Annotated[
        bool, msgspec.Meta(description="Whether what it says is read as JSON, and fails where it is none.")
    ] = False


class Ai(NodeType[AiConfig]):
    name = "ai"
    label = "AI model"
    description = "Asks a language model, and goes on with what it says, as text or read as JSON."
    config = AiConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = [] if data.get("model") else [("model", "is missing: which model to ask")]
        return found + ([] if data.get("prompt") else [("prompt", "is missing: what to ask")])

    async def run(self, call: Call[AiConfig]) -> Emit:
        config = call.config
        messages = _messages(config)
        asking = await begin(
            call.services,
            call.run,
            AnswerSettings(team_id=call.run.team_id),
            config.model,
            prompt_chars=sum(len(message.content) for message in messages),
            max_tokens=config.max_tokens,
            searches=False,
        )
        sampling = Sampling(max_tokens=config.max_tokens, temperature=config.temperature, top_p=config.top_p)
        answered: Answered | None = None
        async with charged(
            call.services, call.run, asking, call.services.answerer.chat(asking, messages, sampling)
        ) as events:
            async for event in events:
                if isinstance(event, Answered):
                    answered = event
        if answered is None:
            raise NodeError("What the model says has no end.", code="model_failed", retryable=True)
        text = storable(answered.text)
        said = {
            "text": text,
            "model": asking.chosen.name,
            "usage": usage_of(asking),
            "finish_reason": answered.reason,
        }
        return emit({**said, "json": read_json(text)} if config.json else said)


def _messages(config: AiConfig) -> list[ChatMessage]:
    system, prompt = as_text(config.system), as_text(config.prompt)
    if not prompt.strip():
        raise NodeError("prompt says nothing.", code="bad_config", field="data.prompt")
    if len(system) + len(prompt) > MAX_PROMPT_CHARS:
        raise NodeError(
            f"system and prompt are longer than {MAX_PROMPT_CHARS:,} characters.",
            code="bad_config",
            field="data.prompt",
        )
    told = [ChatMessage("system", system)] if system.strip() else []
    return [*told, ChatMessage("user", prompt)]


def read_json(text: str) -> Any:
    """Return the JSON that a model has written, also within a fence as models like to. Raises NodeError bad_json."""
    inner = text.strip()
    if inner.startswith("```"):
        # The first line names the language.
        inner = inner.partition("\n")[2].strip().removesuffix("```")
    try:
        return msgspec.json.decode(inner.encode())
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NodeError(f"What the model says is no JSON: {exc}.", code="bad_json") from exc
