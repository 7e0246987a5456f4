"""A language model, asked with a prompt: the platform's own step."""

import re
from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from search.answer.model import ChatMessage, ModelFailed, Sampling
from search.answer.pipeline import Answered
from service.answering.schemas import AnswerSettings
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.caller import caller_of

_FENCE = re.compile(r"\A```\w*\n(.*)\n```\Z", re.DOTALL)
MAX_PROMPT_CHARS = 200_000


class AiConfig(Config, frozen=True, kw_only=True):
    model: Annotated[str, Meta(min_length=1, description="Name or id of a model of GET /v1/ai/models.")]
    prompt: Annotated[str, Meta(min_length=1, max_length=MAX_PROMPT_CHARS, description="What to ask.")]
    system: Annotated[
        Annotated[str, Meta(max_length=MAX_PROMPT_CHARS)] | None,
        Meta(description="Rules that the model is to keep to."),
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None, Meta(description="How freely it answers.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=100_000)] | None, Meta(description="Tokens of the reply at most.")
    ] = None
    top_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None, Meta(description="Share of likely words it chooses from.")
    ] = None
    json: Annotated[bool, Meta(description="Read the reply as JSON; it is under json then.")] = False


class Ai(NodeType[AiConfig]):
    name = "ai"
    label = "Ask an AI model"
    description = "Sends a prompt to a language model and gives its reply, with the tokens that it took."
    config = AiConfig
    has_effects = True

    async def run(self, call: Call[AiConfig]) -> Emit:
        config, answerer = call.config, call.services.answerer
        messages = [ChatMessage("user", config.prompt)]
        if config.system:
            messages.insert(0, ChatMessage("system", config.system))
        sampling = Sampling(max_tokens=config.max_tokens, temperature=config.temperature, top_p=config.top_p)
        asking = await answerer.begin(
            caller_of(call.run),
            AnswerSettings(team_id=call.run.team_id),
            config.model,
            team_id=call.run.team_id,
            prompt_chars=sum(len(message.content) for message in messages),
            max_tokens=config.max_tokens,
            searches=False,
        )
        answered: Answered | None = None
        try:
            async with aclosing(answerer.chat(asking, messages, sampling)) as events:
                async for event in events:
                    if isinstance(event, Answered):
                        answered = event
        except ModelFailed as exc:
            raise model_failed(exc) from exc
        finally:
            await answerer.charge(asking, "workflow", call.run.execution_id)
        if answered is None:
            raise NodeError("The model gave no reply.", code="model_failed", retryable=True)
        item: dict[str, Any] = {
            "text": answered.text,
            "model": asking.chosen.name,
            "finish_reason": answered.reason,
            "usage": msgspec.to_builtins(asking.wire_usage()),
        }
        if config.json:
            item["json"] = _read_json(answered.text)
        return emit(item)


def model_failed(exc: ModelFailed) -> NodeError:
    return NodeError(
        exc.detail,
        code="model_failed" if exc.code != "no_such_model" else exc.code,
        retryable=exc.retryable,
        retry_after_s=exc.retry_after_s,
    )


def _read_json(text: str) -> Any:
    """Return what a reply says; models like to put JSON into a fence. Raises NodeError."""
    bare = text.strip()
    fenced = _FENCE.match(bare)
    try:
        return msgspec.json.decode(fenced.group(1) if fenced else bare)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NodeError(
            f"The reply is no JSON: {exc}. Ask for JSON alone in the prompt.", code="bad_json", retryable=True
        ) from exc
