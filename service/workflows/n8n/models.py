"""n8n's ways of asking a language model, as ours."""

from collections.abc import Mapping
from typing import Any

from service.workflows.n8n.node import Source, Target, chosen, listed, without_none

_OPTIONS: Mapping[str, str] = {"temperature": "temperature", "maxTokens": "maxTokens", "topP": "topP"}
_NO_MODEL = "to be chosen"


def open_ai(source: Source) -> Target:
    operation, resource = source.get("operation"), source.get("resource")
    if resource not in (None, "text", "chat") or operation in {"classify", "edit", "moderate"}:
        source.note(f"asks for {resource or operation!r}: it asks for text here")
    messages = listed(source.get("messages", "values")) + listed(source.get("prompt", "messages"))
    messages += listed(source.get("responses", "values"))
    plain = source.text("prompt") if isinstance(source.get("prompt"), str) else ""
    system = [_content(source, one) for one in messages if one.get("role") in {"system", "developer"}]
    asked = [_content(source, one) for one in messages if one.get("role") not in {"system", "developer"}]
    model = chosen(source.get("modelId")) or chosen(source.get("chatModel")) or chosen(source.get("model"))
    return _asking(
        source, model, [plain, *asked], system, source.get("options"), bool(source.get("jsonOutput"))
    )


def chain(source: Source) -> Target:
    """A chain or an agent, with the model that is plugged into it."""
    messages = listed(source.get("messages", "messageValues"))
    system = [
        source.text("options", "systemMessage"),
        *(source.translator.text(str(one.get("message", ""))) for one in messages),
    ]
    asked = source.text("text") or source.text("prompt")
    if not asked:
        # What n8n takes where nothing is written.
        asked = "{{ input.chatInput }}"
    model, options = None, None
    for plugged in source.models[:1]:
        model = (
            chosen(plugged.get("model")) or chosen(plugged.get("modelName")) or chosen(plugged.get("modelId"))
        )
        options = plugged.get("options")
    if source.type == "agent":
        source.note("asks a model once here: the tools of an agent are nodes of their own")
    return _asking(source, model, [asked], system, options, as_json=False)


def _content(source: Source, message: Mapping[str, Any]) -> str:
    return source.translator.text(str(message.get("content") or message.get("message") or ""))


def _asking(
    source: Source, model: Any, asked: list[str], system: list[str], options: Any, as_json: bool
) -> Target:
    # One model may be plugged into many nodes, each of which has its name then.
    named = source.translator.text(model[:200]) if isinstance(model, str) and model else _NO_MODEL
    source.note(f"asks the model {named!r}: choose one of GET /v1/ai/models")
    given = options if isinstance(options, Mapping) else {}
    rules = "\n\n".join(text for text in system if text)
    data = {
        "model": named,
        "prompt": "\n\n".join(text for text in asked if text) or "{{ input.text }}",
        "system": rules or None,
        "json": True if as_json else None,
    }
    sampling = {ours: _sampled(source, given.get(theirs)) for theirs, ours in _OPTIONS.items()}
    if isinstance(sampling["maxTokens"], int) and sampling["maxTokens"] < 1:
        sampling["maxTokens"] = None
    return Target("ai", without_none(data | sampling))


def _sampled(source: Source, value: Any) -> Any:
    """Return a number, or the expression of one; None for what can be neither."""
    if isinstance(value, str):
        return source.translator.text(value[:200])
    return value if isinstance(value, int | float) else None
